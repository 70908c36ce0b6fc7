"""What goes in: the encoder, the corpus, and how rows are put into batches."""
