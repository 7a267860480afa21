import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_moments import map_rows, moments_of, patch_rows
from torch import Tensor

from stitchtui.spec.families import FAMILIES, includes, ladder_families, start_family
from stitchtui.stitching import stitches
from stitchtui.stitching.closed_forms import AffineMap, fit_direct
from stitchtui.stitching.cuts import Cut

CLOSED = [name for name in FAMILIES if FAMILIES[name].closed_form]
TRAINED = [name for name in FAMILIES if FAMILIES[name].trainable]
RANK = 2


def cut(channels: int, kind: str = "map") -> Cut:
    shapes = {"map": (channels, 6, 5), "last": (6, 5, channels), "tokens": (30, channels), "vector": (channels,)}
    shapes |= {"volume": (channels, 3, 6, 5), "volume last": (3, 6, 5, channels)}
    return Cut(kind, shapes[kind], 1 if kind in {"map", "volume"} else -1, True)


def maps(channels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, channels, 6, 5, generator=generator) * 2 + torch.randn(channels, 1, 1, generator=generator)


def fitted(family: str, bottom: int, top: int, seed: int) -> AffineMap:
    """A map of the family, fitted to random maps; the identity has only one."""
    kernel = FAMILIES[start_family(family)].kernel
    m = moments_of(patch_rows(maps(bottom, seed), kernel), map_rows(maps(top, seed + 1)), kernel)
    return fit_direct(family, m, ridge=1e-6, rank=RANK)


def started(family: str, bottom: int, top: int, seed: int = 0, kind: str = "map") -> stitches.Stitch:
    stitch = stitches.build(family, cut(bottom, kind), cut(top, kind), rank=RANK)
    stitches.start_from_map(stitch, fitted(family, bottom, top, seed))
    return stitch.eval()


def trained(family: str, bottom: int, top: int, steps: int = 20, rate: float = 0.05) -> tuple[stitches.Stitch, float]:
    """A stitch after some steps of Adam towards random maps, and by how much its loss fell."""
    stitch = started(family, bottom, top).train()
    x, y = maps(bottom, 0), maps(top, 1)
    y = y.relu() * 3 + x.mean((1, 2, 3), keepdim=True)  # something else than it was fitted to
    optimiser = torch.optim.Adam(stitch.parameters(), rate, weight_decay=1e-3)
    losses = []
    for _ in range(steps):
        loss = (stitch(x) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return stitch.eval(), losses[0] - losses[-1]


@pytest.mark.parametrize("family, channels", list(itertools.product(FAMILIES, [(4, 4), (3, 5), (5, 3)])))
@pytest.mark.parametrize("kind", ["map", "last", "tokens", "vector", "volume", "volume last"])
def test_a_stitch_started_from_a_map_computes_it(family: str, channels: tuple[int, int], kind: str) -> None:
    bottom, top = channels
    try:
        stitch = started(family, bottom, top, kind=kind)
    except stitches.Misfit:
        known = FAMILIES[family]
        unequal = bottom != top and known.equal_channels
        assert (
            unequal or (family == "orthogonal" and bottom > top) or (known.kernel > 1 and kind not in {"map", "last"})
        )
        return
    m, x = fitted(family, bottom, top, 0), torch.randn(7, *cut(bottom, kind).shape)
    if FAMILIES[family].kernel > 1:
        first = x if kind == "map" else x.movedim(-1, 1)
        expected = torch.nn.functional.conv2d(first.double(), m.weight, m.bias, padding=FAMILIES[family].kernel // 2)
        expected = expected if kind == "map" else expected.movedim(1, -1)
    else:
        axis = cut(bottom, kind).channel_axis
        expected = (x.movedim(axis, -1).double() @ m.weight.T + m.bias).movedim(-1, axis)
    torch.testing.assert_close(stitch(x).double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("larger, smaller", [p for p in itertools.permutations(CLOSED, 2) if includes(*p)])
def test_a_family_that_includes_another_can_start_as_its_map(larger: str, smaller: str) -> None:
    m, x = fitted(smaller, 4, 4, 0), maps(4, 3)
    stitch, small = (stitches.build(name, cut(4), cut(4), rank=RANK) for name in (larger, smaller))
    for one in (stitch, small):
        stitches.start_from_map(one, m)
    torch.testing.assert_close(stitch(x), small(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "family, of, words",
    [
        ("identity", "permutation", "changes anything"),
        ("permutation", "scaled_permutation", "scales channels"),
        ("permutation", "conv3", "reads several positions"),
        ("scaled_permutation", "affine", "turns a channel's sign|mixes or shifts channels"),
        ("scaled_permutation", "orthogonal", "turns a channel's sign|mixes or shifts channels"),
        ("orthogonal", "scaled_permutation", "changes distances"),
        ("low_rank", "affine", "higher rank can't start a low-rank stitch of rank 2"),
        ("affine", "conv3", "reads several positions"),
        ("conv3", "conv5", "5x5 map can't start a 3x3 one"),
    ],
)
def test_a_map_that_is_none_of_the_familys_is_refused(family: str, of: str, words: str) -> None:
    stitch = stitches.build(family, cut(4), cut(4), rank=RANK)
    with pytest.raises(stitches.Misfit, match=words):
        stitches.start_from_map(stitch, fitted(of, 4, 4, 0))


def test_an_mlp_starts_exactly_as_its_affine_map_and_then_leaves_it() -> None:
    x = maps(3, 5)
    mlp, affine = started("mlp", 3, 5), started("affine", 3, 5)
    assert torch.equal(mlp(x), affine(x))
    assert stitches.rank_of(mlp) is None
    after, fell = trained("mlp", 3, 5)
    assert fell > 0
    skip = torch.nn.functional.conv2d(x, after.weight[:, :, None, None], after.bias)
    assert not torch.allclose(after(x), skip, atol=1e-3)


def test_an_mlps_hidden_layer_reads_standardised_features() -> None:
    mlp, x = started("mlp", 3, 64), map_rows(maps(3, 0))
    hidden = x @ mlp.hidden_weight.T + mlp.hidden_bias
    plain = ((x - x.mean(0)) / x.std(0)) @ (mlp.hidden_weight * x.std(0)).T
    torch.testing.assert_close(hidden - plain, (hidden - plain)[:1].expand_as(hidden), rtol=1e-3, atol=1e-3)
    assert bool(((hidden > 0).any(0) & (hidden < 0).any(0)).float().mean() > 0.9)  # hardly any unit is dead or linear


@pytest.mark.parametrize("family", TRAINED)
def test_training_lowers_the_loss(family: str) -> None:
    assert trained(family, 4, 4)[1] > 0


@pytest.mark.parametrize("bottom, top", [(4, 4), (2, 5), (1, 1)])
def test_an_orthogonal_stitch_stays_orthogonal_while_it_is_trained(bottom: int, top: int) -> None:
    before, after = started("orthogonal", bottom, top).weight.detach(), trained("orthogonal", bottom, top)[0].weight
    torch.testing.assert_close(after.T @ after, torch.eye(bottom), rtol=0, atol=1e-5)
    assert top == 1 or not torch.allclose(after, before, atol=1e-3)


def test_a_scaled_permutation_keeps_its_order_and_its_signs_while_it_is_trained() -> None:
    before, (after, _) = started("scaled_permutation", 4, 4), trained("scaled_permutation", 4, 4, steps=100)
    assert torch.equal(before.order, after.order)
    matrix = after.matrix()
    assert torch.equal((matrix > 0).sum(0), torch.ones(4).long())
    assert torch.equal((matrix != 0).sum(1), torch.ones(4).long())
    assert not torch.allclose(matrix, before.matrix(), atol=1e-3)


def test_a_low_rank_stitch_keeps_its_rank_while_it_is_trained() -> None:
    assert stitches.rank_of(trained("low_rank", 4, 5)[0]) == RANK


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "identity"])
def test_a_copy_and_a_saved_state_compute_the_same(family: str) -> None:
    stitch = trained(family, 4, 4)[0] if FAMILIES[family].trainable else started(family, 4, 4)
    other, x = stitches.build(family, cut(4), cut(4), rank=RANK).eval(), maps(4, 7)
    other.load_state_dict(stitch.state_dict())
    assert torch.equal(other(x), stitch(x))
    assert torch.equal(copy.deepcopy(stitch)(x), stitch(x))


@pytest.mark.parametrize(
    "family, bottom, top, parameters, rank",
    [
        ("identity", 4, 4, 0, 4),
        ("permutation", 4, 4, 0, 4),
        ("scaled_permutation", 4, 4, 4, 4),
        ("orthogonal", 4, 4, 6 + 4, 4),
        ("orthogonal", 2, 5, 7 + 5, 2),
        ("low_rank", 4, 5, 2 * (4 + 5) + 5, 2),
        ("affine", 4, 3, 15, 3),
        ("conv3", 3, 4, 9 * 12 + 4, 4),
        ("conv5", 2, 3, 25 * 6 + 3, 3),
        ("mlp", 3, 4, 2 * 16 + 16, None),
        ("bn_affine_bn", 3, 4, 16 + 14, 3),
    ],
)
def test_a_stitch_says_its_parameters_and_rank(
    family: str, bottom: int, top: int, parameters: int, rank: int | None
) -> None:
    stitch = started(family, bottom, top)
    assert stitches.parameter_count(stitch) == parameters
    assert stitches.rank_of(stitch) == rank


def test_the_rank_counts_what_the_map_keeps_and_none_is_said_of_a_sick_one() -> None:
    stitch = stitches.build("affine", cut(4), cut(4))
    stitches.start_as_identity(stitch)
    with torch.no_grad():
        stitch.weight[3] = stitch.weight[0] + stitch.weight[1]
    assert stitches.rank_of(stitch) == 3
    with torch.no_grad():
        stitch.weight[0, 0] = torch.inf
    assert stitches.rank_of(stitch) is None


@given(st.sampled_from([n for n in ladder_families() if n != "identity"]), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=40)
def test_a_random_start_obeys_the_familys_rule(family: str, channels: int, seed: int) -> None:
    stitch = stitches.build(family, cut(channels), cut(channels), rank=RANK)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(seed))
    if family == "orthogonal":
        torch.testing.assert_close(stitch.weight.T @ stitch.weight, torch.eye(channels), rtol=0, atol=1e-5)
    if family in {"permutation", "scaled_permutation"}:
        assert sorted(stitch.order.tolist()) == list(range(channels))
    if family == "low_rank":
        assert stitches.rank_of(stitch) == min(RANK, channels)
    assert bool(stitch(maps(channels, seed)).isfinite().all())


def test_an_orthogonal_stitch_is_as_exact_under_autocast() -> None:
    stitch = trained("orthogonal", 4, 4)[0]
    with torch.autocast("cpu", torch.bfloat16):
        weight = stitch.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, stitch.weight)
