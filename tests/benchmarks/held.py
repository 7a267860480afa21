"""The most memory that tensors take at once, counted tensor by tensor, so that it is known on a CPU too."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """`most`: bytes of tensors made while this was open that were alive at once. Every operation takes longer."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:  # weights in oneDNN's own order have no other
                self._see(leaf)
        self.most = max(self.most, sum(self._alive.values()))
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        pointer = storage.data_ptr()
        if pointer not in self._alive:
            self._alive[pointer] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, pointer, None)
