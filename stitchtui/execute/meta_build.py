"""Networks without their numbers: enough to say where they can be cut and what they take, at hardly any time."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# What layers make their weights of. Tables that a network computes with while it is built, as from arange, stay real.
_MADE = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})


class MetaBuild(TorchFunctionMode):
    """Within it, new tensors have a shape and no numbers, so that layers of any size are made at once."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Make weights on the `meta` device, unless it is said where."""
        given = dict(kwargs or {})
        if func in _MADE and given.get("device") is None and given.get("generator") is None:
            given["device"] = "meta"
        return func(*args, **given)


_ALIKE = frozenset({torch.ops.aten.relu.default, torch.ops.aten.gelu.default, torch.ops.aten.silu.default})
_NORMS = frozenset({torch.ops.aten.native_batch_norm.default, torch.ops.aten.cudnn_batch_norm.default})


class ShapesOnly(TorchDispatchMode):
    """Within it, what torch works out at length for tensors without numbers is known at once: they keep their shape."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Give a tensor like the first, for operations that leave its shape and dtype as they are."""
        if args and isinstance(args[0], torch.Tensor) and args[0].is_meta:
            if func in _ALIKE:
                return torch.empty_like(args[0])
            if func in _NORMS and not args[5]:  # with running statistics
                return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
            if func is torch.ops.aten.relu_.default:
                return args[0]
        return func(*args, **(kwargs or {}))
