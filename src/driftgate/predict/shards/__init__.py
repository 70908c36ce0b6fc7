"""Ranges of rows that any machine can score alone, each with an output of its own, and what joins them again."""
