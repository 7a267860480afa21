"""Direct matching: the moments of bottom and top features for a whole column of seams, streamed in one pass."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchtui.base.work import Pass
from stitchtui.spec.families import check_covariance
from stitchtui.stitching.adapters import Adapter, adapter
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.closed_forms import (
    AffineMap,
    Inputs,
    Moments,
    affine_map,
    at_variance_of,
    fit_direct,
    least_squares,
    residual,
)
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.streamed import double

__all__ = [
    "AffineMap",
    "Inputs",
    "Moments",
    "affine_map",
    "at_variance_of",
    "fit_direct",
    "least_squares",
    "moments",
    "residual",
    "rows_of",
]

_MOST_UNFOLDED = 1 << 24  # float32 numbers of unfolded patches held at a time: 64 MiB


def rows_of(features: Tensor, channel_axis: int) -> Tensor:
    """Features as [batch * positions, channels]."""
    last = features.movedim(1, -1) if channel_axis == 1 else features
    return last.flatten(0, -2)


class _Sums:
    """Running sums around a pilot mean, so that float32 products of features far from zero lose no digits."""

    def __init__(self) -> None:
        self.rows = 0
        self.pilot: Tensor | None = None
        self.totals: list[Tensor] = []

    def centred(self, rows: Tensor) -> Tensor:
        """`rows` [rows, features] less the pilot."""
        self.pilot = rows.mean(0) if self.pilot is None else self.pilot
        return rows - self.pilot

    def add(self, rows: int, products: Sequence[Tensor]) -> None:
        """Sums over so many more rows, in float32, to totals in float64."""
        self.rows += rows
        if not self.totals:
            self.totals = [double(p) for p in products]
            return
        for total, product in zip(self.totals, products, strict=True):
            total.add_(product.to(total.device))

    def means(self) -> list[Tensor]:
        return [t / self.rows for t in self.totals]


@dataclass
class _View:
    """One bottom cut seen through one adapter: the seams that read it share its sums."""

    boundary: int
    adapt: Adapter
    top: Cut  # any of the tops that it feeds: all have the same positions
    seams: list[int] = field(default_factory=list)
    tops: tuple[int, ...] = ()  # the top's boundary of each seam
    x: _Sums = field(default_factory=_Sums)
    yx: _Sums = field(default_factory=_Sums)  # all of the seams' top channels one after the other


@torch.no_grad()
def moments(
    bottom: Chain, top: Chain, seams: Sequence[tuple[int, int]], batches: Iterable[Tensor], kernel: int = 1
) -> Pass[list[Moments]]:
    """The moments for each (bottom boundary, top boundary) of `seams`, from one pass of both networks.

    Each seam's features go through the adapter between its cuts; what seams share is computed once. `kernel` is the
    side of the convolution to be fitted. Raises Misfit, before any pass, where two cuts can't be joined or a
    covariance would be too large.
    """
    views = _views(bottom, top, seams, kernel)
    targets = {j: _Sums() for _, j in seams}
    for images in batches:
        xs = bottom.features(images, max(i for i, _ in seams))
        ys = xs if bottom is top else top.features(images, max(targets))
        rows = {j: _add_target(sums, ys[j], top.cuts[j - 1]) for j, sums in targets.items()}
        joined = {tops: torch.cat([rows[j] for j in tops], 1) for tops in {view.tops for view in views}}
        for view in views:
            for x, first, last in _patches(view, xs[view.boundary], kernel):
                _add(view, x, joined[view.tops][first:last])
        yield len(images)
    return _collected(views, targets, len(seams), kernel)


def _views(bottom: Chain, top: Chain, seams: Sequence[tuple[int, int]], kernel: int) -> list[_View]:
    views: dict[tuple[int, Adapter], _View] = {}
    for k, (i, j) in enumerate(seams):
        check_covariance(bottom.cuts[i - 1], kernel)
        adapt = adapter(bottom.cuts[i - 1], top.cuts[j - 1])
        view = views.setdefault((i, adapt), _View(i, adapt, top.cuts[j - 1]))
        view.seams.append(k)
        view.tops += (j,)
    return list(views.values())


def _add_target(sums: _Sums, features: Tensor, cut: Cut) -> Tensor:
    """Add a top's features to its own sums; return them less their pilot, as [rows, channels]."""
    y = sums.centred(rows_of(features, cut.channel_axis))
    sums.add(len(y), [y.sum(0), y.square().sum(0)])
    return y


def _patches(view: _View, features: Tensor, kernel: int) -> Iterator[tuple[Tensor, int, int]]:
    """The bottom's features as [rows, channels * kernel * kernel], some images at a time, and which rows they are."""
    adapted, axis = view.adapt(features), view.top.channel_axis
    if kernel == 1:
        rows = rows_of(adapted, axis)
        yield rows, 0, len(rows)
        return
    maps = adapted.movedim(axis, 1)  # [batch, channels, height, width]
    places = maps.shape[2] * maps.shape[3]
    images = max(1, _MOST_UNFOLDED // (maps[0].numel() * kernel**2))
    for first, some in zip(range(0, len(maps), images), maps.split(images), strict=True):
        unfolded = F.unfold(some, kernel, padding=kernel // 2)  # [images, channels * kernel * kernel, places]
        yield rows_of(unfolded, 1), first * places, (first + len(some)) * places


def _add(view: _View, x: Tensor, y: Tensor) -> None:
    """Add `x` [rows, features] and `y` [rows, all the seams' top channels], which is less its pilot."""
    x = view.x.centred(x)
    view.x.add(len(x), [x.sum(0), x.T @ x])
    view.yx.add(len(x), [y.T @ x])


def _collected(views: Sequence[_View], targets: dict[int, _Sums], seams: int, kernel: int) -> list[Moments]:
    found: dict[int, Moments] = {}
    outputs = {j: sums.means() for j, sums in targets.items()}
    for view in views:
        (x, xx), (yx,) = view.x.means(), view.yx.means()
        assert view.x.pilot is not None, "moments of no images"
        inputs = Inputs(view.x.rows, double(view.x.pilot) + x, xx - x[:, None] * x, kernel)
        parts = yx.split([len(outputs[j][0]) for j in view.tops])
        for k, j, part in zip(view.seams, view.tops, parts, strict=True):
            y, yy = outputs[j]
            pilot = targets[j].pilot
            assert pilot is not None
            found[k] = Moments(inputs, double(pilot) + y, yy - y.square(), part - y[:, None] * x)
    return [found[k] for k in range(seams)]
