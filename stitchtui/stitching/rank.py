"""How many directions a linear map really uses."""

import torch
from torch import Tensor


@torch.no_grad()
def effective_rank(matrix: Tensor) -> float | None:
    """The exponential of the entropy of the singular values' shares (Roy and Vetterli, 2007): 1 to the smaller side.

    Of r equal singular values it is r; small ones add little, where the numerical rank counts each one above noise in
    full. 0 for a matrix of zeros; None for one that isn't finite.
    """
    if not bool(matrix.isfinite().all()):
        return None
    values = torch.linalg.svdvals(matrix.cpu().double())
    total = float(values.sum())
    if total == 0:
        return 0.0
    shares = values / total
    return float((-torch.special.xlogy(shares, shares).sum()).exp())
