import gc
import mmap
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import experiment

from stitchtui.base.device import held_memory
from stitchtui.base.work import Pass
from stitchtui.data.dataset import Dataset, Part
from stitchtui.execute.reuse import finished_elsewhere
from stitchtui.execute.runner import Runner
from stitchtui.measuring import saying
from stitchtui.measuring.feed import in_order, pixels, steps_in, training_batches
from stitchtui.measuring.history import Known
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import CellFinished, Event, EventWriter, Step, TaskStarted, Warned
from stitchtui.spec.plan import resolve


def dataset(images: int) -> Dataset:
    part = Part(torch.arange(images * 12, dtype=torch.uint8).view(images, 3, 2, 2), torch.arange(images))
    return Dataset("small", part, part, ("a", "b"), (0.5,) * 3, (0.2,) * 3, "none", "digest")


def test_an_epoch_of_training_shows_every_image_once_in_an_order_from_the_seed() -> None:
    data = dataset(12)
    first, again, other = (training_batches(data, 4, seed) for seed in (0, 0, 1))
    labels = [[next(feed)[1] for _ in range(6)] for feed in (first, again, other)]
    epochs = [torch.cat(labels[0][:3]), torch.cat(labels[0][3:])]
    assert all(sorted(epoch.tolist()) == list(range(12)) for epoch in epochs)
    assert not torch.equal(*epochs)
    assert all(torch.equal(a, b) for a, b in zip(labels[0], labels[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(labels[0], labels[2], strict=True))


def test_training_goes_on_with_fewer_images_than_a_batch() -> None:
    images, labels = next(training_batches(dataset(3), 128, 0))
    assert images.shape == (3, 3, 2, 2)
    assert sorted(labels.tolist()) == [0, 1, 2]
    assert steps_in(2, 3, 128) == 2


def test_a_pass_in_order_shows_every_image() -> None:
    part = dataset(10).test
    batches = list(in_order(part, 4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([labels for _, labels in batches]), part.labels)
    assert torch.equal(torch.cat([images for images, _ in batches]), pixels(part.images))
    assert pixels(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist() == [[[[0.0, 1.0]]]]


def test_steps_are_said_at_most_four_times_a_second_but_always_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(saying.time, "monotonic", lambda: now[0])
    pace, said = saying.Pace(), []
    for step in range(1, 101):
        now[0] += 0.01
        if pace.due(last=step == 100):
            said.append(step)
    assert said == [1, 26, 51, 76, 100]


def runner(parent: Path, said: list[Event]) -> Runner:
    return Runner(RunDirectory(parent / "run"), resolve(experiment()), said.append)


def test_a_run_warns_of_a_thing_once(tmp_path: Path) -> None:
    said: list[Event] = []
    run = runner(tmp_path, said)
    for text in ("a", "b", "a"):
        list(run.say(Warned(text=text)))
    assert said == [Warned(text="a"), Warned(text="b")]


def test_steps_say_the_memory_held_and_other_events_do_not(tmp_path: Path) -> None:
    said: list[Event] = []
    run = runner(tmp_path, said)
    run._memory = lambda: 1234
    started = TaskStarted(task="t", steps=10, cuts=[])
    for event in (started, Step(task="t", step=1, steps=10)):
        list(run.say(event))
    assert said == [started, Step(memory=1234, task="t", step=1, steps=10)]


def test_a_pass_of_which_nothing_is_said_can_be_left_after_every_batch() -> None:
    def counted() -> Pass[str]:
        yield 4
        yield 2
        return "found"

    work = saying.silent(counted())
    assert [next(work), next(work)] == [None, None]
    with pytest.raises(StopIteration, match="found"):
        next(work)


def test_a_process_holds_more_memory_once_it_keeps_a_large_tensor() -> None:
    cpu = torch.device("cpu")
    gc.collect()
    before = held_memory(cpu)
    # Mapped afresh: torch's own memory may come from what the heap still holds of an earlier test, which adds nothing.
    kept = torch.frombuffer(mmap.mmap(-1, 64 << 20), dtype=torch.uint8).fill_(1)
    assert held_memory(cpu) - before > len(kept) // 2


def finished_run(parent: Path, name: str, identity: object, measures: object, **more: Any) -> None:
    directory = RunDirectory(parent / name)
    directory.path.mkdir(parents=True)
    with EventWriter(directory.events) as log:
        log.write(Step(task="t", step=1, steps=2))
        log.write(CellFinished(task="t", cut="c", identity=identity, measures=measures, **more))


def test_cells_of_other_runs_are_found_by_identity_newest_first(tmp_path: Path) -> None:
    finished_run(tmp_path, "20260101-000000-old", "i", {"penalty": 1.0})
    finished_run(tmp_path, "20260201-000000-new", "i", {"penalty": 2.0}, wrong="/w==")
    finished_run(tmp_path, "20260301-000000-here", "i", {"penalty": 3.0})
    found = finished_elsewhere(RunDirectory(tmp_path / "20260301-000000-here"))
    assert found == {"i": Known("20260201-000000-new", {"penalty": 2.0}, "/w==")}


def test_a_reused_cell_names_the_run_that_measured_it(tmp_path: Path) -> None:
    finished_run(tmp_path, "20260201-000000-b", "i", {"penalty": 2.0}, reused_from="20260101-000000-a")
    found = finished_elsewhere(RunDirectory(tmp_path / "20260301-000000-here"))
    assert found == {"i": Known("20260101-000000-a", {"penalty": 2.0})}


def test_a_cell_that_does_not_say_which_images_are_answered_wrongly_is_reused_without(tmp_path: Path) -> None:
    finished_run(tmp_path, "20260101-000000-a", "i", {"penalty": 2.0}, wrong=None)
    assert finished_elsewhere(RunDirectory(tmp_path / "20260301-000000-here"))["i"].wrong == ""


@pytest.mark.parametrize("identity, measures", [(None, {"penalty": 1.0}), ("i", None), ("i", {}), ("i", [1])])
def test_damaged_cells_are_not_reused(tmp_path: Path, identity: object, measures: object) -> None:
    finished_run(tmp_path, "20260101-000000-a", identity, measures)
    log = tmp_path / "20260101-000000-a" / "events.jsonl"
    log.write_bytes(log.read_bytes() + b'{"type":"cell_finished"\xff\n{"cell_finished"')
    assert finished_elsewhere(RunDirectory(tmp_path / "20260301-000000-here")) == {}
