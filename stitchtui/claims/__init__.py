"""Claims: sentences that a preset states as data, and that a run's numbers confirm, reject or leave undecided."""
