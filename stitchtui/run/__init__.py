"""A run as data: plan, events, state, directory, control. Neither torch nor a terminal."""
