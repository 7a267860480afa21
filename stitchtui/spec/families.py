"""The families of stitches in order of capacity, and what each can do; no torch here, so that plans can ask."""

from dataclasses import dataclass

MOST_PARAMETERS = 1 << 26  # a matrix of 8192 x 8192, whose covariance still can be taken apart


class Misfit(ValueError):
    """Two cuts that a family can't join; its text says why in one line."""


@dataclass(frozen=True)
class Family:
    """What is known of a family before any network is loaded."""

    name: str
    maps: str  # what its stitches may be, in words
    includes: tuple[str, ...] = ()  # the next smaller families that it contains whole, wherever both fit
    closed_form: bool = True  # whether the best of the family for direct matching is known without training
    trainable: bool = True  # whether it has numbers that a loss can train
    keeps_positions: bool = True  # whether an output position depends on that position of its input alone
    linear: bool = True  # whether it is one linear map and a bias, once trained
    equal_channels: bool = False  # whether bottom and top need the same number of channels
    takes_rank: bool = False
    kernel: int = 1  # its side in positions: K for a K x K convolution


_CONVOLUTIONS = tuple(
    Family(f"conv{k}", f"a {k}x{k} convolution", (smaller,), keeps_positions=False, kernel=k)
    for k, smaller in ((3, "affine"), (5, "conv3"), (7, "conv5"), (9, "conv7"))
)

_ALL = (
    Family("identity", "nothing at all", trainable=False, equal_channels=True),
    Family("permutation", "channels in another order", ("identity",), trainable=False, equal_channels=True),
    Family("scaled_permutation", "a permutation, each channel scaled", ("permutation",), equal_channels=True),
    Family("orthogonal", "a rotation or reflection, and a shift", ("permutation",)),
    Family("low_rank", "an affine map of a given rank", takes_rank=True),
    Family("affine", "one affine map at every position", ("scaled_permutation", "orthogonal", "low_rank")),
    *_CONVOLUTIONS,
    Family("mlp", "an affine map and a hidden layer of ReLU", ("affine",), closed_form=False, linear=False),
    Family("bn_affine_bn", "BatchNorm, affine, BatchNorm (the paper's)", ("affine",), closed_form=False),
)

FAMILIES = {family.name: family for family in _ALL}
LADDER = tuple(name for name in FAMILIES if name != "bn_affine_bn")
"""Every family but the paper's, which is `affine` with another way of training it, from least to most capacity."""


def includes(larger: str, smaller: str) -> bool:
    """Whether every map of family `smaller` is one of family `larger`, between cuts that both can join.

    So that its best direct matching is never worse. It holds in eval mode, and for `low_rank` at equal rank; the
    order of LADDER alone doesn't imply it: `scaled_permutation` and `orthogonal` contain neither each other, nor
    `low_rank` either of them.
    """
    return larger == smaller or any(includes(part, smaller) for part in FAMILIES[larger].includes)


def start_family(name: str, start: str = "least_squares") -> str:
    """The family whose closed form a stitch of family `name` starts from: its own, or else the affine one.

    `start` may name another: `permutation`, or, for families that contain it, `affine`.
    """
    if start == "permutation":
        return start
    small = start == "affine" and includes(name, "affine")
    return "affine" if small or not FAMILIES[name].closed_form else name
