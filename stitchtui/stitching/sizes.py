"""What a network decides or makes by sizes, dtypes and devices alone: no image changes those."""

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

# What tells of a tensor, or makes after its likeness, something that its numbers have no say in.
_ATTRIBUTES = {"shape", "ndim", "dtype", "device", "is_cuda", "layout"}
_METHODS = {"size", "dim", "ndimension", "numel", "nelement", "is_floating_point", "is_complex", "get_device"}
_ALIKE = {"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"}
_NEW = {"new_zeros", "new_ones", "new_empty", "new_full", "new_tensor"}
_AS_ANOTHER = {"expand_as", "view_as", "reshape_as", "type_as", "to"}
_FUNCTIONS = {len} | {getattr(torch, name, None) for name in _METHODS | _ALIKE} - {None}


class Sizes:
    """The values of nodes that follow from sizes alone, found by running what they need on batches of several sizes."""

    def __init__(self, batches: Sequence[Tensor]) -> None:
        self._values: list[dict[fx.Node, Any]] = [{} for _ in batches]
        self._batches = batches
        self.running = False  # layers that are called now are run, not traced

    def known(self, root: nn.Module, node: fx.Node, read: Callable[[Any], Any]) -> Any:
        """`read` of the node's value if it follows from sizes and is the same for every batch; None otherwise."""
        if _follows_from_values(node):
            return None
        self.running = True
        try:
            found = [read(self._value(root, node, k)) for k in range(len(self._batches))]
        except Exception:  # what can't be run is not known; whatever is wrong with it is said elsewhere
            return None
        finally:
            self.running = False
        return found[0] if all(value == found[0] for value in found) else None

    def _value(self, root: nn.Module, node: fx.Node, k: int) -> Any:
        values, needed = self._values[k], _ancestors(node)
        for n in node.graph.nodes:
            if n in needed and n not in values:
                values[n] = self._run(root, n, k)
            if n is node:
                break
        return values[node]

    def _run(self, root: nn.Module, node: fx.Node, k: int) -> Any:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: self._values[k][n])
        if node.op == "placeholder" and node is next(iter(node.graph.nodes)):
            return self._batches[k].clone()
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(root)
        if node.op == "call_module":
            return root.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        if node.op == "call_function" and callable(node.target):
            return node.target(*args, **kwargs)
        raise LookupError(node.op)


class SizeProxy(fx.Proxy):
    """A symbolic value that can be used as a number or counted where sizes alone tell what it is."""

    tracer: "SizeTracer"

    def __getattr__(self, k: str) -> "SizeAttribute":
        return SizeAttribute(self, k)

    def __int__(self) -> int:
        return int(self.tracer.number(self))

    def __index__(self) -> int:
        return operator.index(self.tracer.number(self))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise fx.proxy.TraceError("a part of a tensor is written over (x[...] = y)")

    def __iadd__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})

    def __len__(self) -> int:
        length = self.tracer.known(self, len)
        return int(super().__len__() if length is None else length)


class SizeAttribute(SizeProxy, fx.proxy.Attribute):
    """The same for an attribute of one, such as its shape."""


class SizeTracer(fx.Tracer):
    """A tracer that goes on where Python asks for a truth, a number or a length that sizes alone decide.

    Frozen weights and buffers count as known, too.
    """

    def __init__(self, batches: Sequence[Tensor], functions: tuple[Callable[..., Any], ...] = ()) -> None:
        super().__init__(autowrap_functions=functions)
        self._sizes = Sizes(batches)
        self._thread = threading.get_ident()

    @property
    def runs(self) -> bool:
        """Whether a layer that is called now is run: to learn sizes, or since another thread calls it."""
        return self._sizes.running or threading.get_ident() != self._thread

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The symbolic value of `node`."""
        return SizeProxy(node, self)

    def known(self, proxy: fx.Proxy, read: Callable[[Any], Any]) -> Any:
        """`read` of what `proxy` stands for, or None where that is not the same for all images and batches."""
        return self._sizes.known(self.root, proxy.node, read)

    def number(self, proxy: fx.Proxy) -> Any:
        """The number that `proxy` stands for. Raises TraceError for one that isn't the same everywhere."""
        value = self.known(proxy, lambda v: v if isinstance(v, int | float) else None)
        if value is None:
            raise fx.proxy.TraceError("a number is taken from what depends on the images or on how many they are")
        return value

    def to_bool(self, obj: fx.Proxy) -> bool:
        """What an `if` decides by. Raises TraceError where the images have a say in it."""
        value = self.known(obj, bool)
        return super().to_bool(obj) if value is None else value

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """The parts of what `obj` stands for. Raises TraceError where their number is not known."""
        length = self.known(obj, lambda v: len(v) if isinstance(v, tuple | list) else None)
        if length is None:
            return super().iter(obj)
        return iter([self.create_proxy("call_function", operator.getitem, (obj, k), {}) for k in range(length)])

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A module's attribute: a parameter itself where layers are run, a symbolic one where they are traced."""
        return attr_val if self.runs else super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What `m` makes of `args`: run, or traced."""
        return forward(*args, **kwargs) if self.runs else super().call_module(m, forward, args, kwargs)


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found, waiting = {node}, [node]
    while waiting:
        fresh = [n for n in waiting.pop().all_input_nodes if n not in found]
        found.update(fresh)
        waiting += fresh
    return found


def _follows_from_values(node: fx.Node) -> bool:
    """Whether a number within a tensor, and not its shape or dtype alone, has a say in what the node is."""
    seen, waiting = {node}, [node]
    while waiting:
        here = waiting.pop()
        if here.op in {"placeholder", "call_module"}:
            return True
        if any(flows(n, here) for n in here.all_input_nodes):  # else it only reads sizes
            fresh = [n for n in here.all_input_nodes if n not in seen]
            seen.update(fresh)
            waiting += fresh
    return False


def flows(source: fx.Node, user: fx.Node) -> bool:
    """Whether the numbers of the tensor at `source` have a say in what its `user` makes, or its sizes and kind only."""
    if user.target is getattr:
        return user.args[1] not in _ATTRIBUTES
    others = set(_nodes((user.args[1:], user.kwargs)))
    if user.op == "call_method" and user.target in _AS_ANOTHER:
        return user.args[0] is source
    of_first = user.target in (_METHODS | _NEW if user.op == "call_method" else _FUNCTIONS)
    return not of_first or source in others


def _nodes(arguments: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg(arguments, found.append)
    return found
