"""The plan: which columns an experiment asks for, and how what is asked for later joins what is there."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import cell, event, experiment, network_ready, run_started

from stitchtui.base.errors import BadInput
from stitchtui.run.directory import create
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment, Request, StitchSpec
from stitchtui.spec.plan import resolve
from stitchtui.spec.presets import list_presets, load_preset


def asking(*also: dict[str, Any]) -> Experiment:
    main = experiment()
    requests = [{"stitch": {**main.stitch.plain(), **each.pop("stitch", {})}, **each} for each in also]
    return Experiment.model_validate({**main.plain(), "also": requests})


def columns(wanted: Experiment, cross: bool = False) -> list[Any]:
    state = RunState()
    state.apply(run_started(wanted))
    return state.crosses() if cross else state.columns()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "stitch": st.fixed_dictionaries(
                    {},
                    optional={
                        "epochs": st.sampled_from([1.0, 8.0]),
                        "pairing": st.sampled_from(["equal", "all"]),
                        "cuts": st.sampled_from(["blocks", "all", ("conv1",)]),
                        "objective": st.sampled_from(["task", "direct"]),
                        "seeds": st.sampled_from([(0,), (0, 1), (2,)]),
                        "family": st.sampled_from(["affine", "identity"]),
                    },
                )
            }
        ),
        max_size=3,
    )
)
def test_asking_for_more_keeps_every_task_that_was_there_and_names_none_twice(also: list[dict[str, Any]]) -> None:
    before = [task.id for task in resolve(experiment()).tasks]
    after = [task.id for task in resolve(asking(*also)).tasks]
    assert after[: len(before)] == before
    assert len(set(after)) == len(after)


def test_a_request_that_changes_nothing_adds_nothing() -> None:
    assert resolve(asking({})).tasks == resolve(experiment()).tasks


def test_more_seeds_join_the_column_that_is_there() -> None:
    found = columns(asking({"stitch": {"seeds": [2, 3]}}))
    assert [c.key for c in found] == [c.key for c in columns(experiment())]
    assert all(len(c.task_ids) == 4 for c in found if not c.control)


def test_longer_training_is_a_column_of_its_own_that_says_so_beside_the_same_direct_matching() -> None:
    found = [c for c in columns(asking({"stitch": {"epochs": 8.0}})) if not c.control]
    main, longer = [c for c in found if c.bottom == "a"]
    assert (main.variant, longer.variant) == ("", "8 epochs")
    assert main.direct_tasks == longer.direct_tasks != ()


def test_a_kernel_that_starts_from_the_affine_map_needs_no_least_squares_of_its_own() -> None:
    def planned(**stitch: str) -> list[tuple[str, str, str]]:
        of_pair = [t for t in resolve(experiment(family="conv9", **stitch)).tasks if (t.control, t.bottom) == ("", "a")]
        return list(dict.fromkeys((t.family, t.objective, t.start) for t in of_pair))

    own = ("conv9", "direct", "least_squares")
    assert planned() == [own, ("conv9", "task", "best")]
    assert planned(start="affine") == [("affine", *own[1:]), ("conv9", "task", "affine")]
    assert planned(start="affine_scaled") == [("affine", *own[1:]), ("conv9", "task", "affine_scaled")]
    assert planned(start="affine", objective="direct") == [own]


def test_a_request_may_be_for_one_pair_only() -> None:
    wanted = asking({"pairs": [{"bottom": "b", "top": "a"}], "stitch": {"epochs": 8.0}})
    assert {(t.bottom, t.top) for t in resolve(wanted).tasks if t.recipe} == {("b", "a")}


def test_every_cut_with_every_cut_is_a_grid_beside_the_others() -> None:
    wanted = asking({"stitch": {"pairing": "all", "objective": "direct"}})
    assert [c.key for c in columns(wanted)] == [c.key for c in columns(experiment())]
    assert [(c.bottom, c.top, c.cross) for c in columns(wanted, cross=True)] == [("a", "b", True), ("b", "a", True)]


def test_a_request_for_a_network_that_the_run_has_not_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    directory = create(experiment(), tmp_path)
    before = directory.experiment.read_bytes()
    with pytest.raises(BadInput, match=r"also\.0\.pairs"):
        directory.with_request(Request.model_validate({"pairs": [{"bottom": "a", "top": "z"}], "stitch": {}}))
    assert directory.experiment.read_bytes() == before


def test_what_was_asked_for_is_read_back_as_it_was_said(tmp_path: Path) -> None:
    directory = create(experiment(), tmp_path)
    first, second = (Request(stitch=StitchSpec(epochs=n)) for n in (2.0, 3.0))
    for request in (first, second):
        directory.write_experiment(directory.with_request(request))
    assert directory.read_experiment().also == (first, second)


def crossed(bottom_cuts: list[str], top_cuts: list[str]) -> RunState:
    wanted = asking({"pairs": [{"bottom": "a", "top": "b"}], "stitch": {"pairing": "all", "objective": "direct"}})
    task = next(t.id for t in resolve(wanted).tasks if t.cross)
    state = RunState()
    state.apply_all([run_started(wanted), network_ready("a", cuts=bottom_cuts), network_ready("b", cuts=top_cuts)])
    ends = [[low, high] for low in bottom_cuts for high in top_cuts]
    rows = [low if low == high else f"{low} > {high}" for low, high in ends]
    state.apply(event("task_started", task=task, steps=9, cuts=rows, ends=ends))
    return state


def test_a_cross_grid_knows_its_rows_and_columns_before_any_number_is_in() -> None:
    state = crossed(["one", "two", "three"], ["one", "two", "three"])
    found = state.cross(state.crosses()[0])
    assert found.bottom_cuts == found.top_cuts == ("one", "two", "three")
    assert found.diagonal == {("one", "one"), ("two", "two"), ("three", "three")}
    assert state.unknown_events == 0


def test_between_different_networks_the_diagonal_joins_cuts_of_about_equal_depth() -> None:
    state = crossed(["a1", "a2", "a3", "a4"], ["b1", "b2"])
    found = state.cross(state.crosses()[0])
    assert {top for _, top in found.diagonal} == {"b1", "b2"}
    depth = {"a1": 0, "a2": 1, "a3": 2, "a4": 3, "b1": 0, "b2": 1}  # as made_events says
    assert all(depth[low] == depth[high] for low, high in found.diagonal)


def test_cells_of_a_cross_grid_are_no_rows_of_the_other_grid_and_have_no_verdict() -> None:
    state = crossed(["one", "two"], ["one", "two"])
    column = state.crosses()[0]
    state.apply(cell(column.task_ids[0], "one > two", penalty=3.0, bottom_cut="one", top_cut="two"))
    assert state.cuts() == []
    assert state.summary(column, "one > two").penalty.value == 3.0


@pytest.mark.parametrize("name", [preset.name for preset in list_presets()])
def test_units_are_the_plans_tasks_by_bottom_closed_forms_before_training_and_pairs_before_controls(name: str) -> None:
    plan = resolve(load_preset(name))
    units = plan.units
    assert sorted(task.id for unit in units for task in unit.tasks) == sorted(task.id for task in plan.tasks)
    for unit in units:
        assert len({(t.request, t.objective == "direct", t.control != "", t.bottom) for t in unit.tasks}) == 1
    of_request = [[unit.tasks[0] for unit in units if unit.tasks[0].request == number] for number in range(20)]
    for firsts in of_request:
        stages = [(first.objective != "direct", first.control != "") for first in firsts]
        assert stages == sorted(stages)
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert resolve(plan.experiment) == plan
