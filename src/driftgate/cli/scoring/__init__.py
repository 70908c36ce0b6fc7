"""Commands that score texts and files: `predict`, `shard`, `merge`."""
