"""Columns that share a bottom end with the numbers, to the last bit, that each of them has by itself."""

import copy
from collections.abc import Iterator

import pytest
import torch
from small_networks import SmallConv, frozen
from told import told
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.networks import by_name
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching import seams as column_module
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def chain_of(network: nn.Module) -> Chain:
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def resnet20(seed: int, width: float = 0.5) -> Chain:
    return chain_of(frozen(by_name.build("resnet20", 4, (3, 8, 8), width), seed))


def batches(count: int, size: int = 16) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(0, 4, (size,), generator=generator)


def column(bottom: Chain, top: Chain, family: str = "affine") -> column_trainer.StitchedTop:
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build(family, bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(column_trainer.Seam(k, k, stitch))
    return column_trainer.StitchedTop(top, cells)


def assert_equal_to_the_last_bit(ours: column_trainer.StitchedTop, theirs: column_trainer.StitchedTop) -> None:
    for a, b in zip(ours.seams, theirs.seams, strict=True):
        for name, value in a.stitch.state_dict().items():
            assert torch.equal(value, b.stitch.state_dict()[name]), name


def check(bottom: Chain, columns: list[column_trainer.StitchedTop], recipe: column_trainer.Recipe) -> None:
    alone = [column_trainer.StitchedTop(c.top, copy.deepcopy(c.seams)) for c in columns]
    losses = finish(column_trainer.train_columns(bottom, columns, batches(recipe.steps), recipe))
    expected = [finish(column_trainer.train_columns(bottom, [c], batches(recipe.steps), recipe)) for c in alone]
    for ours, theirs in zip(columns, alone, strict=True):
        assert_equal_to_the_last_bit(ours, theirs)
    assert losses == [loss for own in expected for loss in own]


@pytest.mark.parametrize(
    ("dtype", "joined"),
    [
        (torch.float32, 1 << 40),
        (torch.float32, 0),
        *(pytest.param(torch.bfloat16, joined, marks=pytest.mark.slow) for joined in (0, 1 << 40)),
    ],
)
def test_columns_of_one_bottom_train_as_alone(dtype: torch.dtype, joined: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_module, "JOINED_BYTES", joined)
    bottom = resnet20(0)
    tops = [resnet20(1), resnet20(2), resnet20(3, width=1)]
    check(bottom, [column(bottom, top) for top in tops], column_trainer.Recipe(4, 1e-2, dtype=dtype))


@pytest.mark.parametrize(
    "changes",
    [{"dtype": torch.bfloat16}, {"objective": "trajectory"}, {"memory": 150_000}, {"l1": 0.1}, {"fold": False}],
)
def test_so_they_do_by_every_recipe(changes: dict) -> None:
    bottom = chain_of(frozen(SmallConv(), 0))
    tops = [chain_of(frozen(SmallConv(), seed)) for seed in (1, 2)]
    check(bottom, [column(bottom, top) for top in tops], column_trainer.Recipe(3, 1e-2, **changes))


def test_so_they_do_beside_stitches_of_another_size() -> None:
    bottom, top = resnet20(0), resnet20(1)
    check(bottom, [column(bottom, top, family) for family in ("affine", "mlp")], column_trainer.Recipe(3, 1e-2))


def test_a_column_that_diverges_leaves_the_other_as_it_is() -> None:
    bottom = chain_of(frozen(SmallConv(), 0))
    sick, healthy = (column(bottom, chain_of(frozen(SmallConv(), seed))) for seed in (1, 2))
    alone = column_trainer.StitchedTop(healthy.top, copy.deepcopy(healthy.seams))
    with torch.no_grad():
        for cell in sick.seams:
            cell.stitch.weight.fill_(float("nan"))
    told(
        column_trainer.train_columns(bottom, [sick, healthy], batches(3), column_trainer.Recipe(3)),
        report=lambda _, read: read(),
    )
    finish(column_trainer.train_columns(bottom, [alone], batches(3), column_trainer.Recipe(3)))
    assert_equal_to_the_last_bit(healthy, alone)
