"""What a column of stitched networks does on test images, in float32: errors, losses, agreement, activation gaps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.fit import Cell, column_outputs
from stitchtui.stitching.penalty import paired_interval


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


class _Answers:
    def __init__(self) -> None:
        self.predicted: list[Tensor] = []
        self.wrong: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.finite = True

    def add(self, outputs: Tensor, labels: Tensor) -> None:
        self.finite = self.finite and bool(outputs.isfinite().all())
        predicted = outputs.argmax(-1)
        self.predicted.append(predicted)
        self.wrong.append(predicted != labels)
        self.losses.append(F.cross_entropy(outputs, labels, reduction="none").double())

    def scores(self) -> Scores:
        loss = float(torch.cat(self.losses).mean())
        return Scores(torch.cat(self.predicted), torch.cat(self.wrong), loss, self.finite)


class _Gap:
    """|s(r) - t|^2 / |t|^2 over all images, summed batch by batch in float64."""

    def __init__(self) -> None:
        self.difference = self.size = 0.0

    def add(self, stitched: Tensor, target: Tensor) -> None:
        self.difference += float((stitched - target).square().sum(dtype=torch.float64))
        self.size += float(target.square().sum(dtype=torch.float64))

    def value(self) -> float | None:
        return self.difference / self.size if self.size > 0 else None


@torch.no_grad()
def base_scores(network: Chain, batches: Iterable[tuple[Tensor, Tensor]]) -> Scores:
    """The unstitched network on (images in [0, 1], labels)."""
    answers = _Answers()
    for images, labels in batches:
        answers.add(network.features(images)[-1], labels)
    return answers.scores()


@torch.no_grad()
def column_scores(
    bottom: Chain, top: Chain, cells: Sequence[Cell], batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[list[Scores], list[float | None]]:
    """Each cell's scores, and its activation gap against the top's own activations at the cut."""
    for cell in cells:
        cell.stitch.eval()
    answers, gaps = [_Answers() for _ in cells], [_Gap() for _ in cells]
    for images, labels in batches:
        xs = bottom.features(images, max(c.bottom for c in cells))
        ys = xs if bottom is top else top.features(images, max(c.top for c in cells))
        outputs = column_outputs(top, cells, xs)
        for cell, output, answer, gap in zip(cells, outputs, answers, gaps, strict=True):
            answer.add(output, labels)
            gap.add(cell.stitch(xs[cell.bottom]), ys[cell.top])
    return [a.scores() for a in answers], [g.value() for g in gaps]


def compare(stitched: Scores, top: Scores, bottom: Scores) -> dict[str, float]:
    """A cell's measures that come from answers alone: errors and penalties in points, agreement in percent."""
    measures: dict[str, float] = {
        "error": stitched.error,
        "loss": stitched.loss,
        "top_error": top.error,
        "bottom_error": bottom.error,
        "agreement": 100 * float((stitched.predicted == top.predicted).double().mean()),
        "images": float(len(stitched.wrong)),
    }
    for name, base in (("penalty", top), ("versus_bottom", bottom)):
        worse = int((stitched.wrong & ~base.wrong).sum())
        better = int((base.wrong & ~stitched.wrong).sum())
        interval = paired_interval(len(stitched.wrong), worse, better)
        measures |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return measures
