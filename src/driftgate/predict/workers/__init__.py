"""Worker processes that answer windows of one job at the same time."""
