"""A dataset that takes no time to load or learn: each class is a bright quarter of a noisy image."""

import torch

from stitchtui.data.dataset import Dataset, Part


def small_dataset(classes: int = 3, channels: int = 1, size: int = 8, train: int = 48, test: int = 24) -> Dataset:
    generator = torch.Generator().manual_seed(7)

    def part(count: int) -> Part:
        labels = torch.arange(count) % classes
        images = torch.randint(0, 120, (count, channels, size, size), generator=generator)
        half = size // 2
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label) % 4, 2)
            image[:, row * half : (row + 1) * half, column * half : (column + 1) * half] += 130
        return Part(images.to(torch.uint8), labels)

    return Dataset(
        name="small",
        train=part(train),
        test=part(test),
        classes=tuple(f"class {index}" for index in range(classes)),
        mean=(0.3,) * channels,
        std=(0.25,) * channels,
        augment="none",
        digest=f"small {classes} {channels} {size} {train} {test}",
    )
