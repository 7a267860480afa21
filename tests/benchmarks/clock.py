"""Timing by turns: every round runs each piece of work once, so that what else the machine does meets them all."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

Work = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """The median of several numbers, and the lowest and highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one number."""
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, form: str) -> str:
        return f"{self.median:{form}} ({self.low:{form}} to {self.high:{form}})"

    def over(self, other: float) -> "Spread":
        """All three divided by `other`."""
        return Spread(self.median / other, self.low / other, self.high / other)


def interleaved(works: Mapping[str, Work], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each piece of work in each round, after one round that isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for count in range(rounds + 1):
        for name, work in works.items():
            _, taken = timed(work, device)
            if count:
                seconds[name].append(taken)
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], over: str, under: str) -> Spread:
    """How many times as long `over` took as `under`, round by round."""
    return Spread.of([a / b for a, b in zip(seconds[over], seconds[under], strict=True)])


def timed(work: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """What `work` returns, and the seconds until the device is done with it."""
    wait(device)
    started = time.perf_counter()
    result = work()
    wait(device)
    return result, time.perf_counter() - started


def wait(device: torch.device) -> None:
    """Return once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
