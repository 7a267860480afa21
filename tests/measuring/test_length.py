"""A column's cells take as many steps as each needs, at most those asked for; of a fixed length they take them all."""

from pathlib import Path
from typing import Any

import pytest
from small_runs import TRAIN, experiment, measures, new_run, run_here
from test_held_out import measurer, one_thread, said, trained

from stitchtui.execute.runner import Stopped
from stitchtui.run.directory import create
from stitchtui.run.events import Event, HeldOut, Step, TaskStarted, Warned, read_events
from stitchtui.spec.experiment import Experiment, StitchSpec
from stitchtui.spec.plan import resolve

__all__ = ["one_thread"]

ABLE = {"architecture": "digits_cnn", "width": 0.5, "seed": 1, "train": {**TRAIN, "epochs": 20}}
NETWORKS = {"a": ABLE, "b": {**ABLE, "seed": 2}}
CUTS = ["block2", "flatten"]


def wanted(top: str = "b", **stitch: Any) -> Experiment:
    networks = {name: network for name, network in NETWORKS.items() if name in ("a", top)}
    more = {"networks": networks, "pairs": [{"bottom": "a", "top": top}], "controls": []}
    return experiment(**more, stitch={"length": "converged", "cuts": CUTS, "steps": 400, **stitch})


def of_training(events: list[Event], kind: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kind) and " direct " not in event.task]


@pytest.mark.parametrize("frozen_bn", ["eval", "batch"])
def test_a_column_ends_when_its_cells_do_and_its_last_step_says_so(frozen_bn: str) -> None:
    events = said(wanted("a", frozen_bn=frozen_bn))
    (started,) = of_training(events, TaskStarted)
    taken = [cell.measures["steps"] for cell in trained(events)]
    whole = 400 * (2 if frozen_bn == "batch" else 1)  # where each cell is trained by itself
    assert (started.steps, started.at_most) == (whole, True)
    last = of_training(events, Step)[-1]
    assert last.step == last.steps == (sum(taken) if frozen_bn == "batch" else max(taken)) < whole
    readings = of_training(events, HeldOut)
    for cell in trained(events):
        mine = [reading.step for reading in readings if cell.cut in reading.losses]
        assert mine[-1] == cell.measures["steps"] >= cell.measures["chosen_step"]
        assert cell.measures["still_falling"] == 0
    assert not [event for event in events if isinstance(event, Warned) and "still fell" in event.text]


def test_a_loss_that_still_falls_at_the_limit_is_a_warning_which_names_the_cuts() -> None:
    stitch = {"length": "converged", "cuts": CUTS, "steps": 30}
    events = said(experiment(pairs=[{"bottom": "seed0", "top": "seed1"}], stitch=stitch, controls=[]))
    assert [cell.measures["still_falling"] for cell in trained(events)] == [1, 1]
    assert [event.text for event in events if isinstance(event, Warned) and "still fell" in event.text] == [
        "seed0 > seed1: held-out loss still fell at block2, flatten after 30 steps, the limit; try more stitch.epochs"
    ]


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    short = wanted(steps=60)
    whole, _ = new_run(short, tmp_path / "whole")
    directory = create(short, tmp_path / "stopped")

    def in_the_middle() -> bool:
        return any(isinstance(event, HeldOut) and event.step > 30 for event in read_events(directory.events))

    with pytest.raises(Stopped):
        run_here(directory, short, stopping=in_the_middle)
    run_here(directory, short)
    assert measures(directory) == measures(whole)


@pytest.mark.parametrize(
    ("stitch", "converges"),
    [
        ({}, True),
        ({"length": "fixed"}, False),
        ({"held_out": 0}, False),
        ({"l1": 0.1}, False),
        ({"objective": "soft"}, True),
        ({"objective": "final_features_then_task"}, False),
        ({"objective": "direct"}, False),
    ],
)
def test_what_needs_a_length_to_be_known_has_a_fixed_one(stitch: dict[str, Any], converges: bool) -> None:
    assert StitchSpec(**stitch).converges == converges


@pytest.mark.parametrize(
    ("stitch", "controls", "passes"),
    [
        ({}, [], 30),
        ({"length": "fixed"}, [], 4),
        ({"held_out": 0}, [], 4),
        ({"objective": "final_features_then_task"}, [], 4),
        ({}, ["fine_tuned_top"], 4),
        ({"epochs": 7.0}, ["fine_tuned_top"], 7),
    ],
)
def test_where_nothing_is_said_a_stitch_has_room_to_converge_and_what_is_of_fixed_length_stays_short(
    stitch: dict[str, Any], controls: list[str], passes: float
) -> None:
    said = {"length": "converged", "cuts": CUTS, "epochs": None, **stitch}
    plan = experiment(pairs=[{"bottom": "seed0", "top": "seed1"}], stitch=said, controls=controls)
    trained = (task for task in resolve(plan).tasks if task.objective != "direct")
    work = measurer(plan).work(next(task for task in trained if [task.control] == controls or not controls))
    assert work.steps == passes * (work.material.images // work.stitch.batch_size)


def test_how_long_a_cell_is_trained_is_part_of_what_it_is() -> None:
    cells = []
    for length in ("converged", "fixed"):
        plan = wanted("a", length=length)
        made = measurer(plan)
        cells.append({task.objective: made.work(task).cells[0].identity for task in resolve(plan).tasks})
    assert cells[0]["direct"] == cells[1]["direct"]
    assert cells[0]["task"] != cells[1]["task"]
