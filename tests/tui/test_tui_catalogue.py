from stitchtui.base.paths import runs_directory
from stitchtui.run.directory import RunDirectory
from stitchtui.tui.catalogue import Catalogue, Entry


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
