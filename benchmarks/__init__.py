"""How fast is every backend, and is it as fast as it was? `README.md` says what is measured."""
