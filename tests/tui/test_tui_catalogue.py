import os

import pytest
from pilot import make_experiment, make_run

from stitchtui.base.paths import runs_directory
from stitchtui.run import control, events
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventWriter, Warned
from stitchtui.tui.catalogue import Catalogue, Entry


@pytest.fixture
def read(monkeypatch):
    """The bytes that are read from logs, a number for each piece."""
    found, really = [], events._read

    def counted(file):
        chunk = really(file)
        found.append(len(chunk))
        return chunk

    monkeypatch.setattr(events, "_read", counted)
    return found


def test_names_come_first_and_each_log_is_read_once_and_then_only_what_was_added(read):
    ends = ((3, "done"), (2, "direct"), (1, "direct"))
    done, lost, going = (make_run(runs_directory(), f"2026010{day}-000000-x", until=until) for day, until in ends)
    going.write_info(control.describe_process(os.getpid()))
    looked, told = Catalogue(), []
    first = looked.look(told.append)
    assert [(entry.directory, entry.condition) for entry in told[0]] == [(run, None) for run in (done, lost, going)]
    assert [entry.condition for entry in first] == ["done", "lost", "running"]
    assert sum(read) == sum(run.events.stat().st_size for run in (done, lost, going))
    read.clear()
    assert looked.look() == first and read == []
    before = going.events.stat().st_size
    with EventWriter(going.events) as writer:
        writer.write(Warned(text="something new"))
    lost.write_about(label="the old one")
    assert [entry.about.label for entry in looked.look()] == ["", "the old one", ""]
    assert sum(read) == going.events.stat().st_size - before


def test_runs_of_one_name_say_what_differs_also_when_another_comes():
    runs = [make_run(runs_directory(), f"20260101-00000{n:.0f}-x", make_experiment(epsilon=n)) for n in (1.0, 2.0)]
    looked = Catalogue()
    assert [entry.differs for entry in looked.look()] == [("epsilon 2",), ("epsilon 1",)]
    make_run(runs_directory(), "20260101-000003-x", make_experiment(epsilon=2.0))
    assert [entry.differs for entry in looked.look()] == [(), (), ("epsilon 1",)]
    runs[1].events.write_bytes(b"")  # as if begun anew
    assert [entry.differs for entry in looked.look()] == [("epsilon 2",), (), ("epsilon 1",)]


def test_a_directory_that_vanished_or_holds_nonsense_stops_no_one():
    broken = RunDirectory(runs_directory() / "20260105-000000-broken")
    broken.path.mkdir(parents=True)
    broken.events.write_bytes(b"\xff\xfe not json\n{}\n" + b'{"t": 1, "type": "step"}\n')
    looked = Catalogue()
    assert [entry.condition for entry in looked.look()] == ["lost"]
    broken.events.unlink()
    broken.path.rmdir()
    assert looked.look() == []


def test_an_entry_that_was_not_read_yet_has_no_condition(tmp_path):
    assert Entry(RunDirectory(tmp_path)).condition is None
