"""How much work a cell is, counted instead of timed: the same on every machine and in every run."""
