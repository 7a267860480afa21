"""How fast this device is: a few layers are tried, and a network's FLOPs and bytes are counted without its numbers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from stitchtui.base.device import finish
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.session import Session
from stitchtui.stitching.stitches import parameter_count
from stitchtui.stitching.streamed import double

FEW, GROWTH, MOST = 4, 4, 256
"""Images of the smallest batch that is tried, how many times as many the next one has, and of the largest."""
ENOUGH, TRIES = 0.25, 5
"""Seconds that no batch but the smallest may take, and how often one is tried at the most."""
SIZE = 192
"""The side of the matrices that are multiplied and taken apart."""
CHANNELS, SIDE = 48, 16
"""Of the images that a layer is tried on."""
BACK = 2
"""How many forward passes a frozen network takes that is gone back through to its input."""


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
    """The speed of a network run forward in float32, and of a frozen one run forward and back to its input, both."""

    forward: Line
    back: Line


@dataclass(frozen=True)
class Rates:
    """Seconds on a device: of a FLOP in a product of matrices and in a convolution, of a byte, of operations."""

    flop: float
    convolved: float
    byte: float
    layer: float
    operation: float
    cubed: float


@cache
def rates(device: torch.device, _threads: int) -> Rates:
    """What a device takes, tried once in a process on layers of a middling size: a second or so, whatever is to run."""
    x = torch.ones(SIZE, SIZE, device=device)
    small = torch.ones(8, device=device, requires_grad=True)
    spread = double(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0)).to(device))
    images = torch.ones(MOST, CHANNELS, SIDE, SIDE, device=device).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(device).to(memory_format=torch.channels_last)
    with torch.no_grad():
        convolved = line(lambda count: layer(images[:count]), device)
        passed = line(lambda count: images[:count].relu(), device)
    return Rates(
        flop=least(lambda: x @ x, device) / (2 * SIZE**3),
        convolved=convolved.each / (2 * 9 * CHANNELS**2 * SIDE**2),
        byte=passed.each / (2 * images[0].nbytes),
        layer=least(lambda: layer(images[:1, :, :4, :4]), device),
        operation=least(lambda: (small * small).sum().backward(), device) / 2,
        cubed=least(lambda: torch.linalg.eigh(spread @ spread.T), spread.device) / SIZE**3,
    )


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
    """What is known of a device and of a session's networks: FLOPs and bytes are counted, and their speed was tried."""

    def __init__(self, session: Session, device: torch.device) -> None:
        self.session = session
        self._rates = rates(device, torch.get_num_threads())
        self._known: dict[tuple[object, ...], Speed] = {}

    @property
    def operation(self) -> float:
        """Seconds of a small operation and what goes back through it, where there is next to nothing to compute."""
        return self._rates.operation

    @property
    def flop(self) -> float:
        """Seconds of a floating-point operation in a product of float32 matrices."""
        return self._rates.flop

    @property
    def cubed(self) -> float:
        """Seconds in which a covariance in float64 is taken apart, divided by the third power of its size."""
        return self._rates.cubed

    def speed(self, loaded: Loaded) -> Speed:
        """The speed of one network, or of the first of its shape that was asked for."""
        key = shape(loaded)
        if key not in self._known:
            images, rates = self.session.example(loaded), self._rates
            with torch.no_grad(), _Counted() as counted:
                loaded.traced.module(images)
            each = (counted.flops * rates.convolved + counted.bytes * rates.byte) / len(images)
            forward = Line(counted.operations * rates.layer, each)
            # Gradients in the images alone take each product once more, with twice the numbers to be read.
            self._known[key] = Speed(forward, Line(BACK * forward.fixed, BACK * forward.each))
        return self._known[key]


class _Counted(TorchDispatchMode):
    """Counts the FLOPs of what is computed inside, the bytes that it reads and writes, and its operations."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.bytes = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute it, and count what moves or makes numbers."""
        out = func(*args, **(kwargs or {}))
        if func.is_view:
            return out
        if (flops := flop_registry.get(func.overloadpacket)) is not None:
            self.flops += flops(*args, **(kwargs or {}), out_val=out)
        tensors = [leaf for leaf in tree_leaves((args, out)) if isinstance(leaf, torch.Tensor)]
        self.bytes += sum(tensor.nbytes for tensor in tensors)
        self.operations += 1
        return out


def shape(loaded: Loaded) -> tuple[object, ...]:
    """What networks share that take equally long."""
    return (parameter_count(loaded.network.module), *((cut.name, cut.shape) for cut in loaded.traced.cuts))
