"""How soon a column's first numbers are there, and what keeping the bottom's features saves a cell at a deep cut.

Run by hand, with nothing else computing: python tests/benchmarks/first.py quickstart
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter

from clock import Spread, ratio, wait
from pair import pair_parser, pair_told
from torch import Tensor, nn
from ways import OURS, Laboratory

from stitchtui.stitching import fit

EPOCHS = 3
DEPTH = 0.75
"""The cell is taken so far down the column: the last ones have hardly any top left to train through."""


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


@dataclass(frozen=True)
class Kept:
    """One cell's training with the bottom's features of its first epoch kept, against running the bottom in each."""

    cut: str
    fresh: Spread  # seconds of an epoch in which the bottom runs
    kept: Spread  # of one that goes through kept features
    over: Spread  # fresh / kept
    fresh_loss: float  # the training loss at the end
    kept_loss: float


def kept_features(laboratory: Laboratory) -> Kept | None:
    """Train one deep cell both ways, by turns, for a few epochs each; the first one, alike in both, isn't counted.

    None where there is no memory for the features.
    """
    try:
        return _both(laboratory)
    except fit.ViewsTooLarge:
        return None


def _both(laboratory: Laboratory) -> Kept:
    cell = min(laboratory.cells - 1, int(DEPTH * laboratory.cells))
    seconds: dict[str, list[float]] = {"fresh": [], "kept": []}
    losses: dict[str, float] = {}
    for _ in range(max(1, laboratory.subject.options.rounds // 2)):
        for name in seconds:
            epochs, losses[name] = _trained(laboratory, cell, keep=name == "kept")
            seconds[name] += epochs[1:]
    return Kept(
        cut=laboratory.subject.cuts[cell][0].name,
        fresh=Spread.of(seconds["fresh"]),
        kept=Spread.of(seconds["kept"]),
        over=ratio(seconds, "fresh", "kept"),
        fresh_loss=losses["fresh"],
        kept_loss=losses["kept"],
    )


def _trained(laboratory: Laboratory, cell: int, *, keep: bool) -> tuple[list[float], float]:
    """Seconds of each epoch, and the loss at the end."""
    steps = laboratory.steps(1)
    ends = [perf_counter()]

    def note(step: int, _progress: object) -> None:
        if step % steps == 0:
            wait(laboratory.device)
            ends.append(perf_counter())

    stitch = laboratory.stitch(OURS, cell, laboratory.matched[0][cell])
    (loss,) = fit.train_column(
        laboratory.bottom,
        laboratory.top,
        [fit.Cell(cell + 1, cell + 1, stitch)],
        laboratory.batches(),
        laboratory.recipe(OURS, EPOCHS * steps),
        replay=fit.Replay(views=1, steps=steps, seed=0) if keep else None,
        report=note,
    )
    return [after - before for before, after in pairwise(ends)], loss


def main() -> None:
    """Measure, and print seconds, passes and losses."""
    laboratory = Laboratory(pair_told(pair_parser(__doc__).parse_args()))
    print(laboratory.pair)
    found = first_numbers(laboratory)
    passes = f"{found.training_passes:.2g} over the training and {found.test_passes:.2g} over the test images"
    print(f"first numbers of all {found.cells} cuts: {found.seconds:.1f} s; passes: {passes}")
    kept = kept_features(laboratory)
    if kept is None:
        print("no memory for the bottom's features")
        return
    print(f"one cell at {kept.cut}, seconds of an epoch: {kept.fresh:.2f}, with kept features {kept.kept:.2f}")
    print(f"  the first over the second: {kept.over:.2f}; training losses {kept.fresh_loss:.4f}, {kept.kept_loss:.4f}")


if __name__ == "__main__":
    main()
