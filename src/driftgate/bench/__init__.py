"""Throughput of backends: every combination of corpus, batch plan, workers and threads, timed side by side."""
