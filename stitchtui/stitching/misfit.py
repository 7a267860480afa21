"""What makes two cuts impossible to join, and how large a stitch may be."""

MOST_PARAMETERS = 1 << 26  # a matrix of 8192 x 8192, whose covariance still can be taken apart


class Misfit(ValueError):
    """Two cuts that a family can't join; its text says why in one line."""
