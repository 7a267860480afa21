"""Class-cluster noise in place of a bottom: what a stitch can do with nothing but which class an image belongs to."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut

BANK = 1 << 20
MOST_KEPT = 1 << 27
"""How many numbers of class tensors are kept for a cut; beyond it they are drawn again for every batch."""


class ClusterNoise(Chain):
    """A bottom that, for an image of class c, has noise around a random tensor of class c at each cut.

    The recipe of Smith, Mannering and Marcu (2025): one random activation tensor per class, uniform in [0, 1], plus
    `noise` times a normal one for each image, clamped to [0, 1]. Where this departs from theirs: it has the shape of
    the cut that it stands for, there are as many images as the run has (theirs: 6,000 and 1,000 per class), and the
    level of noise is ours.

    The noise comes from the seed, the cut's name and the image's pixels, the class tensor from the seed, the name and
    the label; so an image has the same activations in every batch and on every device, and another view of it has
    other noise. Since labels are no part of an image, batches have to pass through `fed` on their way to whoever
    calls `features`.
    """

    def __init__(self, cuts: Sequence[Cut], seed: int, noise: float = 0.1) -> None:
        self.cuts = tuple(cuts)
        self.segments = nn.ModuleList()  # no layers: nothing to freeze, hash or put into another mode
        self._sources = [_Source(cut, seed, noise) for cut in cuts]
        self._labels: Tensor | None = None

    @property
    def output(self) -> int:
        """The boundary after the last cut, at which there is nothing: noise gives no class scores."""
        return len(self.cuts) + 1

    def fed(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The same batches of (images, labels), each one's labels known while it is out."""
        for images, labels in batches:
            self._labels = labels
            yield images, labels
        self._labels = None

    def features(self, x: Tensor, upto: int | None = None) -> list[Tensor]:
        """The images `x` [batch, ...], then the noise at cuts 1 to `upto` (all if not given).

        `x` is the batch that is out, or its first images.
        """
        if self._labels is None or len(self._labels) < len(x):
            raise RuntimeError("class-cluster noise was asked for images that did not come through `fed`")
        keys, labels = image_keys(x), self._labels[: len(x)].tolist()
        return [x, *(source.activations(keys, labels, x.device) for source in self._sources[:upto])]


class _Source:
    """The noise of one cut, which no other cut has a part in."""

    def __init__(self, cut: Cut, seed: int, noise: float) -> None:
        self.shape, self.numel = cut.shape, torch.Size(cut.shape).numel()
        self.words, self.noise = f"{seed} {cut.name}", noise
        self.centres: dict[int, Tensor] = {}
        self.bank = torch.randn(BANK + self.numel, generator=_generator(f"{self.words} noise"))

    def activations(self, keys: Tensor, labels: Sequence[int], device: torch.device) -> Tensor:
        self.bank = self.bank.to(device)
        # Each image takes a window of the bank, from a place of its own: far cheaper than a generator for each.
        draws = self.bank.unfold(0, self.numel, 1)[keys % BANK]  # [batch, numel]
        centres = {label: self._centre(label, device) for label in set(labels)}
        if len(self.centres) * self.numel > MOST_KEPT:
            self.centres.clear()
        around = torch.stack([centres[label] for label in labels])
        return (around + self.noise * draws).clamp(0, 1).unflatten(1, self.shape)

    def _centre(self, label: int, device: torch.device) -> Tensor:
        if label not in self.centres:
            drawn = torch.rand(self.numel, generator=_generator(f"{self.words} class {label}"))
            self.centres[label] = drawn.to(device)
        return self.centres[label]


def image_keys(images: Tensor) -> Tensor:
    """A whole number for each image [batch, ...] that its pixels alone decide, to 1 of 255; int64 [batch]."""
    pixels = (255 * images.flatten(1)).round().long()
    factors = torch.randint(1, 1 << 31, (pixels.shape[1],), generator=_generator("pixels"))
    return (pixels * factors.to(images.device)).sum(1) >> 7  # the lowest bits follow the last bits of the pixels


def _generator(words: str) -> torch.Generator:
    digest = hashlib.sha256(f"class-cluster noise: {words}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
