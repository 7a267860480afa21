"""Frozen segments made cheaper to train through: BatchNorm folded away, weights cast once, channels kept last.

The copies are for training only. They compute what the segments do in eval mode, to rounding, and share nothing that
is changed: the network's own weights stay as they are, and every reported number is measured without folding.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.exact import calls, is_exactly

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def folded(chain: Chain, dtype: torch.dtype, first: int = 0, last: int | None = None) -> Chain:
    """The chain with its segments `first` up to `last` (not included; the end if None) replaced by folded copies.

    Weights of convolutions and linear layers are in `dtype`, as autocast would make them at every call. BatchNorms
    that normalise by the batch are left as they are, and so is every layer that is more than torch's own: with a hook,
    a parametrisation or a forward() of its own, or with numbers that aren't float32.
    """
    if not chain.segments:  # class-cluster noise: there is nothing to fold, and the batches are told to this one
        return chain
    end = chain.output if last is None else last
    segments = [_folded(s, dtype) if first <= i < end else s for i, s in enumerate(chain.segments)]
    return chain.with_segments(segments)


def _folded(segment: nn.Module, dtype: torch.dtype) -> nn.Module:
    if isinstance(segment, fx.GraphModule):
        return _Folding(segment).result(dtype)
    if type(segment) is nn.Sequential:
        return nn.Sequential(*(_folded(part, dtype) for part in segment)).eval()
    return segment


@dataclass(frozen=True)
class _Statistics:
    """What a BatchNorm in eval mode knows; each [channels]."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        scale = (self.variance + self.eps).rsqrt() * (1 if self.weight is None else self.weight)
        return scale, (0 if self.bias is None else self.bias) - self.mean * scale


class _Folding:
    """One segment's copy while it is rewritten: its graph is new, its layers are the network's until replaced."""

    def __init__(self, segment: fx.GraphModule) -> None:
        self.module = fx.GraphModule(segment, copy.deepcopy(segment.graph), type(segment).__name__)
        self.graph = self.module.graph
        self.count = 0

    def result(self, dtype: torch.dtype) -> fx.GraphModule:
        for rewrite in (self._fold_batch_norm, self._subsample, self._pool, self._attend):
            for node in list(self.graph.nodes):
                rewrite(node)
        for node in self.graph.nodes:
            self._cast(node, dtype)
        self.graph.lint()
        self.module.delete_all_unused_submodules()
        self.module.recompile()
        return self.module.eval()

    def _layer(self, node: Any) -> nn.Module | None:
        is_layer = isinstance(node, fx.Node) and node.op == "call_module"
        return self.module.get_submodule(str(node.target)) if is_layer else None

    def _add(self, layer: nn.Module) -> str:
        self.count += 1
        name = f"folded_{self.count}"
        self.module.add_submodule(name, layer)
        return name

    def _replace(self, node: fx.Node, layer: nn.Module, x: fx.Node) -> None:
        with self.graph.inserting_before(node):
            new = self.graph.call_module(self._add(layer), (x,))
        node.replace_all_uses_with(new)
        self.graph.erase_node(node)

    def _fold_batch_norm(self, node: fx.Node) -> None:
        """Into the convolution before it, whose output nothing else reads; or into a scale and a shift."""
        statistics = self._statistics(node)
        if statistics is None:
            return
        before = self._batch_normed(node)
        layer = self._layer(before)
        if _is_foldable(layer, *CONVOLUTIONS) and len(before.users) == 1:
            self._replace(node, _convolution(layer, statistics), before.all_input_nodes[0])
            self.graph.erase_node(before)
        else:
            self._replace(node, ScaleShift(*statistics.scale_and_shift()), before)

    def _statistics(self, node: fx.Node) -> _Statistics | None:
        layer = self._layer(node)
        if _is_foldable(layer, *BATCH_NORMS):
            return _of_layer(layer)
        return _of_call(self._call(node)) if _is_functional_batch_norm(node) else None

    def _batch_normed(self, node: fx.Node) -> fx.Node:
        """What a BatchNorm is given."""
        given: fx.Node = self._call(node)["input"] if _is_functional_batch_norm(node) else node.all_input_nodes[0]
        return given

    def _call(self, node: fx.Node) -> dict[str, Any]:
        """The arguments of a functional BatchNorm by name."""
        call = inspect.signature(F.batch_norm).bind(*self._read(node.args), **self._read(node.kwargs))
        call.apply_defaults()
        return call.arguments

    def _read(self, arguments: Any) -> Any:
        """The arguments with the network's tensors in place of the nodes that fetch them."""
        return fx.node.map_arg(arguments, lambda n: _fetch(self.module, str(n.target)) if n.op == "get_attr" else n)

    def _subsample(self, node: fx.Node) -> None:
        step = _pixel_step(node)
        if step is not None:
            self._replace(node, Subsample(step), node.all_input_nodes[0])

    def _pool(self, node: fx.Node) -> None:
        layer: Any = self._layer(node)
        whole = is_exactly(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
        if whole or (calls(node, "adaptive_avg_pool2d") and node.args[1:] in ((1,), ((1, 1),)) and not node.kwargs):
            self._replace(node, GlobalAverage(keepdim=True), node.all_input_nodes[0])
        elif calls(node, "mean") and node.args[1:] in (((2, 3),), ([2, 3],)) and not node.kwargs:
            self._replace(node, GlobalAverage(keepdim=False), node.all_input_nodes[0])

    def _attend(self, node: fx.Node) -> None:
        if node.target is F.scaled_dot_product_attention and len(node.args) == 3 and not _changes(node.kwargs):
            node.target, node.kwargs = attention, {}

    def _cast(self, node: fx.Node, dtype: torch.dtype) -> None:
        layer: Any = self._layer(node)
        if _is_foldable(layer, *CONVOLUTIONS, nn.Linear):
            own = copy.deepcopy(layer).to(dtype)
            if isinstance(own, nn.Conv2d):
                own = own.to(memory_format=torch.channels_last)
            node.target = self._add(own)


def _changes(arguments: Mapping[str, Any]) -> bool:
    """Whether any argument of attention is other than its default."""
    plain = {"attn_mask": None, "dropout_p": 0.0, "is_causal": False, "scale": None, "enable_gqa": False}
    return any(name not in plain or value != plain[name] for name, value in arguments.items())


def _is_foldable(layer: Any, *kinds: type[nn.Module]) -> bool:
    numbers = layer.state_dict().values() if is_exactly(layer, *kinds) else []
    return bool(numbers) and all(t.dtype == torch.float32 or not t.is_floating_point() for t in numbers)


def _is_functional_batch_norm(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is F.batch_norm


def _fetch(module: nn.Module, path: str) -> Any:
    parent, _, name = path.rpartition(".")
    return getattr(module.get_submodule(parent), name)


def _of_layer(layer: Any) -> _Statistics | None:
    if layer.training or layer.running_mean is None or layer.running_var is None:
        return None
    return _Statistics(layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.eps)


def _of_call(arguments: dict[str, Any]) -> _Statistics | None:
    tensors = [arguments[name] for name in ("running_mean", "running_var", "weight", "bias")]
    known = all(t is None or (isinstance(t, Tensor) and t.dtype == torch.float32) for t in tensors)
    known = known and tensors[0] is not None and tensors[1] is not None
    if arguments["training"] is not False or not known or not isinstance(arguments["eps"], float):
        return None
    mean, variance, weight, bias = tensors
    return _Statistics(mean, variance, weight, bias, arguments["eps"])


def _convolution(layer: Any, s: _Statistics) -> nn.Module:
    own = copy.deepcopy(layer)
    own.weight, own.bias = fuse_conv_bn_weights(layer.weight, layer.bias, s.mean, s.variance, s.eps, s.weight, s.bias)
    return own.requires_grad_(False)


def _pixel_step(node: fx.Node) -> int | None:
    """n for x[:, :, ::n, ::n]."""
    index: Any = node.args[1] if calls(node, "getitem") else None
    if not isinstance(index, tuple) or len(index) != 4 or any(not isinstance(s, slice) for s in index):
        return None
    whole, step = slice(None), index[2]
    same = index == (whole, whole, slice(None, None, step.step), slice(None, None, step.step))
    return step.step if same and isinstance(step.step, int) and step.step > 1 else None


class ScaleShift(nn.Module):
    """x * scale + shift, per channel on axis 1."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("shift", shift.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, ...] to the same."""
        shape = (-1, *[1] * (x.dim() - 2))
        return torch.addcmul(self.shift.to(x.dtype).view(shape), x, self.scale.to(x.dtype).view(shape))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention; on a CPU in bfloat16 written out, which is several times as fast to train through.

    [..., queries, width], [..., keys, width] and [..., keys, out] to [..., queries, out].
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v)
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(-1)
    return weights.to(v.dtype) @ v


class Subsample(nn.Module):
    """Every n-th pixel; the gradient of plain indexing would have the channels first, and be slow to add to others."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] to [batch, channels, height / n, width / n], rounded up; or volumes."""
        if x.dim() != 4:  # which have no channels last
            return x[:, :, :: self.step, :: self.step]
        subsample: Callable[[Tensor, int], Tensor] = _Subsample.apply
        return subsample(x, self.step)


class _Subsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: int) -> Tensor:
        ctx.shape, ctx.step = x.shape, step
        return x[:, :, ::step, ::step].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        out = _channels_last(gradients[0], ctx.shape).zero_()
        out[:, :, :: ctx.step, :: ctx.step] = gradients[0]
        return out, None


def _channels_last(like: Tensor, shape: torch.Size) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


class GlobalAverage(nn.Module):
    """The mean over all pixels, whose gradient has the channels last, as everything before it has."""

    def __init__(self, keepdim: bool) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] to [batch, channels], or with two axes of 1 kept; or what is no map."""
        if x.dim() != 4:
            return F.adaptive_avg_pool2d(x, 1) if self.keepdim else x.mean((2, 3))
        average: Callable[[Tensor], Tensor] = _GlobalAverage.apply
        means = average(x)
        return means if self.keepdim else means.squeeze((2, 3))


class _GlobalAverage(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean((2, 3), keepdim=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        pixels = ctx.shape[2] * ctx.shape[3]
        return _channels_last(gradients[0], ctx.shape).copy_((gradients[0] / pixels).expand(ctx.shape))
