"""A file is replaced whole; what a user's path leads to stays what it is."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stitchtui.base import files
from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.files import write_atomically, write_out


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, link, second = tmp_path / "far" / "x.csv", tmp_path / "link", tmp_path / "second"
    link.symlink_to("far/x.csv")
    second.symlink_to(link)
    if there:
        target.write_text("old")
    write_out(second, "new")
    assert (link.is_symlink(), second.is_symlink(), target.read_text()) == (True, True, "new")
    assert entries(tmp_path) == {"far", "link", "second"} and entries(target.parent) == {"x.csv"}


def test_a_link_that_leads_round_is_bad_input(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(BadInput, match="a: can't be written"):
        write_out(tmp_path / "a", "x")
    assert entries(tmp_path) == {"a", "b"}


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_named_pipe_is_written_to(tmp_path, size):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_out(pipe, b"x" * size)
    reader.join(30)
    assert read == [b"x" * size]
    assert pipe.is_fifo() and entries(tmp_path) == {"pipe"}


def test_a_device_is_written_to(tmp_path):
    ours, theirs = os.openpty()
    link = tmp_path / "terminal"
    link.symlink_to(os.ttyname(theirs))
    write_out(link, "here")
    assert os.read(ours, 9) == b"here"
    assert Path(os.ttyname(theirs)).is_char_device()
    os.close(ours)
    os.close(theirs)


def test_the_open_output_is_written_to_where_it_stands(tmp_path):
    program = "from pathlib import Path; from stitchtui.base.files import write_out; print('one'); "
    program += "write_out(Path('/dev/stdout'), 'two\\n'); print('three')"
    out = tmp_path / "out"
    out.write_text("zero\n")
    with out.open("a") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    assert out.read_text() == "zero\none\ntwo\nthree\n"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"one\ntwo\nthree\n"


def test_a_folder_and_a_missing_folder_are_bad_input(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "x", tmp_path / "a\x00b"):
        with pytest.raises(BadInput, match="can't be written"):
            write_out(path, "x")


def test_a_pipe_whose_reader_has_left_is_no_bad_input(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: os.close(os.open(pipe, os.O_RDONLY))).start()
    with pytest.raises(RunFailed, match=r"pipe: can't be written \(Broken pipe\)"):
        write_out(pipe, b"x" * 2**20)


def test_a_full_disk_is_no_bad_input_and_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    write_atomically(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunFailed, match=r"x\.csv: can't be written \(No space left on device\); choose another place"):
        write_out(path, "new")
    assert path.read_text() == "old" and entries(tmp_path) == {"x.csv"}
