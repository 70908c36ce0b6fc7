"""Questions to both sides that tell the causes of a failure apart."""
