"""Where science meets the record: a plan becomes tasks, a task becomes events."""
