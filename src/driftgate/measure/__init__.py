"""What reads a clock or a memory counter: throughput blocks, cold start, peak memory."""
