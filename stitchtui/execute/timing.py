"""How long a piece of work takes: tried out, and where it is long, tried on fewer images than it is for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from stitchtui.base.device import finish

LONG = 2.0
"""Seconds. Work that takes longer is timed on fewer images, two such numbers of them, and drawn on from there."""
FEWEST = 4
SHORT = 0.1
"""Seconds. So short a step is little beside what a training sets up."""
ENOUGH, TRIES = 1.0, 5
"""Work is tried so often, or for so many seconds, and the least counts: what else runs on the machine only adds to it,
and from two numbers that lie close together a little more in one of them leads far off."""
VERY_LONG = 10.0
"""Seconds. In work that takes longer what is set up once hardly counts, and it isn't done again."""


@dataclass(frozen=True)
class Timed:
    """Seconds that the whole work takes, and the most images on which it was really done."""

    seconds: float
    images: int


def timed(work: Callable[[int], object], images: int, device: torch.device) -> Timed:
    """What `work(images)` takes, once it is set up; `work(count)` must grow with its images along a line."""
    known: list[tuple[int, float]] = []
    count = min(FEWEST, images)
    while True:
        once = partial(work, count)
        took = seconds(once, device)  # this first time also pays for what is set up once for this size
        if took <= VERY_LONG:
            took = _least(once, device)
        known.append((count, took))
        if count == images:
            return Timed(took, images)
        if len(known) > 1 and took > LONG / 2:
            return Timed(_line(known[-2], known[-1], images), count)
        count = images if took * images / count <= LONG else min(2 * count, images)


def _least(work: Callable[[], object], device: torch.device) -> float:
    found = [seconds(work, device)]
    while sum(found) < ENOUGH and len(found) < TRIES:
        found.append(seconds(work, device))
    return min(found)


def _line(first: tuple[int, float], last: tuple[int, float], images: int) -> float:
    """At `images` on the line through both; no less than the last, and no more than in proportion to it."""
    slope = (last[1] - first[1]) / (last[0] - first[0])
    beyond = last[1] + slope * (images - last[0])
    return min(max(beyond, last[1]), last[1] * images / last[0])


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of `work`, until the device has done it."""
    finish(device)
    started = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - started
