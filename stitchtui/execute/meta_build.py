"""Networks without their numbers: enough to say where they can be cut, at no memory and hardly any time."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

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
