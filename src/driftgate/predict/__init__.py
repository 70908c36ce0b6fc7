"""Scores for files of any size, row by row and exactly once."""
