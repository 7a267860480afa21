"""Datasets as tensors on the device, and augmentation there."""
