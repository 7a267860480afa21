"""How long each way takes to the best penalties that any of them reaches, cell by cell and in the mean.

Run by hand, with nothing else computing: python tests/benchmarks/answer.py quickstart --lengths 1,2,4

The published way starts at random (BN-conv-BN) and from least squares on 100 images. A column takes the very steps
that each cell takes alone, so the published way's penalties come from a float32 column of unchanged networks; its time
is its measured seconds per step times steps, cell by cell, with its evaluation but without its augmentation. Ours is
timed as it runs, from least squares to evaluation. Loading images and networks is left out of both.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pair import pair_parser, pair_told
from published import clocked, priced, prices
from ways import FEW, OURS, WAYS, Laboratory, Trial, Way

from stitchtui.stats.penalty import Z95, paired_interval

WITHIN = 0.3
"""A way has arrived once it is so near to the best penalty that any way reached, in percentage points."""
SLACK = 1e-9  # differences of percentages, rounded


@dataclass(frozen=True)
class Tried:
    """One way at one length."""

    way: str
    epochs: int
    penalties: list[float]  # percentage points, one per cell
    seconds: float  # of all cells: start, training, evaluation
    mean_penalty: float
    mean_shortfall: float  # above the best penalty of each cell
    largest_shortfall: float
    cells_short: int  # farther than WITHIN from their best


@dataclass(frozen=True)
class Arrival:
    """When a way gets within WITHIN of the best. Published: each cell for itself. A column: all of its cells at once.

    The shortest length that was tried and suffices is what a way needs, as if it were known beforehand. In truth it
    lies above the longest that was too short: `at_least` is what that one took. Where the shortest of all suffices,
    it is nothing, or what that took if it was no training at all.
    """

    way: str
    epochs: list[int | None]  # the shortest length that suffices, per cell or of all; None where none did
    missing: int  # how many never get there
    misses_by: float  # the largest distance that is left to WITHIN of the best, in points; 0 where all get there
    seconds: float  # to get there; of those that never do, the longest training
    at_least: float
    times_ours: float | None = None  # None where our own way doesn't get there
    times_ours_at_least: float | None = None


@dataclass(frozen=True)
class Noise:
    """What a difference of WITHIN points means on so many test images."""

    images: int
    within: float  # test images that make WITHIN points
    cell: float  # half of the paired 95 % interval between two ways' penalties of a cell, the median of the cells
    mean: float  # the same between their means over the cells


@dataclass(frozen=True)
class Answer:
    """The time to the answer, of every way."""

    lengths: list[int]
    best: list[float]  # the lowest penalty of each cell by any way at any length
    best_mean: float
    tried: list[Tried]
    cells: list[Arrival]  # each cell within WITHIN of its best
    mean: list[Arrival]  # the mean over the cells within WITHIN of the best mean
    noise: Noise


def answer(
    laboratory: Laboratory, lengths: Sequence[int], *, really: bool, tell: Callable[[str], None] = lambda _: None
) -> Answer:
    """Try every way at every length, and say when each arrives.

    `really` trains the published way cell by cell; otherwise its seconds are steps times prices.
    """
    tell("timing steps of the published way")
    published = partial(clocked, laboratory) if really else partial(priced, laboratory, prices(laboratory))
    trials = []
    for way in WAYS:
        for epochs in way.lengths(lengths):
            tell(f"{way.name}: epochs: {epochs}")
            trials.append(published(way, epochs) if way.published else laboratory.in_a_column(way, epochs))
            tell(f"  mean penalty {_mean(trials[-1].penalties):+.2f}")
    best = [min(cell) for cell in zip(*(t.penalties for t in trials), strict=True)]
    best_mean = min(map(_mean, (t.penalties for t in trials)))
    return Answer(
        lengths=sorted(set(lengths)),
        best=best,
        best_mean=best_mean,
        tried=[_tried(t, best) for t in trials],
        cells=_against_ours([_cell_by_cell(way, _of(way, trials), best) for way in WAYS]),
        mean=_against_ours([_in_the_mean(way, _of(way, trials), best_mean) for way in WAYS]),
        noise=_noise(trials),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _of(way: Way, trials: Sequence[Trial]) -> list[Trial]:
    return [t for t in trials if t.way == way]


def _tried(trial: Trial, best: Sequence[float]) -> Tried:
    above = [p - b for p, b in zip(trial.penalties, best, strict=True)]
    return Tried(
        way=trial.way.name,
        epochs=trial.epochs,
        penalties=trial.penalties,
        seconds=sum(c.total for c in trial.costs),
        mean_penalty=_mean(trial.penalties),
        mean_shortfall=_mean(above),
        largest_shortfall=max(above),
        cells_short=sum(a > WITHIN + SLACK for a in above),
    )


def _cell_by_cell(way: Way, trials: Sequence[Trial], best: Sequence[float]) -> Arrival:
    """Where cells are trained alone, each needs a length of its own; a column needs one for its worst cell."""
    left = [[p - b - WITHIN for p, b in zip(t.penalties, best, strict=True)] for t in trials]
    lengths = [t.epochs for t in trials]
    if way.published:
        seconds = [[c.total for c in t.costs] for t in trials]
        return arrival(way.name, lengths, left, seconds)
    seconds = [[t.costs[0].total] for t in trials]
    return arrival(way.name, lengths, [[max(cells)] for cells in left], seconds)


def _in_the_mean(way: Way, trials: Sequence[Trial], best_mean: float) -> Arrival:
    left = [[_mean(t.penalties) - best_mean - WITHIN] for t in trials]
    seconds = [[sum(c.total for c in t.costs)] for t in trials]
    return arrival(way.name, [t.epochs for t in trials], left, seconds)


def arrival(
    way: str, lengths: Sequence[int], left: Sequence[Sequence[float]], seconds: Sequence[Sequence[float]]
) -> Arrival:
    """When a way arrives: for each length, in rising order, what is `left` to go, and the seconds of each part.

    A part has arrived where nothing, or less, is left; parts go on for as long as each needs, and their times add up.
    """
    parts = list(zip(*left, strict=True))
    reached = [next((i for i, rest in enumerate(part) if rest <= SLACK), None) for part in parts]
    needed = [len(lengths) - 1 if r is None else r for r in reached]
    first = 0 if lengths[0] == 0 else -1
    too_short = [len(lengths) - 1 if r is None else max(first, r - 1) for r in reached]
    misses = [min(part) for part, r in zip(parts, reached, strict=True) if r is None]
    return Arrival(
        way=way,
        epochs=[None if r is None else lengths[r] for r in reached],
        missing=len(misses),
        misses_by=max(misses, default=0.0),
        seconds=sum(seconds[i][part] for part, i in enumerate(needed)),
        at_least=sum(seconds[i][part] for part, i in enumerate(too_short) if i >= 0),
    )


def _against_ours(arrivals: Sequence[Arrival]) -> list[Arrival]:
    (ours,) = [a for a in arrivals if a.way == OURS.name]
    if ours.missing:
        return list(arrivals)
    return [_over(a, ours.seconds) if a is not ours else a for a in arrivals]


def _over(other: Arrival, seconds: float) -> Arrival:
    return replace(other, times_ours=other.seconds / seconds, times_ours_at_least=other.at_least / seconds)


def _noise(trials: Sequence[Trial]) -> Noise:
    """Intervals between the longest trainings of the two ways that start from least squares."""
    ours, other = (_of(way, trials)[-1].wrong for way in (OURS, FEW))
    images = ours.shape[1]
    worse, better = (ours & ~other).sum(1).tolist(), (other & ~ours).sum(1).tolist()
    widths = [paired_interval(images, w, b).half_width for w, b in zip(worse, better, strict=True)]
    differences = (ours.double() - other.double()).mean(0)
    spread = 100 * Z95 * float(differences.std()) / math.sqrt(images)
    return Noise(images, WITHIN * images / 100, statistics.median(widths), spread)


def main() -> None:
    """Measure, and print every way at every length, and when each arrives."""
    made = pair_parser(__doc__)
    made.add_argument("--lengths", default="1,2,4", help="epochs; each length is a training of its own, by every way")
    made.add_argument(
        "--train-published", action="store_true", help="train the published way cell by cell, with the clock running"
    )
    told = made.parse_args()
    laboratory = Laboratory(pair_told(told))
    print(laboratory.pair)
    lengths = [int(length) for length in told.lengths.split(",")]
    found = answer(laboratory, lengths, really=told.train_published, tell=partial(print, flush=True))
    for t in found.tried:
        above = f"above the best {t.mean_shortfall:.2f} in the mean, {t.largest_shortfall:.2f} at the most"
        short = f"{t.cells_short} cells short of it by more than {WITHIN}"
        print(f"{t.way}, epochs {t.epochs}: penalty {t.mean_penalty:+.2f}, {above}; {short}; {t.seconds:,.1f} s")
    print(
        f"{WITHIN} points are {found.noise.within:.1f} of {found.noise.images:,} test images; the paired 95 % interval "
        f"between two ways is ±{found.noise.cell:.2f} for a cell (the median), ±{found.noise.mean:.2f} for the mean"
    )
    print(f"every cell within {WITHIN} points of the best of any way and length:")
    for arrival in found.cells:
        print(f"  {_said(arrival, found.lengths[-1])}")
    print(f"the mean over cells within {WITHIN} points of the best mean:")
    for arrival in found.mean:
        print(f"  {_said(arrival, found.lengths[-1])}")


def _said(a: Arrival, longest: int) -> str:
    if a.missing:
        over = "" if a.times_ours_at_least is None else f", {a.times_ours_at_least:.1f} x ours"
        missed = f"{a.missing} of {len(a.epochs)} not in {longest} epochs, {a.misses_by:.2f} points short at the most"
        return f"{a.way}: {missed}; more than {a.at_least:,.1f} s{over}"
    epochs = ", ".join(f"{epochs} ({cells})" for epochs, cells in sorted(Counter(a.epochs).items()))
    over = "" if a.times_ours is None else f", {a.times_ours:.1f} x ours (at least {a.times_ours_at_least:.1f} x)"
    return f"{a.way}: epochs (how often) {epochs}, {a.seconds:,.1f} s{over}"


if __name__ == "__main__":
    main()
