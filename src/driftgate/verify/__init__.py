"""Is a model file what is stated of it, and does it answer as it did?"""
