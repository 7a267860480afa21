"""A network as a graph of torch.fx: what is taken whole, and what stands in for a forward() that fx can't follow."""

import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, fx, nn

from stitchtui.base.errors import not_known
from stitchtui.base.text import plain
from stitchtui.stitching.out_of_place import writes_for_effect
from stitchtui.stitching.recorded import AutogradFunction, recorded, unmarked
from stitchtui.stitching.sizes import SizeTracer

SEVERAL = 5
SHOWN = 100  # characters of somebody else's error or line of code that a message repeats
_NOT_THE_USERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))

_ONE_AT_A_TIME = threading.Lock()

Plan = list[tuple[nn.Module, bool]]
"""Modules to run one after another, and before which of them all axes but the first become one."""


class Untraceable(ValueError):
    """A network that can't be turned into a graph; its text is one line that names the operation."""


@dataclass(frozen=True)
class Graph:
    """A traced network, and what a person should know of how it was traced."""

    module: fx.GraphModule
    arguments: tuple[Any, ...]  # what the graph takes beyond the images
    whole: tuple[str, ...]  # the paths of modules that are not looked into, torch's own layers left out
    notes: tuple[str, ...] = ()
    autocast: str | None = None  # the module that computes under torch.autocast, which the graph doesn't hold
    in_place: bool = False  # whether something was written over for no more than its effect


@dataclass(frozen=True)
class _Failure:
    path: str  # of the innermost module whose forward() failed; "" is the network itself
    error: Exception


def trace(network: nn.Module, batch: Tensor, leaves: Sequence[str] = ()) -> Graph:
    """The graph of `network`, with arguments beyond the images at their defaults and `leaves` taken whole.

    A leaf is a module's path, or a class's name for all of its instances. Where the forward() of a module can't be
    traced, its children in order stand in for it if they compute the same on `batch`, a part of it and its negative.
    Raises Untraceable, which says what stopped the tracing where, and which leaves would do.
    """
    _check_leaves(network, leaves)
    batch, arguments = several(batch), defaults(network)
    plans: dict[str, Plan] = {}
    stuck: list[_Failure] = []
    while True:
        whole = (*leaves, *(_word(network, f.path) for f in stuck))
        found, tracer = _attempt(network, batch, whole, plans, arguments)
        if isinstance(found, fx.GraphModule):
            if stuck:
                raise Untraceable(_text(network, stuck)) from stuck[0].error
            given = () if "" in plans else tuple(arguments.values())
            notes = tuple(_note(network, path) for path in plans)
            return Graph(found, given, tuple(tracer.whole), notes, tracer.autocast, writes_for_effect(found))
        plan = None if found.path in plans else _plan(network, found.path, batch)
        if plan is not None:
            plans[found.path] = plan
            continue
        if not found.path or any(f.path == found.path for f in stuck):
            raise Untraceable(_text(network, [found])) from found.error
        stuck.append(found)


def several(example: Tensor) -> Tensor:
    """Five images: the first of `example`, or those over again."""
    return example.repeat(-(-SEVERAL // len(example)), *[1] * (example.dim() - 1))[:SEVERAL]


def source(module: fx.GraphModule, whole: Sequence[str]) -> str:
    """The code of the classes of what is taken whole: all that says what it computes, since no graph does."""
    layers = [layer for path in whole for layer in module.get_submodule(path).modules()]
    classes = {type(layer) for layer in layers if not type(layer).__module__.startswith("torch.")}
    functions = {n.target.kind for n in module.graph.nodes if isinstance(n.target, AutogradFunction)}
    return "\n".join(sorted(map(_source, classes | functions)))


def _source(kind: type[Any]) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # made by exec or typed at a prompt
        return kind.__qualname__


def defaults(network: nn.Module) -> dict[str, Any]:
    """The arguments of forward() beyond the images, which keep their defaults; tracing needs them as constants."""
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def first_line(error: Exception) -> str:
    """What an error says first, or its kind."""
    return plain((str(error).strip().splitlines() or [type(error).__name__])[0])


def _check_leaves(network: nn.Module, leaves: Sequence[str]) -> None:
    paths = [path for path, _ in network.named_modules() if path]
    classes = {type(module).__name__ for path, module in network.named_modules() if path}
    for leaf in leaves:
        if leaf not in paths and leaf not in classes:
            raise Untraceable(f"leaf {plain(not_known(leaf, [*paths, *sorted(classes)]))}")


def _whole_by_timm() -> tuple[tuple[type[nn.Module], ...], tuple[Callable[..., Any], ...]]:
    """The classes and functions that timm, where it is in use, says fx has to take whole."""
    models = sys.modules.get("timm.models")
    if models is None:
        return (), ()
    return tuple(models.get_notrace_modules()), tuple(models.get_notrace_functions())


class _Tracer(SizeTracer):
    """Follows the images through a network, and remembers where it could not."""

    def __init__(self, batches: Sequence[Tensor], leaves: Sequence[str], plans: Mapping[str, Plan]) -> None:
        self._classes, functions = _whole_by_timm()
        super().__init__(batches, functions)
        self._leaves, self._plans = set(leaves), plans
        self.whole: dict[str, None] = {}
        self.failed = ""
        self.autocast: str | None = None

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The graph of `root`; which module enters autocast is remembered, since a graph can't say so."""
        enter = torch.autocast.__enter__

        def noted(mode: Any) -> Any:
            entered = enter(mode)
            if self.autocast is None and not self.runs and torch.is_autocast_enabled(mode.device):
                self.autocast = self.scope.module_path
            return entered

        # fx changes nn.Module itself while it traces: two threads would restore each other's change.
        with _ONE_AT_A_TIME, unmarked(root), recorded(), patch.object(torch.autocast, "__enter__", noted):
            return super().trace(root, concrete_args)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if super().is_leaf_module(m, module_qualified_name):
            return True
        asked = {module_qualified_name, type(m).__name__} & self._leaves
        if asked or isinstance(m, self._classes):
            self.whole[module_qualified_name] = None
            return True
        return False

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self.runs:
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        plan = self._plans.get(path)
        try:
            return super().call_module(m, forward if plan is None else lambda x: _run(plan, x), args, kwargs)
        except Exception:
            self.failed = self.failed or path  # the innermost is the first to see it
            raise


def _attempt(
    network: nn.Module, batch: Tensor, whole: Sequence[str], plans: Mapping[str, Plan], arguments: Mapping[str, Any]
) -> tuple[fx.GraphModule | _Failure, _Tracer]:
    """Trace with buffers as they are; where that fails, such as at one that takes a size of the images, as symbols."""
    root = _InOrder(network, plans[""]) if "" in plans else network
    given = {} if "" in plans else dict(arguments)
    failed: tuple[_Failure, _Tracer] | None = None
    for symbols in (False, True):
        tracer = _Tracer((batch, batch[:-2], batch[:1]), whole, plans)
        tracer.proxy_buffer_attributes = symbols
        try:
            return fx.GraphModule(root, tracer.trace(root, given or None), type(network).__name__), tracer
        except Exception as error:  # whatever the network's own code raises on a symbolic tensor
            failed = failed or (_Failure(tracer.failed, error), tracer)
    assert failed is not None
    return failed


class _InOrder(nn.Module):
    """A network's children under their own names, run as `plan` says in place of the network's forward()."""

    def __init__(self, network: nn.Module, plan: Plan) -> None:
        super().__init__()
        for name, child in network.named_children():
            self.add_module(name, child)
        self._plan = plan
        self.training = network.training

    def forward(self, x: Any) -> Any:
        return _run(self._plan, x)


def _run(plan: Plan, x: Any) -> Any:
    for module, flatten in plan:
        x = module(x.flatten(1) if flatten else x)
    return x


def _plan(network: nn.Module, path: str, batch: Tensor) -> Plan | None:
    """The children of the module at `path` in order, if they do what it does for three batches of three sizes."""
    module = network.get_submodule(path)
    plan: Plan = []
    try:
        seen = [_seen(network, module, images) for images in (batch, batch[:-2], -batch[:-1])]
        with torch.no_grad():
            x = seen[0][0].clone()
            for step in _steps(module):
                plan.append((step, x.dim() > 2 and isinstance(next(_weighted(step), None), nn.Linear)))
                x = _run(plan[-1:], x)
            return plan if plan and all(_close(_run(plan, given.clone()), made) for given, made in seen) else None
    except Exception:  # they don't fit together
        return None


def _seen(network: nn.Module, module: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What `module` was given and made of it, in its first call while `network` takes `images`; tensors only."""
    given: list[Tensor] = []
    made: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: given.extend(x.clone() for x in inputs)),
        module.register_forward_hook(lambda _, __, output: made.append(output.clone())),
    ]
    try:
        with torch.no_grad():
            network(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return given[0], made[0]


def _steps(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from _steps(child)
        else:
            yield child


def _weighted(module: nn.Module) -> Iterator[nn.Module]:
    return (m for m in module.modules() if next(m.parameters(recurse=False), None) is not None)


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def _note(network: nn.Module, path: str) -> str:
    name = f"{path} ({_kind(network, path)})" if path else _kind(network, path)
    return f"the forward() of {name} can't be traced; its layers in order, which compute the same, stand in for it"


def _kind(network: nn.Module, path: str) -> str:
    return type(network.get_submodule(path)).__name__


def _word(network: nn.Module, path: str) -> str:
    """How to name the module as a leaf: by its class where that has several instances."""
    kind = _kind(network, path)
    return kind if sum(type(m).__name__ == kind for m in network.modules()) > 1 else path


def _text(network: nn.Module, stuck: Sequence[_Failure]) -> str:
    first = stuck[0]
    reason = first_line(first.error).partition(". ")[0][:SHOWN]
    where = f"in {first.path} ({_kind(network, first.path)})" if first.path else "in its own forward()"
    if first.path:
        words = dict.fromkeys(_word(network, failure.path) for failure in stuck)
        advice = "to take it whole, without cuts inside, add " + " ".join(f"--leaf {word}" for word in words)
    else:
        advice = "move that into a module of its own and name it with --leaf"
    name = type(network).__name__
    return plain(f"{name} can't be traced by torch.fx: {reason}, {where}{_line(first.error)}; {advice}")


def _line(error: Exception) -> str:
    """The last line of code outside torch that led to the error."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THE_USERS)]
    if not frames or not frames[-1].line:
        return ""
    return f": `{frames[-1].line[:SHOWN]}` ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
