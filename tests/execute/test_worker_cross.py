"""Every bottom cut with every top cut in one column: the same numbers as cut by cut, for all that is between."""

from pathlib import Path

import pytest
import torch
from small_runs import experiment, new_run, run_here

from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Request, StitchSpec

CUTS = ["block2", "block4"]
ONE = {"pairs": [{"bottom": "seed0", "top": "seed1"}], "controls": []}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cross")


@pytest.fixture(scope="module")
def equal(places: Path) -> tuple[RunDirectory, RunState]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(places / "cache"))
        return new_run(experiment(**ONE, stitch={"cuts": CUTS}), places / "equal")


@pytest.fixture(scope="module")
def crossed(equal: tuple[RunDirectory, RunState], places: Path) -> RunState:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(places / "cache"))
        return new_run(experiment(**ONE, stitch={"cuts": CUTS, "pairing": "all"}), places / "crossed")[1]


def test_a_cross_column_measures_every_pair_of_cuts_or_says_why_not(crossed: RunState) -> None:
    (column,) = crossed.crosses()
    grid = crossed.cross(column)
    assert list(grid.bottom_cuts) == list(grid.top_cuts) == CUTS
    found = {(c.bottom_cut, c.top_cut): c for (task, _), c in crossed.cells.items() if task == column.task_ids[0]}
    assert found.keys() == {(low, high) for low in CUTS for high in CUTS}
    assert all(c.status == "finished" or "equal height" in (c.reason or "") for c in found.values())


def test_on_its_diagonal_are_the_numbers_of_the_ordinary_column(
    crossed: RunState, equal: tuple[RunDirectory, RunState]
) -> None:
    (column,) = crossed.crosses()
    (ordinary,) = equal[1].columns()
    for cut in CUTS:
        mine, other = crossed.summary(column, cut), equal[1].summary(ordinary, cut)
        assert mine.direct == other.direct
        assert mine.measures["cka"] == pytest.approx(other.measures["cka"], abs=1e-6)
        # Cells don't see each other: training more of them at once changes no more than the order of some sums.
        assert mine.measures["loss"] == pytest.approx(other.measures["loss"], rel=1e-3)


def test_columns_asked_for_later_join_the_run_and_what_was_there_is_left_alone(
    equal: tuple[RunDirectory, RunState], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(places / "cache"))
    directory, before = equal
    torch.manual_seed(0)
    stitch = StitchSpec.model_validate({**before.experiment["stitch"], "epochs": 1.0, "cuts": ("block4",)})
    directory.write_experiment(directory.with_request(Request(stitch=stitch)))
    after = run_here(directory, directory.read_experiment())
    assert {key: c.measures for key, c in before.cells.items()}.items() <= {
        key: c.measures for key, c in after.cells.items()
    }.items()
    added = [column for column in after.columns() if column.variant]
    assert [column.variant for column in added] == ["cuts block4, 1 epochs"]
    assert after.summary(added[0], "block4").status == "finished"
