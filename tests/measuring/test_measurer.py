"""A unit is a value, and measuring it a generator: where it runs and in which order changes no number."""

import pickle
from collections.abc import Iterable

import pytest
import torch
from small_runs import experiment

from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.history import History, Known
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.session import Session
from stitchtui.run.events import CellFinished, Event, NetworkReady, TaskFinished, TaskStarted
from stitchtui.spec.plan import Plan, Unit, resolve
from stitchtui.stats.answer_bits import AnswerBits

PLAN = resolve(experiment(stitch={"cuts": ["block2", "flatten"]}, controls=["self_stitch", "random_bottom"]))


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measurer(plan: Plan, history: History | None = None) -> Measurer:
    session = Session(plan.experiment, torch.device("cpu"), load_dataset(plan.experiment.data))
    made = Measurer(session, history)
    for unit in plan.networks:
        finish(made.measure(unit))
    return made


def said(made: Measurer, units: Iterable[Unit]) -> list[Event]:
    return [event for unit in units for event in made.measure(unit) if event is not None]


def cells(events: Iterable[Event]) -> dict[tuple[str, str], dict[str, float | None]]:
    finished = [event for event in events if isinstance(event, CellFinished)]
    return {(e.task, e.cut): {k: v for k, v in e.measures.items() if k != "seconds"} for e in finished}


def test_units_give_the_same_numbers_in_any_order_and_when_they_were_sent() -> None:
    in_order = cells(said(measurer(PLAN), PLAN.units))
    turned = cells(said(measurer(PLAN), pickle.loads(pickle.dumps(PLAN.units))[::-1]))
    assert in_order.keys() == {(task.id, cut) for task in PLAN.tasks for cut in ("block2", "flatten")}
    assert turned == in_order


def test_a_network_that_is_ready_is_said_once_with_the_images_it_gets_wrong() -> None:
    made = Measurer(Session(PLAN.experiment, torch.device("cpu"), load_dataset(PLAN.experiment.data)))
    first, second = (
        [event for unit in PLAN.networks for event in made.measure(unit) if isinstance(event, NetworkReady)]
        for _ in range(2)
    )
    images = len(made.session.dataset.test)
    wrong = [AnswerBits.read(event.wrong or "", images) for event in first]
    assert [each and 100 * each.bits.bit_count() / images for each in wrong] == [event.error for event in first]
    assert [event.network for event in first] == [unit.network for unit in PLAN.networks]
    assert second == []


def test_a_unit_says_its_tasks_one_after_the_other_and_nothing_of_others() -> None:
    made = measurer(PLAN)
    for unit in PLAN.units:
        events = said(made, [unit])
        started = [event.task for event in events if isinstance(event, TaskStarted)]
        assert started == [event.task for event in events if isinstance(event, TaskFinished)]
        assert set(started) == {task.id for task in unit.tasks}


def test_a_unit_that_is_closed_leaves_its_networks_as_they_were_and_the_next_one_can_be_measured() -> None:
    made = measurer(PLAN)
    unit = next(unit for unit in PLAN.units if unit.tasks[0].objective == "task")
    for count in range(0, 60, 7):
        work = made.measure(unit)
        for _, _event in zip(range(count), work, strict=False):
            pass
        work.close()
    assert torch.is_grad_enabled()
    made.session.verify_frozen(*made.session.loaded.values())
    assert cells(said(made, [unit])) == cells(said(measurer(PLAN), [unit]))


def test_what_is_known_of_other_runs_is_not_measured_again() -> None:
    unit = PLAN.units[0]
    first = [event for event in said(measurer(PLAN), [unit]) if isinstance(event, CellFinished)]
    history = History({event.identity: Known("before", event.measures, event.wrong or "") for event in first})
    again = [event for event in said(measurer(PLAN, history), [unit]) if isinstance(event, CellFinished)]
    assert {event.reused_from for event in again} == {"before"}
    assert cells(again) == cells(first)
