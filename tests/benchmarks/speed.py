"""A column step against the published way, against its bare tails, and against what the arithmetic alone would take.

Run by hand, with nothing else computing: python tests/benchmarks/speed.py [--width 0.5]

Networks have random weights. The published way takes cell by cell, both networks run whole with a hook at the cut, in
float32 and with frozen weights. Both ways train on the same batch; reading and augmenting images is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from clock import Spread, interleaved, ratio
from subject import Subject, random_subject_told
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stitchtui.stitching import column_trainer

AGREEMENT_STEPS = 10


@dataclass(frozen=True)
class Speed:
    """Times of one step, and their ratios round by round."""

    cells: int
    published: Spread  # seconds for one batch through every cell, each on its own
    column: Spread  # seconds for the same as one column
    tails: Spread  # seconds for the top's tails alone, forward and backward, on tensors that are there already
    floor: float  # seconds: the column step's FLOPs at the rate that the top's own layers reach
    rate: float  # FLOPs per second of those layers, forward
    over_published: Spread  # published / column
    over_tails: Spread  # column / tails
    over_floor: Spread  # column / floor


def speed(subject: Subject) -> Speed:
    """Times, by turns, the published way, a column step, its tails, and the layers that the arithmetic is in."""
    bottom, top = subject.chains(subject.cuts)
    column = column_trainer.StitchedTop(top, subject.cells(subject.cuts))
    plain = column_trainer.Trainer(
        bottom, [column], replace(subject.recipe(), fold=False)
    )  # its operations have known FLOPs
    plain.compare(subject.batch[0])
    with FlopCounterMode(display=False) as flops:  # counts in this thread only: a trainer that isn't open has no other
        plain.step(1, *subject.batch)
    with column_trainer.Trainer(bottom, [column], replace(subject.recipe(), scaled=True)) as trainer:  # as runs train
        steps = count(1)
        layers = _Layers(trainer, subject)
        works: dict[str, Callable[[], object]] = {
            "published": _published(subject),
            "column": lambda: trainer.step(next(steps), *subject.batch),
            "tails": _tails(trainer, column.seams, subject),
            "layers": layers.run,
        }
        seconds = interleaved(works, subject.options.rounds, subject.device)
    rate = layers.flops / Spread.of(seconds["layers"]).low
    floor = flops.get_total_flops() / rate
    spread = Spread.of(seconds["column"])
    return Speed(
        cells=len(column.seams),
        published=Spread.of(seconds["published"]),
        column=spread,
        tails=Spread.of(seconds["tails"]),
        floor=floor,
        rate=rate,
        over_published=ratio(seconds, "published", "column"),
        over_tails=ratio(seconds, "column", "tails"),
        over_floor=spread.over(floor),
    )


def _published(subject: Subject) -> Callable[[], None]:
    trainers = subject.published()

    def step() -> None:
        for trainer in trainers:
            trainer.step(*subject.plain_batch())

    return step


def _tails(
    trainer: column_trainer.Trainer, cells: Sequence[column_trainer.Seam], subject: Subject
) -> Callable[[], object]:
    """The top's tails, as cheap as the column's and on as many threads, from tensors in place to gradients there."""
    top = trainer.columns[0].top
    with torch.no_grad(), trainer.autocast():
        features = trainer.bottom.features(subject.batch[0], trainer.reach)
        resident = [c.stitch(features[c.bottom]) for c in cells]

    def work(tail: nn.Module, x: Tensor) -> None:
        x.grad = None
        with trainer.autocast():
            scores = tail(x)
        F.cross_entropy(scores.float(), subject.labels).backward()

    inputs = [t.detach().requires_grad_() for t in resident]
    works = [partial(work, top.after(c.top), x) for c, x in zip(cells, inputs, strict=True)]
    return lambda: trainer.threads.do(works)


class _Layers:
    """The top's convolutions and linear layers by themselves, each on an input of its own."""

    def __init__(self, trainer: column_trainer.Trainer, subject: Subject) -> None:
        self.trainer = trainer
        self.calls: list[tuple[nn.Module, Tensor]] = []
        top = trainer.columns[0].top
        layers = [m for m in top.segments.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        hooks = [layer.register_forward_hook(self._remember) for layer in layers]
        with torch.no_grad(), trainer.autocast():
            top.features(subject.batch[0])
        for hook in hooks:
            hook.remove()
        with FlopCounterMode(display=False) as counter:
            self._once()
        self.flops = counter.get_total_flops() * trainer.threads.size

    def _remember(self, layer: nn.Module, arguments: tuple[Any, ...], _out: Any) -> None:
        self.calls.append((layer, arguments[0].to(next(layer.parameters()).dtype)))

    def run(self) -> None:
        """Every layer, once on each thread."""
        self.trainer.threads.do([self._once] * self.trainer.threads.size)

    def _once(self) -> None:
        with torch.no_grad(), self.trainer.autocast():
            for layer, x in self.calls:
                layer(x)


@dataclass(frozen=True)
class Agreement:
    """How far a column ends from the published way after the same few steps; judged in float32 on new images."""

    steps: int
    loss_difference: float  # the largest of all cells
    same_answers: float  # percent of images, the lowest of all cells


def agreement(subject: Subject) -> Agreement:
    """Trains every cell both ways, from the same start, on the same batches."""
    bottom, top = subject.chains(subject.cuts)
    cells = subject.cells(subject.cuts)
    published = subject.published()
    trainer = column_trainer.Trainer(bottom, [column_trainer.StitchedTop(top, cells)], subject.recipe())
    for step in range(1, AGREEMENT_STEPS + 1):
        trainer.step(step, *subject.batch)
        for plain in published:
            plain.step(*subject.plain_batch())
    theirs = [column_trainer.Seam(c.bottom, c.top, p.stitch) for c, p in zip(cells, published, strict=True)]
    images = 1 - subject.batch[0]
    with torch.no_grad():
        features = bottom.features(images)
        ours, expected = (column_trainer.column_outputs(top, each, features) for each in (cells, theirs))
    pairs = list(zip(ours, expected, strict=True))
    losses = [abs(float(F.cross_entropy(a, subject.labels) - F.cross_entropy(b, subject.labels))) for a, b in pairs]
    same = [100 * float((a.argmax(-1) == b.argmax(-1)).float().mean()) for a, b in pairs]
    return Agreement(AGREEMENT_STEPS, max(losses), min(same))


def main() -> None:
    """Measure, and print ratios with their lowest and highest of all rounds."""
    subject = random_subject_told(__doc__)
    print(subject)
    found, checked = speed(subject), agreement(subject)
    print(f"published way / column, per epoch: {found.over_published:.2f}")
    print(f"column step / its bare tails: {found.over_tails:.2f}")
    print(f"column step / floor at {found.rate / 1e9:,.0f} GFLOP/s: {found.over_floor:.2f}")
    print(f"seconds: published way {found.published:.4f}, column {found.column:.4f}, tails {found.tails:.4f}")
    print(
        f"after {checked.steps} equal steps losses differ by at most {checked.loss_difference:.2g}, and at least "
        f"{checked.same_answers:.1f} % of the answers are the same"
    )


if __name__ == "__main__":
    main()
