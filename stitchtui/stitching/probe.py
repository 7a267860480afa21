"""Linear probes: how well class is read off a bottom's pooled features by itself, without any top."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchtui.base.work import Pass
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.evaluate import Scores
from stitchtui.stitching.streamed import channel_axis, double, pooled

L2 = 1e-4
ITERATIONS = 300

Batches = Iterable[tuple[Tensor, Tensor]]
"""(images, labels), every image once."""


def linear_probes(
    bottom: Chain, boundaries: Sequence[int], train: Batches, test: Batches, *, classes: int, l2: float = L2
) -> Pass[list[Scores]]:
    """What a linear classifier on the features at each of `boundaries` answers on test images.

    Features are the means over positions, standardised by their training mean and deviation; the classifier is
    multinomial logistic regression with `l2` / 2 times its squared weights beside the mean cross-entropy, taken to its
    optimum. Each part is passed once; of every image the pooled channels at all boundaries are held.
    """
    trained, labels = yield from _features(bottom, boundaries, train)
    tested, expected = yield from _features(bottom, boundaries, test)
    found = []
    for seen, unseen in zip(trained, tested, strict=True):
        x, y = _standardised(seen, unseen)
        weight, bias = logistic_regression(x, labels, classes, l2)
        found.append(_scores(y @ weight.T + bias, expected))
    return found


@torch.no_grad()
def _features(bottom: Chain, boundaries: Sequence[int], batches: Batches) -> Pass[tuple[list[Tensor], Tensor]]:
    """Of all images the pooled features [images, channels] at each boundary, and the labels [images]."""
    axes = [channel_axis(bottom, boundary) for boundary in boundaries]
    parts, labels = [], []
    for images, these in batches:
        found = bottom.features(images, max(boundaries))
        parts.append([pooled(found[b], axis).float() for b, axis in zip(boundaries, axes, strict=True)])
        labels.append(these)
        yield len(images)
    return [torch.cat(same) for same in zip(*parts, strict=True)], torch.cat(labels)


def _standardised(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both by the mean and deviation of `train`; a channel that never varies becomes 0."""
    mean, deviation = train.mean(0), train.std(0, correction=0)
    # What hardly varies beside its own size is rounding, which must not be blown up to unit variance.
    scale = torch.where(deviation > 1e-6 * (mean.abs() + 1e-30), 1 / deviation.clamp_min(1e-30), 0)
    return (train - mean) * scale, (test - mean) * scale


def _scores(outputs: Tensor, labels: Tensor) -> Scores:
    predicted = outputs.argmax(1)
    loss = float(double(F.cross_entropy(outputs, labels, reduction="none")).mean())
    return Scores(predicted, predicted != labels, loss, bool(outputs.isfinite().all()))


def logistic_regression(features: Tensor, labels: Tensor, classes: int, l2: float) -> tuple[Tensor, Tensor]:
    """Weight [classes, channels] and bias [classes] that minimise mean cross-entropy + l2 / 2 |weight|^2, by L-BFGS.

    For float32 `features` [images, channels] of about unit variance. The problem is convex, so nothing is drawn. Not
    finite where the features aren't.
    """
    if not bool(features.isfinite().all()):
        return features.new_full((classes, features.shape[1]), torch.nan), features.new_full((classes,), torch.nan)
    weight = torch.zeros(classes, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(classes, device=features.device, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(features, weight, bias), labels) + l2 / 2 * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weight.detach(), bias.detach()
