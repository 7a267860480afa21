"""Two small trained networks as a benchmark has them, with their files."""

from dataclasses import dataclass
from pathlib import Path

from stitchtui.benchmark.pair import Pair


@dataclass(frozen=True)
class Made:
    pair: Pair
    files: tuple[Path, Path]  # the checkpoints of bottom and top
