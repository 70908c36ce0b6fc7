"""What a pull request is told: a comment, a step summary, annotations of broken bounds."""
