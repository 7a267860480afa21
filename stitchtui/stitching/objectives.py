"""What a stitch can be trained for: the labels, the top's own answers, or the top's own activations further up."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from stitchtui.base.registry import load
from stitchtui.spec.objectives import OBJECTIVES, is_matched_last
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.seams import Features, Seam, column_outputs

Loss = Callable[[Tensor, "Target"], Tensor]
"""From the class scores [seams, batch, classes] of one batch, float32, and its target to the losses [seams, batch]."""


def check_objective(objective: str) -> None:
    """Raise ValueError for one that isn't known, or trains nothing."""
    known = [name for name, each in OBJECTIVES.items() if each.trains]
    if objective not in known:
        raise ValueError(f"objective '{objective}' is not known; expected one of {', '.join(known)}")


def objective_at(objective: str, share: float, step: int, steps: int) -> str:
    """What step `step` of `steps`, counted from 1, is trained for: `..._then_task` changes after `share` of them."""
    if not (phases := OBJECTIVES[objective].phases):
        return objective
    return phases[0] if step <= round(share * steps) else phases[1]


def cuts_for(objective: str, traced: Traced, chosen: Sequence[Cut]) -> tuple[Cut, ...]:
    """Where the top must be cut for the objective, in order: at `chosen`, and where it has to be matched beyond them.

    The last features are those at `penultimate`; a trajectory is matched at every block's end.
    """
    wanted = {c.name for c in chosen}
    known = OBJECTIVES[objective]
    if is_matched_last(known) and (last := penultimate(traced)) is not None:
        wanted.add(last.name)
    if known.matches == "later":
        wanted.update(c.name for c in traced.select("blocks"))
    return tuple(c for c in traced.cuts if c.name in wanted)


def penultimate(traced: Traced) -> Cut | None:
    """The last cut before the last layer that has weights: what a network's classifier reads."""
    position = {node: i for i, node in enumerate(traced.live)}
    last = max((i for node, i in position.items() if _has_weights(traced.module, node)), default=0)
    before = [c for c in traced.cuts if position[traced.nodes[c.name]] < last]
    return before[-1] if before else None


def _has_weights(module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return next(module.get_submodule(str(node.target)).parameters(), None) is not None
    return node.op == "call_function" and any(n.op == "get_attr" for n in node.all_input_nodes)


@dataclass(frozen=True)
class Target:
    """What one batch's stitched networks are to match."""

    labels: Tensor  # int64 [batch]
    own: list[Tensor]  # the top's own tensors at its boundaries 0, 1, ...; empty where the objective needs none


def target(objective: str, top: Chain, images: Tensor, labels: Tensor) -> Target:
    """The target for one batch: where the objective needs them, the top's own tensors, from a pass of its own."""
    if not OBJECTIVES[objective].needs_top:
        return Target(labels, [])
    with torch.no_grad():
        return Target(labels, top.features(images))


class Losses:
    """One batch's loss for each seam of a column, gathered while its tensors travel through the top.

    With `each` it is that of each image.
    """

    def __init__(self, objective: str, top: Chain, target: Target, seams: int, each: bool = False) -> None:
        self.objective, self.top, self.target, self.each = OBJECTIVES[objective], top, target, each
        self.matched: list[list[Tensor]] = [[] for _ in range(seams)]

    def see(self, boundary: int, order: Sequence[int], joined: Tensor) -> None:
        """What seams `order` have at a boundary before the output: `joined`, [seams on board * batch, ...]."""
        last = boundary == self.top.output - 1
        if self.objective.matches == "later" or (self.objective.matches == "last" and last):
            axis = self.top.cuts[boundary - 1].channel_axis
            errors = unexplained(joined.unflatten(0, (len(order), -1)), self.target.own[boundary], axis, self.each)
            for k, error in zip(order, errors.unbind(), strict=True):
                self.matched[k].append(error)

    def of(self, scores: Tensor) -> Tensor:
        """The losses [seams], or [seams, batch], from the class scores [seams, batch, classes], float32."""
        if not self.objective.matches:
            loss: Loss = load(self.objective.loss)
            losses = loss(scores, self.target)
            return losses if self.each else losses.mean(1)
        return torch.stack([torch.stack(errors).sum(0) for errors in self.matched])


def scored(
    objective: str,
    top: Chain,
    seams: Sequence[Seam],
    features: Features,
    target: Target,
    *,
    autocast: contextlib.AbstractContextManager[object] | None = None,
    each: bool = False,
) -> tuple[Tensor, Tensor]:
    """Each seam's loss, which can be gone back through, and accuracy on one batch, of the bottom's `features`.

    Both are [seams] or, with `each`, of each image: [seams, batch]. The networks compute under `autocast`; losses are
    of float32 numbers outside it.
    """
    losses = Losses(objective, top, target, len(seams), each)
    with autocast or contextlib.nullcontext():
        outputs = column_outputs(top, seams, features, losses.see)
    scores = torch.stack([o.float() for o in outputs])  # [seams, batch, classes]
    right = (scores.detach().argmax(-1) == target.labels).float()
    return losses.of(scores), right if each else right.mean(1)


def against_labels(scores: Tensor, target: Target) -> Tensor:
    """Return the cross-entropy with the labels."""
    return _cross_entropy(scores, target.labels)


def against_top(scores: Tensor, target: Target) -> Tensor:
    """Return the cross-entropy with the top's own class probabilities."""
    return _cross_entropy(scores, target.own[-1].float().softmax(-1))


def _cross_entropy(scores: Tensor, answers: Tensor) -> Tensor:
    repeated = answers.repeat(len(scores), *[1] * (answers.dim() - 1))
    return F.cross_entropy(scores.flatten(0, 1), repeated, reduction="none").view(len(scores), -1)


def unexplained(features: Tensor, own: Tensor, channel_axis: int, each: bool = False) -> Tensor:
    """Mean squared error of `features` [seams, batch, ...] as a share of the variance of `own` [batch, ...].

    It is that of each seam or, with `each`, of each image: [seams, batch]. The variance is that around each channel's
    mean over the batch and all positions.
    """
    own = own.float()
    places = [d for d in range(own.dim()) if d != channel_axis % own.dim()]
    variance = (own - own.mean(places, keepdim=True)).square().mean()
    floor = 1e-6 * own.square().mean() + torch.finfo(torch.float32).tiny  # features that never vary
    return (features.float() - own).square().flatten(2 if each else 1).mean(-1) / torch.maximum(variance, floor)


def sparse_weights(stitch: nn.Module) -> list[nn.Parameter]:
    """The weights of a stitch that `l1` acts on: those of an affine stitch."""
    weight = getattr(stitch, "weight", None)
    return [weight] if isinstance(weight, nn.Parameter) else []


@torch.no_grad()
def shrink(weights: Sequence[nn.Parameter], amount: float) -> None:
    """The proximal step of an l1 penalty: every weight moves towards 0 by `amount`, and stays at 0 once there."""
    for weight in weights:
        weight.copy_(F.softshrink(weight, amount))


def sparsity(stitch: nn.Module) -> float:
    """The share of weights that are exactly 0; 0 for a stitch without any."""
    weights = sparse_weights(stitch)
    zeros = sum(int((w == 0).sum()) for w in weights)
    return zeros / max(1, sum(w.numel() for w in weights))
