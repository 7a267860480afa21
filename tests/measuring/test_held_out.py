"""Of a run's training images some are held out: nothing is fitted on them, and each stitch's step is chosen by them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_runs import TRAIN, experiment
from torch import Tensor

from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.feed import training_batches
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.session import Session
from stitchtui.measuring.stitch_work import StitchWork
from stitchtui.run.events import CellFinished, Event, HeldOut, Warned
from stitchtui.spec.experiment import Experiment, StitchSpec
from stitchtui.spec.plan import resolve
from stitchtui.stitching.column_trainer import train_column

CUTS = {"cuts": ["block2", "flatten"]}
ABLE = {"architecture": "digits_cnn", "width": 0.5, "seed": 1, "train": {**TRAIN, "epochs": 20}}
HARM = {"cuts": ["block4"], "learning_rate": 3.0, "scaled_steps": False}


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measurer(wanted: Experiment) -> Measurer:
    session = Session(wanted, torch.device("cpu"), load_dataset(wanted.data))
    made = Measurer(session)
    for unit in resolve(wanted).networks:
        finish(made.measure(unit))
    return made


def said(wanted: Experiment) -> list[Event]:
    made = measurer(wanted)
    return [event for unit in resolve(wanted).units for event in made.measure(unit) if event is not None]


def trained(events: Sequence[Event]) -> list[CellFinished]:
    return [e for e in events if isinstance(e, CellFinished) and " direct " not in e.task]


def keys(images: Tensor) -> set[bytes]:
    return {image.contiguous().numpy().tobytes() for image in (255 * images).round().byte()}


ONE_WAY = {"pairs": [{"bottom": "seed0", "top": "seed1"}]}


def test_what_is_fitted_on_and_what_is_held_out_are_the_same_in_all_cells_and_have_nothing_in_common() -> None:
    controls = ["self_stitch", "shuffled_labels", "less_data", "linear_probe"]
    wanted = experiment(**ONE_WAY, stitch=CUTS, controls=controls)
    made = measurer(wanted)
    works = [made.work(task) for task in resolve(wanted).tasks]
    assert {work.task.control for work in works} == {"", *controls}
    test = keys(made.session.dataset.test.images / 255)
    every = keys(made.session.dataset.train.images / 255)
    for work in works:
        material = work.material
        unseen = set().union(*(keys(images) for images, _ in material.unseen(30, None)))
        fitted = set().union(*(keys(images) for images, _ in material.once(30, None)))
        drawn = material.training(50, work.task.seed, None)
        stepped = set().union(*(keys(next(drawn)[0]) for _ in range(8)))
        assert stepped <= fitted
        assert not unseen & (fitted | test)
        assert len(unseen) == (4 if work.task.control == "less_data" else 40)  # a fifth of 20 images, and of 200
        assert unseen | fitted <= every
        if work.task.control not in ("less_data", "shuffled_labels"):
            assert unseen | fitted == every
            assert torch.equal(material.held_out, works[0].material.held_out)


@pytest.mark.parametrize("more", [{"objective": "task"}, {"objective": "soft"}, {"frozen_bn": "batch"}])
def test_a_self_stitch_that_training_would_ruin_costs_nothing(more: dict[str, Any]) -> None:
    pair = {"networks": {"able": ABLE}, "pairs": [{"bottom": "able", "top": "able"}], "controls": []}
    ruined = trained(said(experiment(**pair, stitch={**HARM, **more, "held_out": 0})))
    cells = trained(said(experiment(**pair, stitch={**HARM, **more})))
    assert any(cell.measures["penalty_low"] > 0 for cell in ruined)
    assert [(cell.measures["penalty"], cell.measures["chosen_step"]) for cell in cells] == [(0, 0)]


def test_each_cell_says_the_step_of_the_lowest_loss_that_was_read_and_counts_as_it_was_then() -> None:
    events = said(experiment(**ONE_WAY, stitch={**CUTS, "epochs": 12, "learning_rate": 0.1}, controls=[]))
    readings = [event for event in events if isinstance(event, HeldOut)]
    assert [event.step for event in readings] == sorted(event.step for event in readings)
    assert readings[0].step == 0
    for cell in trained(events):
        losses = {event.step: event.losses[cell.cut] for event in readings}
        assert cell.measures["chosen_step"] == min(losses, key=losses.__getitem__)
        assert cell.measures["held_out_loss"] == min(losses.values())
        assert cell.measures["held_out_loss"] <= losses[0]
        assert cell.measures["steps"] == readings[-1].step == 36


def test_of_several_starts_the_one_that_does_best_on_held_out_images_counts() -> None:
    stitch = {**CUTS, "start": "random", "best_of": 3, "epochs": 6, "learning_rate": 0.1}
    events = said(experiment(**ONE_WAY, stitch=stitch, controls=[]))
    readings = [event for event in events if isinstance(event, HeldOut)]
    for cell in trained(events):
        assert cell.measures["held_out_loss"] == min(event.losses[cell.cut] for event in readings)


def test_where_training_diverges_the_start_counts_and_a_warning_says_so() -> None:
    events = said(experiment(**ONE_WAY, stitch={**CUTS, "learning_rate": 1e38}, controls=[]))
    for cell in trained(events):
        assert cell.measures["chosen_step"] == 0
        assert cell.measures["penalty"] == cell.measures["start_penalty"]
    (text,) = [e.text for e in events if isinstance(e, Warned) and "diverged" in e.text]
    assert text.startswith("seed0 > seed1: training diverged at block2, flatten")


def test_with_nothing_held_out_training_is_the_plain_one_on_all_images_to_the_last_bit() -> None:
    wanted = experiment(**ONE_WAY, stitch={**CUTS, "held_out": 0}, controls=[])
    made = measurer(wanted)
    task = next(task for task in resolve(wanted).tasks if task.objective == "task")
    work = made.work(task)
    assert isinstance(work, StitchWork)
    events = [event for event in work.run() if event is not None]
    assert not [event for event in events if isinstance(event, HeldOut)]
    assert not {"chosen_step", "held_out_loss"} & trained(events)[0].measures.keys()
    again = made.work(task)
    assert isinstance(again, StitchWork)
    ready = finish(again.prepare(again.cells))
    batches = training_batches(made.session.dataset, 50, task.seed)
    finish(train_column(ready.both.bottom, ready.both.top, ready.seams, batches, again.recipe(again.steps)))
    for cell, seam in zip(ready.cells, ready.seams, strict=True):
        ours = work._kept[cell.row].state_dict()
        assert all(torch.equal(value, ours[name]) for name, value in seam.stitch.state_dict().items())


@pytest.mark.parametrize(
    ("asked", "images", "found"),
    [
        *((None, 1_000_000, 5_000), (None, 50_000, 2_500), (None, 5_000, 500), (None, 1_000, 200), (None, 9, 0)),
        *((0, 50_000, 0), (3_000, 50_000, 3_000)),
    ],
)
def test_a_twentieth_is_held_out_within_limits_unless_said(asked: int | None, images: int, found: int) -> None:
    assert StitchSpec(held_out=asked).holds_out(images, images - 2) == found


def test_more_than_there_is_to_hold_out_is_one_line() -> None:
    wanted = experiment(**ONE_WAY, stitch={**CUTS, "held_out": 200}, controls=[])
    made = measurer(wanted)
    with pytest.raises(BadInput, match=r"^stitch.held_out: 200 asked for, but there are 200 .*; expected at most 190$"):
        made.work(resolve(wanted).tasks[0])


def test_of_few_images_unless_said_and_of_a_tenth_of_them_no_more_are_held_out_than_leave_each_class_one() -> None:
    wanted = experiment(**ONE_WAY, stitch={**CUTS, "held_out": 190}, controls=["less_data"])
    made = measurer(wanted)
    works = {work.task.control: work for work in map(made.work, resolve(wanted).tasks)}
    few = works["less_data"].material
    assert few.dataset.train.labels[few.fitted].unique().tolist() == few.dataset.train.labels.unique().tolist()
    assert len(few.fitted) + len(few.held_out) == 20
    labels = made.session.dataset.train.labels
    first = torch.stack([(labels == k).nonzero()[0, 0] for k in range(10)])
    part = replace(made.session.dataset.train, images=made.session.dataset.train.images[first], labels=labels[first])
    made.session.dataset = replace(made.session.dataset, train=part, digest="an image of each class")
    made.session.experiment = experiment(**ONE_WAY, stitch=CUTS, controls=["less_data"])
    for task in resolve(made.session.experiment).tasks:
        assert len(made.session.material(task, made.session.ends(task)).held_out) == 0
