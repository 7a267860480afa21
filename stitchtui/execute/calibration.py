"""How fast this device is with each kind of network: a short batch is tried, from which those of a run follow."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from stitchtui.base.device import finish
from stitchtui.measure.feed import pixels
from stitchtui.measure.loaded import Loaded
from stitchtui.measure.session import Session
from stitchtui.stitching.fold import folded
from stitchtui.stitching.stitches import parameter_count
from stitchtui.stitching.streamed import double

FEW, GROWTH, MOST = 4, 4, 256
"""Images of the smallest batch that is tried, how many times as many the next one has, and of the largest."""
ENOUGH, TRIES = 0.25, 5
"""Seconds that no batch but the smallest may take, and how often one is tried at the most."""
SIZE = 192
"""The side of the matrices that are multiplied and taken apart."""


@dataclass(frozen=True)
class Line:
    """Seconds that a batch takes: `fixed`, whatever its size, and `each` for every image."""

    fixed: float
    each: float

    def seconds(self, images: float, batches: float = 1.0) -> float:
        """The seconds of so many images, in so many batches."""
        return self.fixed * batches + self.each * images


@dataclass(frozen=True)
class Speed:
    """The speed of a network run forward in float32, and of a frozen one run forward and back to its input."""

    forward: Line
    back: Line


def line(work: Callable[[int], object], device: torch.device) -> Line:
    """What `work(images)` takes, from the smallest batch and the largest for which there is time."""
    few = many = least(lambda: work(FEW), device)
    count = FEW
    while count < MOST and many * GROWTH < ENOUGH:
        count *= GROWTH
        many = least(lambda: work(count), device)  # noqa: B023  called at once
    if count == FEW:  # what a batch takes whatever its size hardly counts in one that takes so long
        return Line(0.0, few / FEW)
    each = max(0.0, many - few) / (count - FEW)
    return Line(max(0.0, many - each * count), each)


def least(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the shortest of a few tries: the first also sets things up, and what else runs only adds."""
    tries: list[float] = []
    while len(tries) < 2 or (len(tries) < TRIES and sum(tries) < ENOUGH):
        finish(device)
        started = time.perf_counter()
        work()
        finish(device)
        tries.append(time.perf_counter() - started)
    return min(tries)


class Calibration:
    """What is known of a session's device and networks; one of each shape is tried, when first asked for."""

    def __init__(self, session: Session) -> None:
        self.session, self.device = session, session.device
        self._known: dict[tuple[object, ...], Speed] = {}

    @cached_property
    def operation(self) -> float:
        """Seconds of a small operation and what goes back through it, where there is next to nothing to compute."""
        x = torch.ones(8, device=self.device, requires_grad=True)
        return least(lambda: (x * x).sum().backward(), self.device) / 2

    @cached_property
    def flop(self) -> float:
        """Seconds of a floating-point operation in a product of float32 matrices."""
        x = torch.ones(SIZE, SIZE, device=self.device)
        return least(lambda: x @ x, self.device) / (2 * SIZE**3)

    @cached_property
    def cubed(self) -> float:
        """Seconds in which a covariance in float64 is taken apart, divided by the third power of its size."""
        x = double(torch.randn(SIZE, SIZE, device=self.device))
        return least(lambda: torch.linalg.eigh(x @ x.T), x.device) / SIZE**3

    def speed(self, loaded: Loaded) -> Speed:
        """The speed of one network, or of the first of its shape that was asked for."""
        key = shape(loaded)
        if key not in self._known:
            chain = self.session.chain(loaded, [])
            copied, part = folded(chain, torch.float32), self.session.dataset.train.images

            def batch(images: int) -> torch.Tensor:
                return pixels(part[torch.arange(images, device=part.device) % len(part)])

            def forward(images: int) -> None:
                with torch.no_grad():
                    chain.features(batch(images))

            def back(images: int) -> None:
                copied.features(batch(images).requires_grad_())[-1].sum().backward()

            self._known[key] = Speed(line(forward, self.device), line(back, self.device))
        return self._known[key]


def shape(loaded: Loaded) -> tuple[object, ...]:
    """What networks share that take equally long."""
    return (parameter_count(loaded.network.module), *((cut.name, cut.shape) for cut in loaded.traced.cuts))
