"""Numbers in, numbers out: intervals, paired differences and three-valued judgements; no torch."""
