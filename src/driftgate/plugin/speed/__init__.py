"""What times: cells, the speed gate, and pytest-benchmark's own comparison."""
