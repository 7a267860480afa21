"""Networks that compute in other numbers than float32, such as double or bfloat16, as chains that stitches fit into."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain


class Cast(nn.Module):
    """The same numbers in another precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x.to(self.dtype)


def in_float32(chain: Chain, dtypes: Sequence[torch.dtype]) -> Chain:
    """The chain with float32 at every boundary, where the network itself has `dtypes`; within segments nothing changes.

    So stitches and measures know one precision only, and two networks of different ones can be joined.
    """
    if all(dtype == torch.float32 for dtype in dtypes):
        return chain
    segments = []
    for k, segment in enumerate(chain.segments):
        before = [Cast(dtypes[k])] if dtypes[k] != torch.float32 else []
        after = [Cast(torch.float32)] if dtypes[k + 1] != torch.float32 else []
        segments.append(nn.Sequential(*before, segment, *after).eval() if before or after else segment)
    return chain.with_segments(segments)
