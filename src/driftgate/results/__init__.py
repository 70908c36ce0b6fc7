"""What a run learned: its records, the files they are kept in, and how text and tables are shown."""
