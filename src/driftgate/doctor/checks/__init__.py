"""What can be wrong with a machine or a model, a check each."""
