"""A stitched network as a module of its own: the one that was measured, and one that others can use."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from tiny_run import done
from torch import Tensor, nn

from stitchtui.api.result import Result, load
from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.execute.runner import Given
from stitchtui.networks.network import weight_digest
from stitchtui.networks.obtain import obtain
from stitchtui.run.directory import RunDirectory

CPU = torch.device("cpu")
ONE = {"pairs": [{"bottom": "seed0", "top": "seed1"}]}


@pytest.fixture(autouse=True)
def cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(place / "cache"))


@pytest.fixture(scope="module")
def images(result: Result) -> tuple[Tensor, Tensor]:
    """The run's test images, in [0, 1], and their labels."""
    test = load_dataset(result.experiment.data).test
    return test.images / 255, test.labels


def wrong(network: nn.Module, images: tuple[Tensor, Tensor]) -> list[bool]:
    with torch.no_grad():
        return (network(images[0]).argmax(1) != images[1]).tolist()


def test_it_errs_on_just_the_images_that_its_cell_says(result: Result, images: tuple[Tensor, Tensor]) -> None:
    trained = [cell for cell in result.cells if cell.objective == "task"]
    assert len(trained) == 8 and len({tuple(cell.wrong) for cell in trained}) > 3
    for cell in trained:
        errs = wrong(result.stitched(cell), images)
        assert errs == list(cell.wrong)
        assert sum(errs) == round(result.networks[cell.top].error + cell.penalty.value)


def test_a_cut_and_a_pair_name_the_same_network(result: Result, images: tuple[Tensor, Tensor]) -> None:
    pair, cut = "seed1 > seed0", "block4"
    network = result.stitched(cut, pair)
    assert sum(wrong(network, images)) == round(result.networks["seed0"].error + result.penalties[cut][pair].value)


def test_it_is_frozen_in_eval_mode_and_can_be_copied_saved_and_exported(
    result: Result, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    network, few = result.stitched("block2", "seed0 > seed1"), images[0][:7]
    expected = network(few)
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(layer.training for layer in network.modules())
    assert torch.equal(copy.deepcopy(network)(few), expected)
    torch.save(network.state_dict(), tmp_path / "stitched.pt")
    again = result.stitched("block4", "seed1 > seed0")
    with pytest.raises(RuntimeError):  # another cut is another network
        again.load_state_dict(torch.load(tmp_path / "stitched.pt"))
    again = result.stitched("block2", "seed0 > seed1")
    for parameter in again.parameters():
        parameter.zero_()
    again.load_state_dict(torch.load(tmp_path / "stitched.pt"))
    assert torch.equal(again(few), expected)
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(network, (few,), dynamic_shapes=({0: batch},))
    assert torch.allclose(exported.module()(images[0]), network(images[0]), atol=1e-5)


def test_what_is_done_to_one_touches_no_other(result: Result, images: tuple[Tensor, Tensor]) -> None:
    before = wrong(result.stitched("block2", "seed0 > seed1"), images)
    for parameter in result.stitched("block2", "seed0 > seed1").parameters():
        parameter.zero_()
    assert wrong(result.stitched("block2", "seed0 > seed1"), images) == before


@pytest.mark.parametrize(
    ("cut", "pair", "field", "says"),
    [
        ("block9", "seed0 > seed1", "cut", "nearest: 'block"),
        ("block2", None, "pair", "this run has 2 pairs"),
        ("block2", "seed0 > seed2", "pair", "nearest: 'seed"),
    ],
)
def test_what_it_has_not_is_bad_input(result: Result, cut: str, pair: str | None, field: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        result.stitched(cut, pair)
    assert refused.value.field == field


@pytest.mark.parametrize("links", [True, False])
def test_a_run_keeps_the_stitches_of_reused_cells_whatever_becomes_of_the_run_that_measured_them(
    tiny: RunDirectory, images: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError))
    first = RunDirectory(tmp_path / "runs" / tiny.name)
    shutil.copytree(tiny.path, first.path)
    some = done(tmp_path, **ONE, stitch={"cuts": ["block4"]})
    shutil.rmtree(first.path)
    assert {path.stat().st_nlink for path in some.stitches.iterdir()} == {1}
    every = done(tmp_path, **ONE)
    again = done(tmp_path, **ONE)
    assert {path.stat().st_nlink for path in every.stitches.iterdir()} == {1 + links}
    for run in (some, every):
        shutil.rmtree(run.path)
    result = load(again.path)
    trained = [cell for cell in result.cells if cell.objective == "task"]
    assert {cell.cut: cell.reused_from for cell in trained} == {"block2": every.name, "block4": tiny.name}
    for cell in trained:
        assert wrong(result.stitched(cell.cut), images) == list(cell.wrong)


def test_the_stitch_of_a_reused_cell_is_the_other_runs_where_its_own_has_no_file_of_it(
    tiny: RunDirectory, place: Path, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    beside = done(place, **ONE)
    shutil.rmtree(beside.stitches)
    result = load(beside.path)
    assert all(cell.reused_from == tiny.name for cell in result.cells)
    assert wrong(result.stitched("block2"), images) == wrong(
        load(tiny.path).stitched("block2", "seed0 > seed1"), images
    )
    result.save(tmp_path / "alone")
    alone = load(tmp_path / "alone")
    assert alone == result
    assert wrong(alone.stitched("block2"), images) == wrong(result.stitched("block2"), images)
    shutil.rmtree(beside.path)


@pytest.mark.parametrize("family", ["affine", "permutation", "identity"])
def test_closed_forms_that_were_asked_for_are_kept_too(
    family: str, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    result = load(done(tmp_path, **ONE, stitch={"family": family, "objective": "direct"}).path)
    for cell in result.cells:
        assert wrong(result.stitched(cell), images) == list(cell.wrong)
        assert wrong(result.stitched(cell.cut), images) == list(cell.wrong)


def test_networks_in_memory_are_given_again_and_stay_as_they_are(
    result: Result, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    data = load_dataset(result.experiment.data)
    specs = result.experiment.networks
    given = {name: finish(obtain(name, specs[name], data, CPU, specs)).module for name in specs}
    for module in given.values():
        module.train().requires_grad_(True)
    digests = [weight_digest(module) for module in given.values()]
    networks = {name: {"architecture": f"memory:{name}"} for name in given}
    directory = done(tmp_path, Given(networks=given), networks=networks, stitch={"cuts": ["block2"]}, **ONE)
    found = Result.read(directory, given)
    cell = next(cell for cell in found.cells if cell.objective == "task")
    network = found.stitched("block2")
    theirs = {each.data_ptr() for module in given.values() for each in module.parameters()}
    assert theirs.isdisjoint(each.data_ptr() for each in network.parameters())
    assert wrong(network, images) == list(cell.wrong)
    assert [weight_digest(module) for module in given.values()] == digests
    assert all(module.training and next(module.parameters()).requires_grad for module in given.values())
    with pytest.raises(BadInput, match="give it: load") as refused:
        load(directory.path).stitched("block2")
    assert refused.value.field == "networks.seed0"
    given["seed0"].requires_grad_(False)
    next(given["seed0"].parameters()).add_(1)
    with pytest.raises(BadInput, match="has other weights than"):
        load(directory.path, given).stitched("block2")


def test_a_network_that_is_gone_from_the_cache_is_named(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path))
    fresh = Result(result.files)
    with pytest.raises(BadInput, match="isn't in the cache any more") as refused:
        fresh.stitched("block2", "seed0 > seed1")
    assert refused.value.field == "networks.seed0"
