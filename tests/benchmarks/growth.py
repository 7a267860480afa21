"""What a step takes with more cuts, more images and more networks, and how a budget bounds its memory.

Run by hand, with nothing else computing: python tests/benchmarks/growth.py [--width 0.5]
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass

from clock import Spread, interleaved
from held import Held
from subject import CutPair, Subject, random_subject_told
from torch import Tensor, nn

from stitchtui.stitching import column_trainer
from stitchtui.stitching.memory import step_costs


@dataclass(frozen=True)
class Size:
    """One size of one thing that may grow."""

    what: str  # "cuts", "images" or "pairs"
    size: int
    seconds: Spread
    bottom_passes: int  # for one batch


def growth(subject: Subject) -> list[Size]:
    """Three sizes each of cuts in a column, images in a batch, and pairs among 2, 3 and 4 networks."""
    cases = [*_cuts(subject), *_images(subject), *_pairs(subject)]
    works = {f"{case.what} {case.size}": case.step for case in cases}
    with ExitStack() as stack:
        for case in cases:
            stack.enter_context(case.trainer)
        seconds = interleaved(works, subject.options.rounds, subject.device)
    return [Size(c.what, c.size, Spread.of(seconds[f"{c.what} {c.size}"]), c.passes()) for c in cases]


class _Case:
    """All steps that one batch needs at one size: `bottoms` trainings of one bottom with some tops each."""

    def __init__(
        self, what: str, size: int, trainer: column_trainer.Trainer, subject: Subject, *, bottoms: int = 1
    ) -> None:
        self.what, self.size, self.trainer, self.bottoms = what, size, trainer, bottoms
        self.images, self.labels = subject.batch
        self.steps = self.seen = 0
        trainer.bottom.segments[0].register_forward_hook(self._count)

    def _count(self, _module: nn.Module, arguments: tuple[Tensor, ...], _out: Tensor) -> None:
        self.seen += len(arguments[0])

    def step(self) -> None:
        for _ in range(self.bottoms):
            self.steps += 1
            self.trainer.step(self.steps, self.images, self.labels)

    def passes(self) -> int:
        """The bottoms' passes for one batch."""
        return self.bottoms * self.seen // (self.steps * len(self.images))


def _trainer(subject: Subject, cuts: Sequence[CutPair], tops: int = 1) -> column_trainer.Trainer:
    bottom, top = subject.chains(cuts)
    columns = [column_trainer.StitchedTop(top, subject.cells(cuts)) for _ in range(tops)]
    return column_trainer.Trainer(bottom, columns, subject.recipe())


def _sizes(most: int) -> list[int]:
    return sorted({max(1, most // 4), max(1, most // 2), most})


def _cuts(subject: Subject) -> list[_Case]:
    every = subject.cuts
    chosen = [[every[i * len(every) // n] for i in range(n)] for n in _sizes(len(every))]
    return [_Case("cuts", len(cuts), _trainer(subject, cuts), subject) for cuts in chosen]


def _images(subject: Subject) -> list[_Case]:
    cases = []
    for size in _sizes(len(subject.labels)):
        case = _Case("images", size, _trainer(subject, subject.cuts), subject)
        case.images, case.labels = case.images[:size], case.labels[:size]
        cases.append(case)
    return cases


def _pairs(subject: Subject) -> list[_Case]:
    """Every ordered pair of M networks: each is the bottom of a column into each of the others."""
    cuts = subject.cuts[-max(1, len(subject.cuts) // 3) :]  # the later ones: a few are enough to show it
    return [_Case("pairs", m * (m - 1), _trainer(subject, cuts, m - 1), subject, bottoms=m) for m in (2, 3, 4)]


@dataclass(frozen=True)
class Memory:
    """Bytes of tensors that one column step holds at most."""

    together: int  # all cells at once
    estimate: int  # what is expected of that
    budget: int  # half of the estimate, given as a budget
    in_turns: int  # what is held then


def memory(subject: Subject) -> Memory:
    """Counts a column step's memory, without and with a budget."""
    bottom, top = subject.chains(subject.cuts)
    estimate = _estimate(subject)
    budget = estimate // 2

    def step(limit: int | None) -> Callable[[], None]:
        trainer = column_trainer.Trainer(
            bottom, [column_trainer.StitchedTop(top, subject.cells(subject.cuts))], subject.recipe(limit)
        )
        trainer.compare(subject.batch[0])  # once, before the first step
        return lambda: trainer.step(1, *subject.batch)

    return Memory(_most(step(None)), estimate, budget, _most(step(budget)))


def _estimate(subject: Subject) -> int:
    trainer = _trainer(subject, subject.cuts)
    column = trainer.columns[0]
    with trainer.autocast():
        return step_costs(trainer.bottom, column.top, column.seams, subject.batch[0]).total


def _most(step: Callable[[], None]) -> int:
    with Held() as held:
        step()
    return held.most


def main() -> None:
    """Measure, and print seconds with their lowest and highest of all rounds."""
    subject = random_subject_told(__doc__)
    print(subject)
    for size in growth(subject):
        each = f"{1000 * size.seconds.median / size.size:.2f} ms each"
        print(f"{size.size} {size.what}: {size.seconds:.4f} s, {each}; passes of bottoms: {size.bottom_passes}")
    found = memory(subject)
    together, estimate, budget, in_turns = (f"{size / (1 << 20):,.0f} MiB" for size in astuple(found))
    print(f"memory of a step: {together}, expected {estimate}; under a budget of {budget}: {in_turns}")


if __name__ == "__main__":
    main()
