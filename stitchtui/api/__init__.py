"""The library: what `stitchtui run` does, for networks and data that are in memory, and its results as objects."""
