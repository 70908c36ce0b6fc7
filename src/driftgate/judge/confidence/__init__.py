"""Between which limits the true value of a metric lies, given the rows that were seen."""
