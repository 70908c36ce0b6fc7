"""JSON Schemas of the files that driftgate writes, and the check that a file keeps to its schema."""
