"""The event log: nothing whole is lost, whatever happens to the file."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.run.events import EventReader, EventWriter, parse, read_events

words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
warnings = st.builds(lambda text, t: {"t": t, "type": "warning", "text": text}, words, st.integers(0, 10**9))
newer = st.builds(lambda more: {"t": 1.0, "type": "from_the_future", "more": more}, values)
good = (warnings | newer).map(lambda event: (json.dumps(event).encode(), event))
garbage = st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")).filter(lambda b: parse(b) is None)
lines = st.lists(good | garbage.map(lambda b: (b, None)), max_size=12)


def log_of(parts):
    return b"".join(line + b"\n" for line, _ in parts), [event for _, event in parts if event is not None]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


@settings(max_examples=60, deadline=None)
@given(parts=lines, tail=st.binary(max_size=20), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_a_growing_log_gives_every_whole_good_line_once_and_in_order(scratch, parts, tail, cuts):
    path = scratch / "growing.jsonl"
    path.unlink(missing_ok=True)
    reader = EventReader(path)  # before there is a file
    data, expected = log_of(parts)
    data += tail.replace(b"\n", b"")
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    seen, start = list(reader.poll()), 0
    for end in ends:
        append(path, data[start:end])
        seen += reader.poll()
        assert not reader.restarted
        start = end
    assert seen == expected
    assert reader.bad_lines == sum(event is None and bool(line.strip()) for line, event in parts)


@settings(max_examples=40, deadline=None)
@given(parts=lines, torn=good, keep=st.integers(1, 60))
def test_a_writer_after_a_torn_tail_never_merges_its_line_with_it(scratch, parts, torn, keep):
    path = scratch / "torn.jsonl"
    data, expected = log_of(parts)
    path.write_bytes(data + torn[0][: min(keep, len(torn[0]) - 1)])
    reader = EventReader(path)
    assert reader.poll() == expected
    with EventWriter(path) as writer:
        written = [writer.write("warning", text="one"), writer.write("warning", text="two")]
    assert reader.poll() == written
    assert read_events(path) == expected + written


@settings(max_examples=40, deadline=None)
@given(first=lines, second=lines)
def test_a_log_replaced_by_another_is_read_from_its_start(scratch, first, second):
    path = scratch / "replaced.jsonl"
    before, _ = log_of([(b'{"t": 0, "type": "old"}', {"t": 0, "type": "old"}), *first])
    path.write_bytes(before)
    reader = EventReader(path)
    reader.poll()
    after, expected = log_of([(b'{"t": 0, "type": "new"}', {"t": 0, "type": "new"}), *second])
    path.write_bytes(after)
    assert reader.poll() == expected
    assert reader.restarted
    assert reader.poll() == []
    assert not reader.restarted


def test_a_truncated_log_is_read_again_from_its_start(path):
    reader = EventReader(path)
    with EventWriter(path) as writer:
        first = writer.write("warning", text="first")
        size = path.stat().st_size
        second = writer.write("warning", text="second")
    assert reader.poll() == [first, second]
    os.truncate(path, size)
    assert reader.poll() == [first]
    assert reader.restarted


def test_an_emptied_log_says_that_it_restarted(path):
    path.write_bytes(b'{"t": 1, "type": "warning", "text": "x"}\n')
    reader = EventReader(path)
    reader.poll()
    path.write_bytes(b"")
    assert reader.poll() == []
    assert reader.restarted


def test_a_log_that_vanishes_and_comes_back_longer_goes_on_where_it_was(path):
    with EventWriter(path) as writer:
        writer.write("warning", text="first")
    reader = EventReader(path)
    assert len(reader.poll()) == 1
    content = path.read_bytes()
    path.unlink()
    assert reader.poll() == []
    path.write_bytes(content + content)
    assert len(reader.poll()) == 1
    assert not reader.restarted


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[1, 2]",
        b'{"t": 1}',
        b'{"type": "warning", "text": "x"}',
        b'{"t": 1, "type": ["warning"]}',
        b'{"t": 1, "type": "warning"}',
        b'{"t": 1, "type": "step", "task": "x", "step": 1}',
        b'{"t": 1, "type": "warning", "text": NaN}',
        b'{"t": 1, "type": "warning", "text": "\xff"}',
        b'{"t": 1, "type": "warning", "text": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_event_is_none(line):
    assert parse(line) is None


def test_a_type_from_a_newer_version_is_passed_on():
    assert parse(b'{"t": 1, "type": "hologram"}') == {"t": 1, "type": "hologram"}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_written_as_null(path, number):
    with EventWriter(path) as writer:
        writer.write("cell_finished", task="x", cut="y", identity="z", measures={"loss": number, "list": (number, 1.5)})
    [event] = read_events(path)
    assert event["measures"] == {"loss": None, "list": [None, 1.5]}


def test_what_is_written_is_utf_8_on_one_line_even_for_undecodable_names(path):
    with EventWriter(path) as writer:
        returned = writer.write("warning", text="caf\udce9\n\u2028 naïve")
    assert path.read_bytes().count(b"\n") == 1
    [event] = read_events(path)
    assert event["text"] == "caf?\n\u2028 naïve"
    assert returned["t"] == event["t"]


def test_a_value_that_json_cannot_hold_is_an_error_and_leaves_the_log_whole(path):
    with EventWriter(path) as writer:
        with pytest.raises(TypeError):
            writer.write("warning", text=object())
        kept = writer.write("warning", text="kept")
    assert read_events(path) == [kept]


def test_a_write_cut_short_by_a_full_disk_is_ended_by_the_next_one(path, monkeypatch):
    real, torn = os.write, []

    def short(file, data):
        if torn:
            raise OSError(28, "No space left on device")
        torn.append(True)
        return real(file, data[: len(data) // 2])

    with EventWriter(path) as writer:
        first = writer.write("warning", text="first")
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space"):
            writer.write("warning", text="lost")
        monkeypatch.undo()
        last = writer.write("warning", text="last")
    assert read_events(path) == [first, last]


def test_two_writes_cut_into_pieces_still_make_whole_lines(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    with EventWriter(path) as writer:
        written = [writer.write("warning", text="a" * 50), writer.write("warning", text="b")]
    assert read_events(path) == written


def test_a_large_log_is_read_in_few_large_reads(path):
    line = b'{"t": 1, "type": "warning", "text": "' + b"x" * 60 + b'"}\n'
    path.write_bytes(line * 20_000)
    reader = EventReader(path)
    assert len(reader.poll()) == 20_000
    assert reader.poll() == []


def test_a_named_pipe_in_place_of_a_log_is_left_alone(path):
    os.mkfifo(path)
    assert read_events(path) == []


def test_a_directory_in_place_of_a_log_is_no_log(tmp_path):
    assert read_events(tmp_path) == []


def test_closing_twice_is_fine_and_writing_after_it_is_an_error(path):
    writer = EventWriter(path)
    writer.close()
    writer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.write("warning", text="late")
