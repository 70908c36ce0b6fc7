"""What is read from the Hugging Face hub: encoders and corpora, pinned to a commit."""
