"""Scores of encoders whose one logit is the answer, of a backend against the reference: how far they move, and their order."""
