"""Rows of an input, whatever its format."""
