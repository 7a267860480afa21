import gc
import mmap
from pathlib import Path
from typing import Any

import pytest
import torch

from stitchtui.base.device import held_memory, peak_memory
from stitchtui.data.dataset import Dataset, Part
from stitchtui.execute.reuse import Finished
from stitchtui.measure import recorder
from stitchtui.measure.feed import in_order, pixels, steps_in, training_batches
from stitchtui.measure.recorder import Recorder, Stopped
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import CellFinished, Event, EventWriter, Step, TaskStarted, Warned


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


def test_a_pass_in_order_shows_every_image_and_says_how_many() -> None:
    said: list[int] = []
    part = dataset(10).test
    batches = list(in_order(part, 4, said.append))
    assert said == [4, 4, 2]
    assert torch.equal(torch.cat([labels for _, labels in batches]), part.labels)
    assert torch.equal(torch.cat([images for images, _ in batches]), pixels(part.images))
    assert pixels(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist() == [[[[0.0, 1.0]]]]


def test_steps_are_said_at_most_four_times_a_second_but_always_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(recorder.time, "monotonic", lambda: now[0])
    said: list[int] = []
    record = Recorder(lambda event: said.append(event.step) if isinstance(event, Step) else None)
    record.start("t", 100)
    for step in range(1, 101):
        now[0] += 0.01
        record.step("t", step, 100)
    assert said == [1, 26, 51, 76, 100]


def test_facts_are_only_computed_when_they_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder.time, "monotonic", lambda: 5.0)
    record, computed = Recorder(lambda _: None), []
    for step in range(1, 50):
        record.step("t", step, 100, lambda: computed.append(1) or {})
    assert len(computed) == 1


def test_a_recorder_warns_of_a_thing_once() -> None:
    said: list[Event] = []
    record = Recorder(said.append)
    for text in ("a", "b", "a"):
        record.warn_once(text)
    assert said == [Warned(text="a"), Warned(text="b")]


def test_a_recorder_that_is_asked_to_stop_says_nothing_more() -> None:
    said: list[Event] = []
    record = Recorder(said.append, stopping=lambda: True)
    with pytest.raises(Stopped):
        record.step("t", 1, 2)
    assert said == []


def test_steps_say_the_memory_held_and_other_events_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Event] = []
    record = Recorder(said.append)
    monkeypatch.setattr(recorder.time, "monotonic", lambda: 5.0)
    asked: list[int] = []
    record.memory = lambda: asked.append(1) or 1234
    record.start("t", 10)
    for step in range(1, 5):
        record.step("t", step, 10)
    record.emit(Step(task="network a", step=1, steps=2))  # as the training of a network says its steps
    steps = [Step(memory=1234, task="t", step=1, steps=10), Step(memory=1234, task="network a", step=1, steps=2)]
    assert said == [TaskStarted(task="t", steps=10, cuts=[]), *steps]
    assert len(asked) == 2  # nothing is measured for a step that isn't said


def test_a_process_holds_more_memory_once_it_keeps_a_large_tensor() -> None:
    cpu = torch.device("cpu")
    gc.collect()
    before = held_memory(cpu)
    # Mapped afresh: torch's own memory may come from what the heap still holds of an earlier test, which adds nothing.
    kept = torch.frombuffer(mmap.mmap(-1, 64 << 20), dtype=torch.uint8).fill_(1)
    assert held_memory(cpu) - before > len(kept) // 2
    assert held_memory(cpu) <= peak_memory(cpu) * 1.01 + (1 << 20)


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
    found = Finished(RunDirectory(tmp_path / "20260301-000000-here"))
    assert found.find("i") == {"run": "20260201-000000-new", "measures": {"penalty": 2.0}, "wrong": "/w=="}
    assert found.find("another") is None


def test_a_reused_cell_names_the_run_that_measured_it(tmp_path: Path) -> None:
    finished_run(tmp_path, "20260201-000000-b", "i", {"penalty": 2.0}, reused_from="20260101-000000-a")
    found = Finished(RunDirectory(tmp_path / "20260301-000000-here"))
    assert found.find("i") == {"run": "20260101-000000-a", "measures": {"penalty": 2.0}, "wrong": ""}


def test_a_cell_that_does_not_say_which_images_are_answered_wrongly_is_reused_without(tmp_path: Path) -> None:
    finished_run(tmp_path, "20260101-000000-a", "i", {"penalty": 2.0}, wrong=None)
    found = Finished(RunDirectory(tmp_path / "20260301-000000-here")).find("i")
    assert found is not None
    assert found["wrong"] == ""


@pytest.mark.parametrize("identity, measures", [(None, {"penalty": 1.0}), ("i", None), ("i", {}), ("i", [1])])
def test_damaged_cells_are_not_reused(tmp_path: Path, identity: object, measures: object) -> None:
    finished_run(tmp_path, "20260101-000000-a", identity, measures)
    log = tmp_path / "20260101-000000-a" / "events.jsonl"
    log.write_bytes(log.read_bytes() + b'{"type":"cell_finished"\xff\n{"cell_finished"')
    assert Finished(RunDirectory(tmp_path / "20260301-000000-here")).find("i") is None
