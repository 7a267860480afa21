"""What a column of stitched networks does on test images, in float32: answers, and how far it leaves the top's ways."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchtui.base.work import Pass
from stitchtui.spec.measures import (
    AGREEMENT,
    BOTTOM_ERROR,
    ERROR,
    IMAGES,
    LOSS,
    PENALTY,
    TOP_ERROR,
    VERSUS_BOTTOM,
    Measure,
)
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import paired_interval
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Seam, column_outputs
from stitchtui.stitching.outlying import Outlying, OwnActivations, outlying
from stitchtui.stitching.streamed import double


@dataclass(frozen=True)
class Scores:
    """One network's answers on every test image."""

    predicted: Tensor  # int64 [images]
    wrong: Tensor  # bool [images]
    loss: float  # mean cross-entropy
    finite: bool  # whether every class score is a number; if not, nothing here means anything

    @property
    def error(self) -> float:
        """Test error in percent."""
        return 100 * int(self.wrong.sum()) / len(self.wrong)

    @property
    def wrong_text(self) -> str:
        """Which images are answered wrongly, as a log carries it."""
        return AnswerBits.of(self.wrong.tolist()).text


@dataclass(frozen=True)
class Measured:
    """A seam on the test images: its answers, and how it differs from the top at its cut and after it."""

    scores: Scores
    gap: float | None  # |s(r) - t|^2 / |t|^2 at the cut; None where the top's own activations are all 0
    later_gaps: tuple[float | None, ...]  # the same at each later cut of the top, in order; empty unless asked for
    js_distance: float  # Jensen-Shannon, base 2, between its and the top's class probabilities: 0 to 1, image mean
    outlying: Outlying | None  # None unless asked for


class _Answers:
    def __init__(self) -> None:
        self.predicted: list[Tensor] = []
        self.wrong: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.finite: list[Tensor] = []

    def add(self, outputs: Tensor, labels: Tensor) -> None:
        self.finite.append(outputs.isfinite().all())
        predicted = outputs.argmax(-1)
        self.predicted.append(predicted)
        self.wrong.append(predicted != labels)
        self.losses.append(double(F.cross_entropy(outputs, labels, reduction="none")))

    def scores(self) -> Scores:
        loss, finite = float(torch.cat(self.losses).mean()), bool(torch.stack(self.finite).all())
        return Scores(torch.cat(self.predicted), torch.cat(self.wrong), loss, finite)


class _Tally:
    """A seam's measures, summed batch by batch where its tensors are."""

    def __init__(self, top: Chain, seam: Seam, own: OwnActivations | None, later: bool) -> None:
        self.seam, self.own, self.output, self.answers = seam, own, top.output, _Answers()
        self.last = max(seam.top, top.output - 1) if later else seam.top  # the boundary of the last gap
        self.sums: dict[int, Tensor] = {}  # [|difference|^2, |target|^2] by boundary
        self.distances: list[tuple[Tensor, Tensor]] = []
        self.js_distances: list[Tensor] = []

    def see(self, boundary: int, stitched: Tensor, target: Tensor) -> None:
        if boundary <= self.last:
            squares = double(torch.stack([(stitched - target).square().sum(), target.square().sum()]))
            self.sums[boundary] = self.sums.get(boundary, 0) + squares
        if boundary == self.seam.top and self.own is not None:
            self.distances.append((self.own.distances(stitched), self.own.distances(target)))

    def answer(self, outputs: Tensor, target: Tensor, labels: Tensor) -> None:
        if self.seam.top == self.output:  # a stitch to the output itself, such as a retrained tail
            self.see(self.output, outputs, target)
        self.answers.add(outputs, labels)
        self.js_distances.append(js_distance(outputs, target))

    def measured(self) -> Measured:
        gaps = [_ratio(*self.sums[boundary].tolist()) for boundary in range(self.seam.top, self.last + 1)]
        far = [torch.cat(parts) for parts in zip(*self.distances, strict=True)]
        found = outlying(far[0], far[1]) if far else None
        mean = float(torch.cat(self.js_distances).mean())
        return Measured(self.answers.scores(), gaps[0], tuple(gaps[1:]), mean, found)


def _ratio(difference: float, size: float) -> float | None:
    return difference / size if size > 0 else None


def js_distance(scores: Tensor, others: Tensor) -> Tensor:
    """Jensen-Shannon distance (base 2, 0 to 1) of the softmax of each row of two [images, classes]; [images]."""
    # In float64: of a divergence that rounding leaves at 1e-7 the root is no longer small.
    p, q = double(scores).softmax(-1), double(others).softmax(-1)
    return (_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2).clamp(0, 1).sqrt()


def _entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum(-1) / math.log(2)


def base_scores(network: Chain, batches: Iterable[tuple[Tensor, Tensor]]) -> Pass[Scores]:
    """The unstitched network on (images, labels)."""
    return scores_of(lambda images: network.features(images)[-1], batches)


@torch.no_grad()
def scores_of(outputs: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]) -> Pass[Scores]:
    """The class scores that `outputs` gives, on (images, labels)."""
    answers = _Answers()
    for images, labels in batches:
        answers.add(outputs(images), labels)
        yield len(images)
    return answers.scores()


@torch.no_grad()
def column_measures(
    bottom: Chain,
    top: Chain,
    seams: Sequence[Seam],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    own: Sequence[OwnActivations | None] | None = None,
    later: bool = False,
) -> Pass[list[Measured]]:
    """Every seam's measures on (images, labels), from one pass of the bottom, the top and its tails.

    With `own` (one per seam, for the seam's top boundary) also how outlying what the top is fed is; with `later` also
    the gaps at the cuts after each seam's.
    """
    for seam in seams:
        seam.stitch.eval()
    owns = own if own is not None else [None] * len(seams)
    tallies = [_Tally(top, seam, mine, later) for seam, mine in zip(seams, owns, strict=True)]
    for images, labels in batches:
        ys = top.features(images)
        xs = ys if bottom is top else bottom.features(images, max(c.bottom for c in seams))
        outputs = column_outputs(top, seams, xs, partial(_see, tallies, ys))
        for tally, output in zip(tallies, outputs, strict=True):
            tally.answer(output, ys[-1], labels)
        yield len(images)
    return [tally.measured() for tally in tallies]


def _see(tallies: Sequence[_Tally], targets: Sequence[Tensor], boundary: int, order: list[int], joined: Tensor) -> None:
    for k, stitched in zip(order, joined.chunk(len(order)), strict=True):
        tallies[k].see(boundary, stitched, targets[boundary])


def column_scores(
    bottom: Chain, top: Chain, seams: Sequence[Seam], batches: Iterable[tuple[Tensor, Tensor]]
) -> Pass[tuple[list[Scores], list[float | None]]]:
    """Each seam's scores, and its activation gap against the top's own activations at the cut."""
    found = yield from column_measures(bottom, top, seams, batches)
    return [m.scores for m in found], [m.gap for m in found]


def compare(stitched: Scores, top: Scores, bottom: Scores | None) -> dict[str, float]:
    """A seam's measures that come from answers alone: errors and penalties in points, agreement in percent.

    A bottom that is no network (class-cluster noise) has no answers: nothing is then said against it.
    """
    measures: dict[str, float] = {
        ERROR.name: stitched.error,
        LOSS.name: stitched.loss,
        TOP_ERROR.name: top.error,
        AGREEMENT.name: 100 * int((stitched.predicted == top.predicted).sum()) / len(top.predicted),
        IMAGES.name: float(len(stitched.wrong)),
    }
    measures |= _penalty(PENALTY, stitched, top)
    if bottom is not None:
        measures |= {BOTTOM_ERROR.name: bottom.error} | _penalty(VERSUS_BOTTOM, stitched, bottom)
    return measures


def _penalty(measure: Measure, stitched: Scores, base: Scores) -> dict[str, float]:
    worse = int((stitched.wrong & ~base.wrong).sum())
    better = int((base.wrong & ~stitched.wrong).sum())
    found = paired_interval(len(stitched.wrong), worse, better)
    return dict(zip((measure.name, *measure.ends), (found.value, found.low, found.high), strict=True))
