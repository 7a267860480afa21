"""The families of stitches in order of capacity, and what each can do; no torch here, so that plans can ask."""

from collections.abc import Callable
from dataclasses import dataclass

from stitchtui.base.registry import Registry
from stitchtui.spec.shapes import Misfit, Shaped, both_shapes, layouts

MOST_PARAMETERS = 1 << 26  # a matrix of 8192 x 8192, whose covariance still can be taken apart


@dataclass(frozen=True)
class Family:
    """What is known of a family before any network is loaded, its rule for what it joins, and where it is computed.

    `stitch` is a subclass of `stitchtui.stitching.families.Stitch`, made by its `between`. `solver` is the best of the
    family for direct matching, as `stitchtui.stitching.closed_forms.Solver` says it; without one the family starts
    from the affine one's. Both are named as `module:object`.
    """

    name: str
    maps: str  # what its stitches may be, in words
    stitch: str = ""
    solver: str = ""
    includes: tuple[str, ...] = ()  # the next smaller families that it contains whole, wherever both fit
    rung: bool = False  # whether the ladder climbs over it
    trainable: bool = True  # whether it has numbers that a loss can train
    keeps_positions: bool = True  # whether an output position depends on that position of its input alone
    linear: bool = True  # whether it is one linear map and a bias, once trained
    changes_nothing: bool = False  # whether the bottom's tensor goes into the top as it is
    equal_channels: bool = False  # whether bottom and top need the same number of channels
    keeps_distances: bool = False  # which no map to fewer channels does
    takes_rank: bool = False
    sparse: bool = False  # whether l1 can make its weights sparse
    normalises: bool = False  # whether it needs the statistics of a batch in training
    kernel: int = 1  # its side in positions: K for a K x K convolution
    usual_start: str = ""  # what its training starts from unless somebody asks for another; empty: least squares
    short: str = ""  # its name in at most six characters a word, where there is little room; empty: the name
    brief: str = ""  # in at most four
    fits: Callable[[Shaped, Shaped], None] | None = None  # raises Misfit for what else it can't join

    @property
    def closed_form(self) -> bool:
        """Whether the best of the family for direct matching is known without training."""
        return bool(self.solver)

    def check(self, bottom: Shaped, top: Shaped, *, solved: bool = False) -> None:
        """Raise Misfit where the family can't join these two; if `solved`, also where its closed form is too large."""
        if self.changes_nothing and (bottom.shape, bottom.channel_axis) != (top.shape, top.channel_axis):
            raise Misfit(f"{self.name} needs equal shapes: {both_shapes(bottom, top)}")
        layouts(bottom, top)
        self.check_channels(bottom.channels, top.channels)
        if self.kernel > 1 and len(top.positions) != 2:
            raise Misfit(f"{self.name} needs a top whose tensor is a map: {both_shapes(bottom, top)}")
        if self.fits is not None:
            self.fits(bottom, top)
        if self.changes_nothing:
            return
        count = bottom.channels * top.channels * self.kernel**2
        if count > MOST_PARAMETERS:
            ends = f"from {bottom.channels} to {top.channels} channels"
            raise Misfit(f"{self.name} {ends} would have {count:,} parameters")
        if solved:
            check_covariance(bottom, self.kernel)

    def check_channels(self, bottom: int, top: int) -> None:
        """Raise Misfit where the family can't lead from `bottom` channels to `top` channels, wherever it is used."""
        if self.equal_channels and bottom != top:
            raise Misfit(f"{self.name} needs equal channels: bottom {bottom}, top {top}")
        if self.keeps_distances and top < bottom:
            why = "keeps every distance, so it can't lead to fewer channels"
            raise Misfit(f"{self.name} {why}: bottom {bottom}, top {top}")


def check_covariance(bottom: Shaped, kernel: int = 1) -> None:
    """Raise Misfit where the closed form's covariance of a bottom's features would be too large to take apart."""
    features = bottom.channels * kernel**2
    if features**2 > MOST_PARAMETERS:
        raise Misfit(
            f"the closed form from {bottom.channels} channels with a {kernel}x{kernel} kernel would need "
            f"a covariance of {features:,} x {features:,} numbers; start it at random or as the identity"
        )


_STITCHES, _CONSTRAINED = "stitchtui.stitching.families", "stitchtui.stitching.constrained"
_SOLVERS = "stitchtui.stitching.closed_forms"

IDENTITY = Family(
    "identity",
    "nothing at all",
    f"{_STITCHES}:Identity",
    f"{_SOLVERS}:identity",
    rung=True,
    trainable=False,
    changes_nothing=True,
    equal_channels=True,
    usual_start="identity",
    short="ident",
    brief="id",
)
PERMUTATION = Family(
    "permutation",
    "channels in another order",
    f"{_CONSTRAINED}:Permutation",
    f"{_SOLVERS}:permutation",
    (IDENTITY.name,),
    rung=True,
    trainable=False,
    equal_channels=True,
    short="permut",
    brief="perm",
)
SCALED_PERMUTATION = Family(
    "scaled_permutation",
    "a permutation, each channel scaled",
    f"{_CONSTRAINED}:ScaledPermutation",
    f"{_SOLVERS}:scaled_permutation",
    (PERMUTATION.name,),
    rung=True,
    equal_channels=True,
    short="scaled_permut",
    brief="scal",
)
ORTHOGONAL = Family(
    "orthogonal",
    "a rotation or reflection, and a shift",
    f"{_CONSTRAINED}:Orthogonal",
    f"{_SOLVERS}:orthogonal",
    (PERMUTATION.name,),
    rung=True,
    keeps_distances=True,
    short="orthog",
    brief="orth",
)
LOW_RANK = Family(
    "low_rank",
    "an affine map of a given rank",
    f"{_CONSTRAINED}:LowRank",
    f"{_SOLVERS}:low_rank",
    rung=True,
    takes_rank=True,
    brief="rank",
)
AFFINE_SCALED = Family(
    "affine_scaled",
    "an affine map that writes with the top's variance",
    f"{_STITCHES}:Affine",
    f"{_SOLVERS}:affine_scaled",
    rung=True,
    trainable=False,  # a trained one is an affine one, which starts here where that is better
    short="affine_scaled",
    brief="asc",
)
AFFINE = Family(
    "affine",
    "one affine map at every position",
    f"{_STITCHES}:Affine",
    f"{_SOLVERS}:least_squares",
    (SCALED_PERMUTATION.name, ORTHOGONAL.name, LOW_RANK.name, AFFINE_SCALED.name),
    rung=True,
    sparse=True,
    brief="aff",
)


def _convolution(kernel: int, smaller: str) -> Family:
    return Family(
        f"conv{kernel}",
        f"a {kernel}x{kernel} convolution",
        f"{_STITCHES}:Convolution",
        f"{_SOLVERS}:least_squares",
        (smaller,),
        rung=True,
        keeps_positions=False,
        kernel=kernel,
        brief=f"cv{kernel}",
    )


_CONV3 = _convolution(3, AFFINE.name)
_CONV5 = _convolution(5, _CONV3.name)
_CONV7 = _convolution(7, _CONV5.name)
_CONV9 = _convolution(9, _CONV7.name)
_MLP = Family(
    "mlp",
    "an affine map and a hidden layer of ReLU",
    f"{_STITCHES}:Mlp",
    includes=(AFFINE.name,),
    rung=True,
    linear=False,
)
_BN_AFFINE_BN = Family(
    "bn_affine_bn",
    "BatchNorm, affine, BatchNorm (the paper's)",
    f"{_STITCHES}:BnAffineBn",
    includes=(AFFINE.name,),  # which it is, with another way of training it: so it is no rung
    normalises=True,
    usual_start="random",
    brief="bn",
)

FAMILIES = Registry(
    "families",
    Family,
    (
        *(IDENTITY, PERMUTATION, SCALED_PERMUTATION, ORTHOGONAL, LOW_RANK, AFFINE_SCALED, AFFINE),
        *(_CONV3, _CONV5, _CONV7, _CONV9, _MLP, _BN_AFFINE_BN),
    ),
)
"""Every family by name, ours from least to most capacity."""
ALL_RUNGS = "ladder"
"""What a preset says in a family's place for one stitch of every rung."""

BEST, LEAST_SQUARES, AT_RANDOM = "best", "least_squares", "random"
"""Starts that no family is called by; the best is least squares or those at the top's variance, by held-out loss."""
FROM_MAPS = (BEST, LEAST_SQUARES, AFFINE.name, AFFINE_SCALED.name, PERMUTATION.name)
"""The starts that are maps in closed form: of the stitch's own family, or of the one named."""
STARTS = (BEST, LEAST_SQUARES, AFFINE.name, AFFINE_SCALED.name, AT_RANDOM, IDENTITY.name, PERMUTATION.name)
"""Where training can start from."""


def ladder_families() -> tuple[str, ...]:
    """The families that a ladder climbs over, from least to most capacity."""
    return tuple(name for name, family in FAMILIES.items() if family.rung)


def includes(larger: str, smaller: str) -> bool:
    """Whether every map of family `smaller` is one of family `larger`, between cuts that both can join.

    So that its best direct matching is never worse. It holds in eval mode, and for `low_rank` at equal rank; the
    order of the ladder alone doesn't imply it: `scaled_permutation` and `orthogonal` contain neither each other, nor
    `low_rank` either of them.
    """
    return larger == smaller or any(includes(part, smaller) for part in FAMILIES[larger].includes)


def start_family(name: str, start: str = LEAST_SQUARES) -> str:
    """The family whose closed form a stitch of family `name` starts from: its own, or else the affine one.

    `start` may name another: `permutation`, or, for families that contain it, `affine` or `affine_scaled`.
    """
    if start == PERMUTATION.name:
        return start
    if start in (AFFINE.name, AFFINE_SCALED.name) and includes(name, start):
        return start
    return name if FAMILIES[name].closed_form else AFFINE.name


def may_scale(name: str) -> bool:
    """Whether a stitch of family `name` can be what least squares is at the top's variance."""
    return name != AFFINE_SCALED.name and includes(name, AFFINE_SCALED.name)


def check_fit(family: str, start: str, bottom: Shaped, top: Shaped) -> None:
    """Raise Misfit where a stitch of `family` can't join these two, or the map that it starts from can't."""
    FAMILIES[family].check(bottom, top)
    if start in FROM_MAPS and not FAMILIES[family].changes_nothing:
        FAMILIES[start_family(family, start)].check(bottom, top, solved=True)
