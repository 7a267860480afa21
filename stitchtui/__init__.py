"""stitchtui: how interchangeable the representations of two trained networks are, layer by layer."""

__version__ = "0.1.0"
