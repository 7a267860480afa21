"""Work shared out to the cores of a CPU: each thread computes a piece of its own on one core.

Pieces that don't depend on each other gain more from a core each than from all cores in turn: nothing waits at the
end of every operation.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import torch

T = TypeVar("T")


class CpuThreads:
    """As many threads as torch computes with on a CPU; elsewhere, or with one thread, the caller's alone."""

    def __init__(self, device: torch.device) -> None:
        self.size = torch.get_num_threads() if device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.size > 1:
            all_here = threading.Barrier(self.size)
            self._pool = ThreadPoolExecutor(self.size, initializer=_use_one_core)
            for future in [self._pool.submit(all_here.wait) for _ in range(self.size)]:
                future.result()
            torch.set_num_threads(self.size)  # what threads started later would otherwise take from these
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What each of `works` returns, in order; they start in order too, so that the longest should come first."""
        if self._pool is None or len(works) == 1:
            return [work() for work in works]
        return [future.result() for future in [self._pool.submit(work) for work in works]]


def _use_one_core() -> None:
    torch.get_num_threads()  # torch sets every thread's number when it is first asked: let that be before, not after
    torch.set_num_threads(1)
