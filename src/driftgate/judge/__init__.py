"""What a backend is worth: drift, decisions, quality, speed ratios, and the bounds they are held to.

Pure functions over arrays; NumPy, SciPy and scikit-learn only.
"""
