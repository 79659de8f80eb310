"""What the demos of all tasks share."""
