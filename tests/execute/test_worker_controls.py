"""Controls and measures of a real run: laws that must hold on any networks."""

import pytest
from small_runs import experiment, new_run

from stitchtui.run.events import NetworkCut
from stitchtui.run.records import Cell, Column
from stitchtui.run.state import RunState
from stitchtui.spec.measures import VERSUS_BOTTOM
from stitchtui.spec.plan import resolve

CONTROLS = [
    "self_stitch",
    "self_stitch_bottom",
    "identity",
    "random_bottom",
    "random_top",
    "cluster_noise",
    "shuffled_labels",
    "less_data",
    "linear_probe",
    "fine_tuned_top",
    "retrained_top",
    "freeze_training",
]
ONE = {"pairs": [{"bottom": "seed0", "top": "seed1"}]}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> RunState:
    place = tmp_path_factory.mktemp("controls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(place / "cache"))
        stitch = {"cuts": ["block2", "block4"], "steps": 8}
        return new_run(experiment(**ONE, stitch=stitch, controls=CONTROLS), place / "runs")[1]


def column(state: RunState, control: str) -> Column:
    return next(c for c in state.columns() if c.control == control)


def cells(state: RunState, control: str, direct: bool = False) -> list[Cell]:
    found = column(state, control)
    tasks = set(found.direct_tasks) if direct else set(found.task_ids)
    return [c for c in state.cells.values() if c.task in tasks]


def test_every_control_has_its_column_and_every_cell_a_number(state: RunState) -> None:
    wanted = {name for name in CONTROLS if name != "self_stitch_bottom"}
    assert {c.control for c in state.columns()} == {"", *wanted}
    assert {c.status for c in state.cells.values()} == {"finished"}
    assert not [check for check in state.checks if not check["passed"]]


def test_both_networks_are_stitched_to_themselves(state: RunState) -> None:
    assert {(c.bottom, c.top) for c in state.columns() if c.control == "self_stitch"} == {
        ("seed0", "seed0"),
        ("seed1", "seed1"),
    }


def test_noise_for_a_bottom_has_no_error_of_its_own_and_no_similarity(state: RunState) -> None:
    for cell in cells(state, "cluster_noise"):
        assert cell.measures["cka"] is None
        assert "bottom_error" not in cell.measures
        assert cell.interval(VERSUS_BOTTOM) is None
        assert cell.interval() is not None


def test_a_random_top_is_judged_against_the_trained_one(state: RunState) -> None:
    for cell in cells(state, "random_top"):
        assert cell.measures["top_error"] == state.networks["seed1"].error
        assert cell.measures["penalty"] == pytest.approx(cell.measures["error"] - state.networks["seed1"].error)


def test_labels_in_random_order_teach_nothing(state: RunState) -> None:
    shuffled, own = cells(state, "shuffled_labels"), cells(state, "")
    assert all(s.measures["loss"] > o.measures["loss"] for s, o in zip(shuffled, own, strict=True))


def test_a_linear_probe_depends_on_the_bottom_alone(state: RunState) -> None:
    probes = cells(state, "linear_probe")
    assert [p.measures["stitch_parameters"] for p in probes] == [10 * (c.shape[0] + 1) for c in _cuts(state)]
    assert "activation_gap" not in probes[0].measures


def _cuts(state: RunState) -> list[NetworkCut]:
    return [c for c in state.networks["seed0"].cuts if c.name in ("block2", "block4")]


def test_a_cell_says_how_far_the_top_is_from_its_own_ways_at_its_cut_and_later(state: RunState) -> None:
    early, late = cells(state, "")
    assert early.measures["gap at block4"] is not None
    assert "gap at block2" not in late.measures
    for cell in (early, late):
        values = cell.measures
        assert 0 <= values["ood_low"] <= values["ood"] <= values["ood_high"] <= 1
        assert 0 <= values["js_distance"] <= 1
        assert 0 <= values["procrustes"] <= 1
        assert 0 <= values["cca"] <= 1
        assert 1 <= values["stitch_effective_rank"] <= values["stitch_rank"] + 1e-6


def test_a_self_stitch_by_the_identity_feeds_the_top_just_its_own(state: RunState) -> None:
    for cell in cells(state, "self_stitch"):
        assert cell.measures["start_penalty"] == 0
        assert cell.measures["cka"] == 1
        assert cell.measures["procrustes"] == 0


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> RunState:
    place = tmp_path_factory.mktemp("ladder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(place / "cache"))
        stitch = {"cuts": ["block2"], "steps": 4, "family": "ladder", "rank": 4, "ridge": 0.0}
        return new_run(experiment(**ONE, stitch=stitch, controls=[]), place / "runs")[1]


def test_a_ladder_is_a_column_for_each_family(ladder: RunState) -> None:
    families = [c.family for c in ladder.columns() if not c.control]
    assert families == [
        *("identity", "permutation", "scaled_permutation", "orthogonal", "low_rank", "affine_scaled", "affine"),
        *("conv3", "conv5", "conv7", "conv9", "mlp"),
    ]
    ranks = {
        t.family: ladder.cells[t.id, "block2"].measures["stitch_rank"]
        for t in plan_of(ladder)
        if t.objective == "direct"
    }
    assert ranks["low_rank"] == 4
    assert ranks["identity"] == ranks["permutation"] == ranks["orthogonal"]


def test_more_capacity_never_matches_worse_on_what_it_was_fitted_on(ladder: RunState) -> None:
    gaps = {
        t.family: ladder.cells[t.id, "block2"].measures["activation_gap"]
        for t in plan_of(ladder)
        if t.objective == "direct"
    }
    # On test images, so a tolerance: what is fitted closer to training images may be a little worse here.
    assert gaps["permutation"] < gaps["identity"] + 1e-3
    assert gaps["affine"] < gaps["low_rank"] + 1e-3
    assert gaps["affine"] < gaps["permutation"]


def plan_of(state: RunState) -> list[object]:
    from stitchtui.spec.experiment import Experiment

    return list(resolve(Experiment.model_validate(state.experiment)).tasks)


@pytest.mark.parametrize(
    "stitch",
    [
        {"objective": "soft"},
        {"objective": "final_features"},
        {"objective": "final_features_then_task"},
        {"objective": "trajectory"},
        {"l1": 50.0},
        {"start": "random", "best_of": 3},
        {"start": "permutation"},
        {"train_size": 50},
        {"family": "mlp"},
        {"family": "orthogonal", "objective": "soft"},
    ],
    ids=str,
)
def test_every_way_of_training_ends_with_numbers_and_leaves_the_networks_alone(
    stitch: dict[str, object], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path_factory.getbasetemp() / "shared cache"))
    _, state = new_run(experiment(**ONE, stitch={"cuts": ["block2", "block4"], "steps": 6, **stitch}, controls=[]))
    found = [c for c in state.cells.values() if " direct " not in c.task]
    assert found
    assert {c.status for c in found} == {"finished"}
    assert all(c.measures["steps"] == 6 for c in found)
    assert state.checks[-1]["passed"]
    if "l1" in stitch:
        assert all(c.measures["stitch_sparsity"] > 0 for c in found)
