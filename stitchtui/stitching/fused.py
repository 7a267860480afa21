"""Frozen convolutions on a CPU, with the addition and the ReLU that follow them, as one operation of oneDNN's.

What follows a convolution is then computed while its output is still in the cache, and the weights are put into the
order that oneDNN computes in once, not at every call. The numbers are the same, but for the rounding of the sum.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchtui.stitching.exact import calls, is_exactly

_POINTWISE = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
_REORDERED = getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)
"""What torch's own compiler uses; they may go or change, so that a trial decides whether they are taken."""


def fuse(module: fx.GraphModule) -> None:
    """Replace the module's convolutions by fused ones, where they can be computed so; for frozen weights only."""
    for node in list(module.graph.nodes):
        layer: Any = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if is_exactly(layer, nn.Conv2d) and _can_be_fused(layer):
            _fuse_one(module, node, layer)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()


def _can_be_fused(layer: nn.Conv2d) -> bool:
    if _POINTWISE is None or _REORDERED is None or not torch.backends.mkldnn.is_available():
        return False
    fits = layer.weight.device.type == "cpu" and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return fits and _works(layer.weight.dtype)


def _works(dtype: torch.dtype) -> bool:
    """Whether the operations are there for such numbers, as they are called here, and compute what they should."""
    if dtype not in _known:
        try:
            _known[dtype] = _tried(dtype)
        except (RuntimeError, TypeError):  # missing for these numbers, or called otherwise
            _known[dtype] = False
    return _known[dtype]


_known: dict[torch.dtype, bool] = {}


@torch.no_grad()
def _tried(dtype: torch.dtype) -> bool:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(4, 4, 3, padding=1).to(dtype)
    x, other = (torch.randn(2, 4, 5, 5, generator=generator).to(dtype) for _ in range(2))
    expected = (layer(x) + other).relu()
    return torch.allclose(FusedConvolution(layer, relu=True)(x, other), expected, rtol=0.05, atol=0.05)


def _fuse_one(module: fx.GraphModule, node: fx.Node, layer: nn.Conv2d) -> None:
    """The convolution with the addition and the ReLU after it, as far as nothing else reads what lies between."""
    last, inputs = node, list(node.all_input_nodes)
    after = _only_user(last)
    if after is not None and _adds(after):
        inputs += [n for n in after.all_input_nodes if n is not last]
        last = after
    after = _only_user(last)
    relu = after is not None and _is_relu(module, after)
    if after is not None and relu:
        last = after
    name = f"fused_{node.name}"
    module.add_submodule(name, FusedConvolution(layer, relu=relu))
    with module.graph.inserting_after(last):
        new = module.graph.call_module(name, tuple(inputs))
    last.replace_all_uses_with(new)
    for old in dict.fromkeys((last, *last.all_input_nodes, node)):
        if not old.users and old.op != "placeholder":
            module.graph.erase_node(old)


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0].op != "output" else None


def _adds(node: fx.Node) -> bool:
    return calls(node, "add") and not node.kwargs and len(node.args) == 2 and len(node.all_input_nodes) == 2


def _is_relu(module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return is_exactly(module.get_submodule(str(node.target)), nn.ReLU)
    return calls(node, "relu")


class FusedConvolution(nn.Module):
    """A frozen convolution; with a second argument, plus that; with `relu`, the positive part of it all."""

    def __init__(self, layer: nn.Conv2d, *, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.layer = layer
        self._sizes = list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups
        # No buffer: whoever goes through a module's tensors could do nothing with this one.
        self._reordered = _REORDERED(layer.weight.detach().contiguous().to_mkldnn(), *self._sizes)  # type: ignore[misc]

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """[batch, channels, height, width] to [batch, out channels, ...], the shape of `other` if there is one."""
        x = x.to(self.layer.weight.dtype)
        if other is not None and (other.dtype != x.dtype or other.shape != _out_shape(self.layer, x)):
            plain = self.layer(x) + other  # which broadcasts
            return plain.relu() if self.relu else plain
        fused: Callable[..., Tensor] = _Fused.apply
        return fused(x, other, self)

    def computed(self, x: Tensor, other: Tensor | None) -> Tensor:
        """The same without gradients."""
        convolution = (self._reordered, self.layer.bias, *self._sizes)
        if other is None:
            return _POINTWISE(x, *convolution, "relu" if self.relu else "none", [], "")  # type: ignore[misc]
        relu = "relu" if self.relu else None
        return _POINTWISE.binary(x, other, *convolution, "add", 1.0, relu, [], "")  # type: ignore[union-attr]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, other: Tensor | None, of: FusedConvolution) -> Tensor:
        out = of.computed(x, other)
        ctx.of, ctx.adds = of, other is not None
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, out = ctx.saved_tensors
        gradient = gradients[0]
        if ctx.of.relu:
            gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        own = _gradient(ctx.of.layer, gradient, x) if ctx.needs_input_grad[0] else None
        return own, gradient if ctx.adds else None, None


def _gradient(layer: Any, gradient: Tensor, x: Tensor) -> Tensor:
    sizes = (layer.stride, layer.padding, layer.dilation)
    only_x = [True, False, False]
    zeros = [0] * len(layer.stride)
    call = torch.ops.aten.convolution_backward
    return call(gradient, x, layer.weight, None, *sizes, False, zeros, layer.groups, only_x)[0]


def _out_shape(layer: nn.Conv2d, x: Tensor) -> torch.Size:
    padding: Any = layer.padding
    steps = zip(x.shape[2:], layer.kernel_size, padding, layer.dilation, layer.stride, strict=True)
    sides = [(side + 2 * p - d * (k - 1) - 1) // s + 1 for side, k, p, d, s in steps]
    return torch.Size((x.shape[0], layer.out_channels, *sides))
