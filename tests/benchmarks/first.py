"""How soon a column's first numbers are there.

Run by hand, with nothing else computing: python tests/benchmarks/first.py quickstart
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pair import pair_parser, pair_told
from torch import Tensor, nn
from ways import OURS, Laboratory


@dataclass(frozen=True)
class FirstNumbers:
    """What direct matching takes until every cut has its penalty; passes are those of the busier network."""

    cells: int
    training_passes: float  # over all training images
    test_passes: float  # over all test images
    seconds: float


def first_numbers(laboratory: Laboratory) -> FirstNumbers:
    """Fit every cell's map and score it, counting the images that each network is run on."""
    networks = laboratory.bottom.segments[0], laboratory.top.segments[0]
    with _counted(networks) as fitting:
        laboratory.matched  # noqa: B018
    with _counted(networks) as scoring:
        trial = laboratory.in_a_column(OURS, 0)
    return FirstNumbers(
        cells=laboratory.cells,
        training_passes=max(fitting) / len(laboratory.dataset.train),
        test_passes=max(scoring) / len(laboratory.dataset.test),
        seconds=trial.costs[0].total,
    )


@contextmanager
def _counted(networks: tuple[nn.Module, ...]) -> Iterator[list[int]]:
    """How many images go into each network while this is open."""
    seen = [0] * len(networks)

    def count(which: int, images: Tensor) -> None:
        seen[which] += len(images)

    hooks = [n.register_forward_hook(lambda _m, args, _o, k=k: count(k, args[0])) for k, n in enumerate(networks)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def main() -> None:
    """Measure, and print seconds and passes."""
    laboratory = Laboratory(pair_told(pair_parser(__doc__).parse_args()))
    print(laboratory.pair)
    found = first_numbers(laboratory)
    passes = f"{found.training_passes:.2g} over the training and {found.test_passes:.2g} over the test images"
    print(f"first numbers of all {found.cells} cuts: {found.seconds:.1f} s; passes: {passes}")


if __name__ == "__main__":
    main()
