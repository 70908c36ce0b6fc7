"""Is every backend still the same model? `README.md` says what each claim means."""
