"""The version of the rules that verdicts are called by, which a log carries beside each of them."""

RULES = 2
"""The present ones; a log that doesn't say is of 1.

1: every comparison by its own 95 % interval.
2: what one comparison of several decides (a pair that is not connected, a claim that is rejected at a cut or confirmed
at some cut) by limits that hold for all of them together; of several claims by Holm's procedure.
"""
