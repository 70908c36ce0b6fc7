"""Score files of any size in constant memory: read, tokenize, answer and write at once, in the order of the input."""
