"""A vision transformer for small images: patches, learned positions, pre-norm blocks, mean or class-token pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stitchtui.base.errors import BadInput
from stitchtui.networks.blocks import Blocks, channels

POOLS = ("mean", "token")


class Embedding(nn.Module):
    """Patches as tokens with learned positions, and a class token in front if asked for."""

    def __init__(self, shape: tuple[int, int, int], patch: int, dim: int, token: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(shape[0], dim, patch, patch)
        count = (shape[1] // patch) * (shape[2] // patch) + int(token)
        self.position = nn.Parameter(torch.empty(1, count, dim))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.token = nn.Parameter(torch.zeros(1, 1, dim)) if token else None

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, tokens, dim]."""
        x = self.patches(x).flatten(2).transpose(1, 2)  # [b, patches, dim]
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + self.position


class Attention(nn.Module):
    """Self-attention with several heads."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.size = dim // heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[b, tokens, dim] -> [b, tokens, dim]."""
        qkv = self.qkv(x).unflatten(2, (3, self.heads, self.size))  # [b, tokens, 3, heads, size]
        qkv = qkv.permute(2, 0, 3, 1, 4)  # [3, b, heads, tokens, size]
        y = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.out(y.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Attention and an MLP, each after a LayerNorm and beside a shortcut."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = max(1, round(dim * mlp_ratio))
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        """[b, tokens, dim] -> [b, tokens, dim]."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Pool(nn.Module):
    """All tokens as one vector: their mean, or the class token."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """[b, tokens, dim] -> [b, dim]."""
        return x.mean(1) if self.kind == "mean" else x[:, 0]


def vit(
    classes: int,
    shape: tuple[int, int, int],
    width: float,
    *,
    patch: int,
    depth: int,
    heads: int,
    dim: int,
    mlp_ratio: float,
    pool: str,
) -> nn.Module:
    """A vision transformer of `depth` blocks on `dim * width` features; the paper's has 12 blocks, 12 heads, 768."""
    dim = channels(dim, width)
    _check(shape, patch, heads, dim, pool)
    blocks = [TransformerBlock(dim, heads, mlp_ratio) for _ in range(depth)]
    modules: dict[str, nn.Module] = {
        "embedding": Embedding(shape, patch, dim, pool == "token"),
        "blocks": nn.Sequential(*blocks),
        "norm": nn.LayerNorm(dim),
        "pool": Pool(pool),
        "linear": nn.Linear(dim, classes),
    }
    return Blocks(modules, ("embedding", *(f"blocks.{index}" for index in range(depth)), "pool"))


def _check(shape: tuple[int, int, int], patch: int, heads: int, dim: int, pool: str) -> None:
    if pool not in POOLS:
        raise _bad("pool", f"expected one of {', '.join(POOLS)}, got '{pool}'")
    if shape[1] % patch or shape[2] % patch:
        raise _bad("patch", f"{patch} doesn't divide the images' {shape[1]} x {shape[2]}")
    if dim % heads:
        raise _bad("heads", f"{heads} doesn't divide dim * width = {dim}")


def _bad(option: str, why: str) -> BadInput:
    return BadInput(f"architecture vit, option {option}: {why}", f"options.{option}")
