"""All pairs of three networks: columns of one bottom are trained in one go, with the numbers that each has alone."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import TRAIN, experiment, measures, new_run, run_here

from stitchtui.execute.runner import Stopped
from stitchtui.measuring import saying, stitch_work, together
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import KINDS, as_object, read_events
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.stitching import column_trainer, fold
from stitchtui.stitching.trainer import Trainer

STEPS = 8
NAMES = ("a", "b", "c")
PAIRS = [(bottom, top) for bottom in NAMES for top in NAMES if bottom != top]


def all_pairs(*pairs: tuple[str, str], **changes: Any) -> Experiment:
    """The pairs, all six if none are named, with stitches at two cuts."""
    networks = {
        name: {"architecture": "digits_cnn", "width": 0.25 + 0.25 * (name == "c"), "seed": seed, "train": TRAIN}
        for seed, name in enumerate(NAMES)
    }
    stitch = {"steps": STEPS, "cuts": ["block2", "flatten"], **changes.pop("stitch", {})}
    wanted = [{"bottom": bottom, "top": top} for bottom, top in pairs or PAIRS]
    return experiment(**{"networks": networks, "pairs": wanted, "stitch": stitch, "controls": [], **changes})


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(autouse=True)
def one_cache(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(places / "cache"))


@pytest.fixture(scope="module")
def six(places: Path) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(places / "cache"))
        return new_run(all_pairs(controls=["random_bottom"]), places / "six")[0]


def of(directory: RunDirectory, kind: str) -> list[Any]:
    return [event for event in read_events(directory.events) if isinstance(event, KINDS[kind])]


def in_one_go(directory: RunDirectory) -> dict[str, int]:
    """The tasks that were trained with others, and with how many."""
    return {event.task: event.together for event in of(directory, "task_started") if event.together}


def kept(directory: RunDirectory) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: load_file(path) for path in directory.stitches.iterdir()}


def first_losses(directory: RunDirectory) -> dict[str, list[float]]:
    """What each training said of its first step: later ones depend on when they are said."""
    said = [event for event in of(directory, "step") if event.step == 1 and event.losses]
    return {event.task: event.losses for event in said}


def named(pair: tuple[str, str]) -> str:
    return f"{pair[0]} > {pair[1]} affine task seed 0"


def test_columns_of_one_bottom_are_trained_in_one_go_each_control_by_itself(six: RunDirectory) -> None:
    pairs = [named(pair) for pair in PAIRS]
    assert in_one_go(six) == dict.fromkeys([*pairs, *(f"random({p.replace(' >', ') >', 1)}" for p in pairs)], 2)


def test_every_number_is_what_a_run_of_the_pair_alone_finds(six: RunDirectory, tmp_path: Path) -> None:
    together, stitches = measures(six), kept(six)
    for pair in PAIRS:
        alone, _ = new_run(all_pairs(pair, controls=["random_bottom"]), tmp_path / "-".join(pair))
        assert in_one_go(alone) == {}
        for key, found in measures(alone).items():
            assert together[key] == found
        assert first_losses(alone).items() <= first_losses(six).items()
        for name, tensors in kept(alone).items():
            assert all(torch.equal(tensor, stitches[name][key]) for key, tensor in tensors.items())


def test_the_bottoms_passes_grow_with_the_networks_not_with_the_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    original = Trainer.features
    monkeypatch.setattr(Trainer, "features", lambda self, images: passes.append(1) or original(self, images))
    for count, parent in ((2, "two"), (3, "three")):
        pairs = [pair for pair in PAIRS if set(pair) <= set(NAMES[:count])]
        new_run(all_pairs(*pairs), tmp_path / parent)
        assert len(passes) == count * STEPS
        passes.clear()


def test_a_network_whose_copy_is_wrong_is_trained_through_as_it_is_which_the_log_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = all_pairs(("a", "b"), ("a", "c"))
    right, _ = new_run(wanted, tmp_path / "right")
    monkeypatch.setattr(fold.GlobalAverage, "forward", lambda own, x: 2 * x.mean((2, 3), keepdim=own.keepdim))
    found, _ = new_run(wanted, tmp_path / "wrong")
    said = [e.text for e in of(found, "warning") if "copy for training" in e.text]
    assert [text.split("'")[0] for text in said] == ["a > b: the bottom", "a > b: the top", "a > c: the top"]
    losses = {key: m["loss"] for key, m in measures(right).items()}
    assert {key: m["loss"] for key, m in measures(found).items()} == pytest.approx(losses, rel=1e-2)


def test_each_column_starts_before_its_steps_and_ends_after_its_cells(six: RunDirectory) -> None:
    for task in in_one_go(six):
        said = [as_object(e) for e in read_events(six.events)]
        own = [e["type"].replace("held_out", "step") for e in said if e.get("task") == task]
        assert (own[0], own[-1]) == ("task_started", "task_finished")
        assert own == sorted(own, key=["task_started", "step", "cell_finished", "task_finished"].index)
        assert Counter(own)["cell_finished"] == 2
        last = [e for e in of(six, "step") if e.task == task][-1]
        assert (last.step, last.steps, len(last.losses), len(last.accuracies)) == (STEPS, STEPS, 2, 2)
    losses = [tuple(e.losses) for e in of(six, "step") if e.step == STEPS and e.task in in_one_go(six)]
    assert len(set(losses)) == len(losses)


def test_while_they_are_trained_all_of_them_run(six: RunDirectory) -> None:
    state, most = RunState(), 0
    for event in read_events(six.events):
        state.apply(event)
        most = max(most, sum(task.status == "running" for task in state.tasks.values()))
    assert most == 2
    assert state.unknown_events == 0


Seen = Callable[[RunDirectory], bool]
IN_THE_MIDDLE: dict[str, Seen] = {
    "at its steps": lambda run: any(e.task == named(("a", "b")) for e in of(run, "step")),
    "while measured": lambda run: any(e.task == named(("a", "b")) for e in of(run, "task_finished")),
}


@pytest.mark.parametrize("seen", IN_THE_MIDDLE.values(), ids=list(IN_THE_MIDDLE))
def test_stopped_in_the_middle_it_goes_on_to_the_same_numbers(six: RunDirectory, tmp_path: Path, seen: Seen) -> None:
    wanted = all_pairs(*PAIRS[:3])
    directory = create(wanted, tmp_path)
    with pytest.raises(Stopped):
        run_here(directory, wanted, stopping=lambda: seen(directory))
    before = measures(directory)
    assert not {task for task, _ in before} >= {named(("a", "b")), named(("a", "c"))}
    state = run_here(directory, wanted)
    assert measures(directory) == {key: found for key, found in measures(six).items() if key in measures(directory)}
    assert {task.status for task in state.tasks.values()} == {"finished"}
    assert {c.status for c in state.cells.values()} == {"finished"}


def test_where_memory_runs_out_each_is_trained_alone(
    six: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = column_trainer.train_columns

    def small(bottom: Any, joined: Any, *rest: Any, **more: Any) -> list[float]:
        if len(joined) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(bottom, joined, *rest, **more)

    monkeypatch.setattr(column_trainer, "train_columns", small)
    directory, state = new_run(all_pairs(), tmp_path)
    expected = measures(six)
    assert measures(directory) == {key: expected[key] for key in measures(directory)}
    assert {task.together for task in state.tasks.values()} == {1}
    assert {task.status for task in state.tasks.values()} == {"finished"}


def test_a_column_too_large_to_be_measured_is_measured_in_halves(
    six: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = stitch_work.StitchWork.measures

    def small(self: stitch_work.StitchWork, both: Any, places: Any, *rest: Any, **more: Any) -> Any:
        if self.trains and len(places) > 1 and self.task.top == "b" and more.get("whole", True):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, both, places, *rest, **more)

    monkeypatch.setattr(stitch_work.StitchWork, "measures", small)
    directory, state = new_run(all_pairs(*PAIRS[:2]), tmp_path)
    assert {c.status for c in state.cells.values()} == {"finished"}
    for key, found in measures(directory).items():
        assert found["loss"] == pytest.approx(measures(six)[key]["loss"], rel=1e-2)


def test_columns_that_would_hold_too_much_are_trained_one_after_the_other(
    six: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "memory_budget", lambda *_: 1)
    directory, _ = new_run(all_pairs(), tmp_path)
    assert in_one_go(directory) == {}
    assert measures(directory) == {key: measures(six)[key] for key in measures(directory)}


APART = {
    "several starts": {"start": "random", "best_of": 2},
    "batch statistics": {"frozen_bn": "batch"},
    "images of their own": {"train_on": "top"},
}


@pytest.mark.parametrize("stitch", APART.values(), ids=list(APART))
def test_columns_that_must_not_share_a_step_are_trained_by_themselves(stitch: dict[str, Any], tmp_path: Path) -> None:
    networks = all_pairs().model_dump(exclude_none=True)["networks"]
    networks["c"]["subset"] = {"train_size": 100}
    pairs = ("a", "b"), ("a", "c")
    directory, state = new_run(all_pairs(*pairs, networks=networks, stitch=stitch), tmp_path)
    assert in_one_go(directory) == {}
    assert {c.status for c in state.cells.values()} == {"finished"}


def test_cells_of_an_earlier_run_are_reused_and_the_rest_trained_in_one_go(six: RunDirectory, tmp_path: Path) -> None:
    new_run(all_pairs(("a", "b"), ("b", "a"), stitch={"cuts": ["flatten"]}), tmp_path)
    directory, state = new_run(all_pairs(("a", "b"), ("c", "a"), ("c", "b"), ("b", "a"), ("b", "c")), tmp_path)
    assert in_one_go(directory) == {named(("c", "a")): 2, named(("c", "b")): 2}  # of b, the columns miss other cells
    reused = {key for key, cell in state.cells.items() if cell.reused_from and " task " in key[0]}
    assert reused == {(named(("a", "b")), "flatten"), (named(("b", "a")), "flatten")}
    for key, found in measures(directory).items():
        assert found["loss"] == pytest.approx(measures(six)[key]["loss"], rel=1e-2)


@pytest.mark.parametrize(("count", "said_at"), [(2, [1, 2, 3, 4, 5, 6, 7, 8]), (16, [1, 5])])
def test_many_tasks_at_once_say_their_steps_more_rarely(
    count: int, said_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(100, 200))
    monkeypatch.setattr(saying.time, "monotonic", lambda: 0.25 * next(now))
    pace = saying.Pace()
    assert [step for step in range(1, 9) if pace.due(last=False, tasks=count)] == said_at
