"""What people see: the environment, the results record, the terminal table."""
