"""Where drift comes from."""
