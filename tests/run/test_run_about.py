"""Labels and notes: kept beside the log, found again by name, whatever others wrote there."""

import pytest
from made_events import experiment

from stitchtui.base.errors import BadInput
from stitchtui.run.about import About
from stitchtui.run.directory import RunDirectory, create, find
from stitchtui.run.state import quick_state, whole_state


@pytest.fixture
def directory(tmp_path):
    return create(experiment(), tmp_path)


def test_a_label_and_a_note_are_kept_one_without_the_other(directory):
    assert directory.read_about() == About()
    directory.write_about(label="  wide\n one ")
    directory.write_about(note="first with\ttwo seeds\x1b[2J")
    assert directory.read_about() == About("wide one", "first with two seeds?[2J")
    assert quick_state(directory).about == whole_state(directory).about == directory.read_about()
    directory.write_about(label="")
    assert directory.read_about() == About("", "first with two seeds?[2J")


def test_a_label_that_is_no_short_name_is_bad_input_and_changes_nothing(directory):
    directory.write_about(label="short")
    with pytest.raises(BadInput, match="label: expected at most 40 characters, got 41"):
        directory.write_about(label="x" * 41)
    assert directory.read_about() == About("short")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"label": 3, "note": null, "more": {}}', b'{"label": "\\ud800"}'])
def test_what_others_wrote_there_is_read_as_text_or_as_nothing(directory, content):
    directory.about.write_bytes(content)
    assert all(text.encode() is not None for text in (directory.read_about().label, directory.read_about().note))


def test_a_run_is_found_by_its_label_unless_that_is_the_beginning_of_a_name(directory):
    directory.write_about(label="wide one")
    assert find("wide one", directory.path.parent) == directory
    other = RunDirectory(directory.path.with_name("other"))
    other.path.mkdir()
    other.events.touch()
    with pytest.raises(BadInput, match=f"--label wide one: is the label of run {directory.name} already"):
        other.write_about(label="wide one")
    directory.write_about(label="wide one", note="its own is no other's")
    directory.write_about(label="oth")
    assert find("oth", directory.path.parent) == other
