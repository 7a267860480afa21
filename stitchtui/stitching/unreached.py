"""Seams whose stitch no gradient reaches, so that training would leave it as it is, and the operation that stops it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchtui.base.device import is_out_of_memory
from stitchtui.stitching import objectives
from stitchtui.stitching.blocks import function_name, scopes
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.seams import Seam
from stitchtui.stitching.tracing import first_line

IMAGES = 16


def unreached(
    bottom: Chain, top: Chain, seams: Sequence[Seam], batch: tuple[Tensor, Tensor], objective: str
) -> dict[int, str]:
    """The seams, by number, whose stitches `objective` has no gradient for, and why.

    `batch` are images and labels. A loss that is down at exactly zero has no gradient either, but nothing
    stops it: its seam is not among these.
    """
    try:
        return _unreached(bottom, top, seams, batch, objective)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        if len(seams) == 1:  # such as an operation that has no backward pass
            return {0: f"no gradient reaches the stitch: {first_line(error)}"}
    each = [unreached(bottom, top, [seam], batch, objective) for seam in seams]
    return {k: reason for k, found in enumerate(each) for reason in found.values()}


def _unreached(
    bottom: Chain, top: Chain, seams: Sequence[Seam], batch: tuple[Tensor, Tensor], objective: str
) -> dict[int, str]:
    images, labels = batch
    with torch.no_grad():
        features = bottom.features(images, max(c.bottom for c in seams))
        target = objectives.target(objective, top, images, labels)
    loss = objectives.scored(objective, top, seams, features, target)[0].sum()
    weights = [list(seam.stitch.parameters()) for seam in seams]
    every = [p for own in weights for p in own]
    found = torch.autograd.grad(loss, every, allow_unused=True) if loss.requires_grad and every else [None] * len(every)
    reached = {p for p, gradient in zip(every, found, strict=True) if gradient is not None and bool(gradient.any())}
    reasons: dict[int, str] = {}
    for k, (seam, own) in enumerate(zip(seams, weights, strict=True)):
        if own and not reached.intersection(own):
            with torch.no_grad():
                x = seam.stitch(features[seam.bottom])
            if what := what_stops(top.segments[seam.top :], x):
                reasons[k] = f"no gradient reaches the stitch: {what} lets none through"
    return reasons


def what_stops(segments: Iterable[nn.Module], x: Tensor) -> str | None:
    """The operation that lets no gradient through from the scores back to `x`, or None if some arrives.

    `segments` are those of a chain from a cut on, and `x` [batch, ...] is the tensor there.
    """
    seen: list[_Seen] = []
    value = x = x.detach().requires_grad_(True)
    for part in _parts(segments):
        value = _Watch(part, seen).run(value) if isinstance(part, fx.GraphModule) else part(value)
    if value.requires_grad:
        weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).to(value)
        (value * weights).sum().backward()
    if x.grad is not None and bool(x.grad.any()):
        return None
    if value.requires_grad:
        stops = [node for node, given, made in seen if any(map(_alive, made)) and not any(map(_alive, given))]
    else:
        stops = [node for node, _, made in seen if not any(t.requires_grad for t in made)]
    return _name(stops[-1]) if stops else None


def _parts(segments: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The segments, and what each consists of where that is several modules in order."""
    for segment in segments:
        if type(segment) is nn.Sequential:
            yield from _parts(segment)
        else:
            yield segment


_Seen = tuple[fx.Node, list[Tensor], list[Tensor]]
"""An operation, what it was given that depends on the cut's tensor, and what it made."""


class _Watch(fx.Interpreter):
    """Runs a segment and keeps its tensors, with the gradients that come to them."""

    def __init__(self, segment: fx.GraphModule, seen: list[_Seen]) -> None:
        super().__init__(segment)
        self._seen = seen

    def run_node(self, n: fx.Node) -> Any:
        given = [t for t in _tensors(self.fetch_args_kwargs_from_env(n)) if t.requires_grad]
        value = super().run_node(n)
        made = _tensors(value)
        for tensor in made:
            if tensor.requires_grad:
                tensor.retain_grad()
        if given:
            self._seen.append((n, given, made))
        return value


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    fx.node.map_aggregate(value, lambda a: found.append(a) if isinstance(a, Tensor) else None)
    return found


def _alive(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.grad is not None and bool(tensor.grad.any())


def _name(node: fx.Node) -> str:
    if node.op == "call_module":
        return str(node.target)
    name = f".{node.args[1]}" if node.target is getattr else function_name(node)
    within = scopes(node)
    return f"{name} in {within[-1]}" if within else name
