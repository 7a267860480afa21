"""A traced network beside the network itself: the same outputs, the same gradients, or the true reason why not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchtui.base.device import is_out_of_memory
from stitchtui.stitching.tracing import Graph, Untraceable, first_line

GRADIENT_IMAGES = 2
_TOLERANCE = 1e-3  # of the scores' spread, or of a gradient's norm
_TOLERANCE_OF_HALVES = 0.05
_MIXES = (
    "mixes the images of a batch (such as BatchNorm without running statistics): its cells would depend on each other"
)


def own_output(network: nn.Module, batch: Tensor) -> Any:
    """What the network itself gives. Raises Untraceable if it can't take the images."""
    try:
        with torch.no_grad():
            return network(batch.clone())
    except Exception as error:  # whatever the network's own code raises on these images
        if is_out_of_memory(error):
            raise
        size = "x".join(map(str, batch.shape[1:]))
        raise Untraceable(f"{type(network).__name__} fails on images of {size}: {first_line(error)}") from error


def own_outputs(network: nn.Module, batch: Tensor) -> tuple[Any, Any]:
    """What the network itself gives in two calls. Raises Untraceable if it can't take the images, or changes."""
    first = own_output(network, batch)  # which may fill what it keeps for such sizes
    before = {name: (id(b), b._version) for name, b in network.named_buffers()}
    second = own_output(network, batch)
    changed = [name for name, b in network.named_buffers() if before.get(name) != (id(b), b._version)]
    if changed:
        raise Untraceable(
            f"{type(network).__name__} changes its own {changed[0]} whenever it is called, in eval mode, too, so that "
            "it can't be frozen: make that depend on self.training"
        )
    return first, second


def check_outputs(
    graph: Graph, own: tuple[Tensor, Tensor], found: Tensor, fewer: Tensor, written: fx.Node | None
) -> None:
    """Raise Untraceable if the graph differs from the network, or an image's scores from its batch's company.

    `own` are the network's scores for a batch from two calls, `found` the graph's for it, `fewer` the graph's for
    fewer of its images. `written` is a cut whose tensor was written over after it had been handed out.
    """
    expected, again = own
    if expected.is_meta:  # a build of the network on the meta device, without numbers to compare
        return
    name = graph.module._get_name()
    if written is not None or not _close(found, expected):
        raise Untraceable(f"{name} {_why(graph, written, steady=_close(again, expected))}")
    if not _close(fewer, expected[: len(fewer)]):
        raise Untraceable(f"{name} {_MIXES}")


def _close(found: Tensor, expected: Tensor) -> bool:
    """Whether two batches of scores are the same to rounding; NaN is like nothing."""
    share = _TOLERANCE if torch.finfo(expected.dtype).bits > 16 else _TOLERANCE_OF_HALVES
    spread = float(expected.max()) - float(expected.min())  # what tells classes apart, however large or small it is
    size = float(expected.abs().max())
    return float((found - expected).abs().max()) <= share * spread + 8 * torch.finfo(expected.dtype).eps * size


def _why(graph: Graph, written: fx.Node | None, *, steady: bool) -> str:
    if written is None and not steady:
        return (
            "gives other scores each time that it is called with the same images, in eval mode, too (dropout or noise "
            "that is always on): make that depend on self.training"
        )
    if written is None and graph.autocast is not None:
        return _autocast(graph.autocast)
    if written is not None or graph.in_place:
        where = "" if written is None else f", such as what {written.name} makes,"
        return (
            f"writes over its own tensors (in-place operations){where} in a way that a cut would undo; "
            "set inplace=False, and write x = x + y for x += y"
        )
    return (
        "computes something else than its graph: its forward() does what tracing can't see, such as going by a global, "
        "by the images' numbers or by what an earlier call left; name the module that does with --leaf"
    )


def _autocast(module: str) -> str:
    where = f"in {module}" if module else "in its own forward()"
    advice = f"take that module whole (--leaf {module})" if module else "leave that to its caller"
    return f"computes under torch.autocast {where}, which a graph doesn't hold: {advice}"


def check_chain(network: nn.Module, graph: Graph, chain: nn.Module, batch: Tensor, scores: Tensor) -> tuple[str, ...]:
    """Compare class scores, and their gradients in the images and in a parameter of every layer; returns notes.

    `chain` is the graph cut at every cut; `scores` are the network's own for the whole batch, of which the last images
    are looked at, since a network that mixes images may do so in their order. A stitch learns through what lies above
    it, so that equal scores aren't enough. Raises Untraceable where the chain differs. Layers that the network puts
    under torch.no_grad() have gradients in it.
    """
    images, expected = batch[-GRADIENT_IMAGES:], scores[-GRADIENT_IMAGES:]
    if images.is_meta:
        return ()
    name = type(network).__name__
    with torch.no_grad():
        found = chain(images.clone())
    if not _close(found, expected):
        mixes = _close(found, own_output(network, images))
        raise Untraceable(
            f"{name} {_MIXES}"
            if mixes
            else f"{name} computes something else once it is cut; please report this network"
        )
    layers = {path: p for path, layer in network.named_modules() if (p := _smallest(layer)) is not None}
    with _learnable(list(layers.values())):
        own = _gradients(network, images, list(layers.values()))
        cut = _gradients(chain, images, list(layers.values()))
    if own is None or cut is None:
        return ()  # what can't be differentiated at all is found where a stitch would have to learn through it
    pairs = list(zip(("", *layers), own, cut, strict=True))
    wrong = next((path for path, a, b in pairs if a is not None and not _same(a, b)), None)
    if wrong is not None and graph.autocast is not None:
        raise Untraceable(f"{name} {_autocast(graph.autocast)}")
    if wrong is not None:
        what = f"the gradient at {wrong}" if wrong else "the images' gradient"
        raise Untraceable(
            f"{name}: {what} is another through its graph than through itself (a backward pass of "
            "its own, such as a hook on a tensor, which tracing loses); name the module that has it with --leaf"
        )
    shut = [path for path, a, b in pairs if a is None and b is not None and bool(b.any())]
    if not shut:
        return ()
    return (f"what it computes under torch.no_grad() (the last is {shut[-1]}) is trained through all the same",)


def _smallest(layer: nn.Module) -> nn.Parameter | None:
    own = [p for p in layer.parameters(recurse=False) if p.is_floating_point()]
    return min(own, key=nn.Parameter.numel, default=None)


@contextmanager
def _learnable(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    before = [p.requires_grad for p in parameters]
    try:
        for p in parameters:
            p.requires_grad_(True)
        yield
    finally:
        for p, learnt in zip(parameters, before, strict=True):
            p.requires_grad_(learnt)


def _gradients(
    run: Callable[[Tensor], Tensor], images: Tensor, parameters: Sequence[nn.Parameter]
) -> list[Tensor | None] | None:
    """Those of a weighted sum of the scores: the images' first, then each parameter's; None if there can't be any."""
    x = images.clone().requires_grad_(True)
    try:
        with torch.enable_grad():
            scores = run(x.clone())  # no leaf, which must not be written over
            weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0)).to(scores)
            if not scores.requires_grad:
                return [None] * (1 + len(parameters))
            return list(torch.autograd.grad((scores * weights).sum(), [x, *parameters], allow_unused=True))
    except RuntimeError as error:  # such as an operation that has no backward pass
        if is_out_of_memory(error):
            raise
        return None


def _same(one: Tensor, other: Tensor | None) -> bool:
    other = torch.zeros_like(one) if other is None else other
    return float((one - other).norm()) <= _TOLERANCE * float(one.norm()) + 1e-7
