"""From an artifact to a published model: accepted, described, laid out, pushed."""
