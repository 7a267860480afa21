"""The event log: nothing whole is lost, whatever happens to the file."""

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import whole_run
from msgspec import inspect
from msgspec.structs import replace

from stitchtui.run.events import (
    KINDS,
    CellFinished,
    Check,
    Claim,
    EventReader,
    EventWriter,
    HeldOut,
    Step,
    Unknown,
    Warned,
    as_object,
    decode,
    encode,
    read_events,
)

OTHERS = [  # that a small undisturbed run doesn't say
    Step(t=1.0, task="x", step=1, steps=2),
    HeldOut(t=1.0, task="x", step=1, losses={"y": 0.5}, accuracies={"y": None}),
    Check(t=1.0, name="x", passed=True),
    Claim(t=1.0, index=0, sentence="x", verdict="confirmed", reason="y"),
]

words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
warnings = st.builds(lambda text, t: Warned(t=t, text=text), words, st.integers(0, 10**9).map(float))
newer = st.builds(lambda more: Unknown(t=1.0, said={"t": 1.0, "type": "from_the_future", "more": more}), values)
good = (warnings | newer).map(lambda event: (json.dumps(as_object(event)).encode(), event))
garbage = st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")).filter(lambda b: decode(b) is None)
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
        written = [writer.write(Warned(text="one")), writer.write(Warned(text="two"))]
    assert reader.poll() == written
    assert read_events(path) == expected + written


@settings(max_examples=40, deadline=None)
@given(first=lines, second=lines)
def test_a_log_replaced_by_another_is_read_from_its_start(scratch, first, second):
    path = scratch / "replaced.jsonl"
    before, _ = log_of([(b'{"t": 0, "type": "old"}', None), *first])
    path.write_bytes(before)
    reader = EventReader(path)
    reader.poll()
    after, expected = log_of([(b'{"t": 0, "type": "new"}', Unknown(t=0.0, said={"t": 0, "type": "new"})), *second])
    path.write_bytes(after)
    assert reader.poll() == expected
    assert reader.restarted
    assert reader.poll() == []
    assert not reader.restarted


def test_a_truncated_log_is_read_again_from_its_start(path):
    reader = EventReader(path)
    with EventWriter(path) as writer:
        first = writer.write(Warned(text="first"))
        size = path.stat().st_size
        second = writer.write(Warned(text="second"))
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
        writer.write(Warned(text="first"))
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
    assert decode(line) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "step", "step": -1},
        {"type": "step", "step": 1.5},
        {"type": "step", "step": True},
        {"type": "step", "losses": [[]]},
        {"type": "cell_finished", "measures": {"penalty": "low"}},
        {"type": "cell_finished", "identity": None},
        {"type": "run_finished", "status": "exploded"},
        {"type": "run_finished", "status": ["done"]},
        {"type": "network_ready", "cuts": [{"shape": [1]}]},
        {"type": "check", "passed": "yes"},
        {"type": "claim", "verdict": "perhaps"},
        {"type": "claim", "index": -1},
        {"type": "claim", "numbers": 3},
        {"type": "claim", "sentence": None},
        {"t": "now"},
        {"t": 1e300},
        {"t": -1},
    ],
)
def test_a_field_that_is_not_as_declared_makes_a_line_no_event(broken):
    whole = {as_object(one)["type"]: as_object(one) for one in [*whole_run(), *OTHERS]}[broken.get("type", "step")]
    assert decode(json.dumps(whole).encode()) is not None
    assert decode(json.dumps({**whole, **broken}).encode()) is None


def test_a_number_that_no_float_holds_makes_a_line_no_event():
    line = b'{"t": 1, "type": "run_finished", "status": "done", "processor": %s}'
    assert decode(line % b"2.5").processor == 2.5
    assert decode(line % b"1e999") is decode(line % (b"9" * 400)) is None


def test_a_type_from_a_newer_version_is_passed_on():
    said = {"t": 1, "type": "hologram", "of": ["x"]}
    assert decode(json.dumps(said).encode()) == Unknown(t=1.0, said=said)


def test_a_field_from_a_newer_version_is_passed_over():
    assert decode(b'{"t": 1, "type": "warning", "text": "x", "colour": {"red": 1}}') == Warned(t=1.0, text="x")


def test_a_whole_number_may_be_written_like_another():
    assert decode(b'{"t": 1, "type": "step", "task": "x", "step": 5.0, "steps": 1e1}').steps == 10


def test_lone_surrogates_become_question_marks():
    assert decode(b'{"t": 1, "type": "warning", "text": "caf\\udce9"}') == Warned(t=1.0, text="caf?")
    assert decode(b'{"t": 1, "type": "x", "\\ud800": "\\ud83d\\ude00"}').said["?"] == "\N{GRINNING FACE}"


def test_fields_of_which_nothing_is_said_are_left_out_and_none_is_null():
    assert encode(Step(t=1.0, task="x", step=1, steps=2, loss=None)) == (
        b'{"t":1.0,"type":"step","task":"x","step":1,"steps":2,"loss":null}'
    )
    assert b'"reused_from":null' in encode(CellFinished(t=1.0, task="x", cut="y", identity="i", measures={}))


def test_logs_from_before_a_field_was_known_are_read():
    line = b'{"t":1,"type":"cell_finished","task":"x","cut":"y","identity":"i","measures":{"penalty":1}}'
    assert decode(line) == CellFinished(t=1.0, task="x", cut="y", identity="i", measures={"penalty": 1.0})


moments = st.floats(0, 1e11, exclude_max=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


SIMPLE = {
    inspect.AnyType: plain_values,
    inspect.StrType: texts,
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


def made(node):
    """Events, or values of one of their fields, made from what msgspec knows of the declared type."""
    match node:
        case inspect.StructType():
            needed, optional = ({f.name: made(f.type) for f in node.fields if f.required == is_it} for is_it in (1, 0))
            found = st.fixed_dictionaries(needed, optional=optional).map(lambda fields: node.cls(**fields))
        case inspect.UnionType():
            found = st.one_of([made(each) for each in node.types])
        case inspect.ListType():
            found = st.lists(made(node.item_type), max_size=3)
        case inspect.DictType():
            found = st.dictionaries(texts, made(node.value_type), max_size=3)
        case inspect.LiteralType():
            found = st.sampled_from(node.values)
        case inspect.IntType():
            found = st.integers(min_value=node.ge)
        case inspect.FloatType():
            ends = {"min_value": node.ge, "max_value": node.lt, "exclude_max": node.lt is not None}
            found = st.floats(**ends, allow_nan=False, allow_infinity=False)
        case _:
            found = SIMPLE[type(node)]
    return found


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_an_event_of_any_type_is_read_as_it_was_written(kind, data):
    event = replace(data.draw(made(inspect.type_info(kind))), t=data.draw(moments))
    line = encode(event)
    assert decode(line) == event
    said = json.loads(line)
    assert list(said)[:2] == ["t", "type"]
    assert encode(decode(line)) == line


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_written_as_null(path, number):
    with EventWriter(path) as writer:
        writer.write(CellFinished(task="x", cut="y", identity="z", measures={"loss": number, "cka": np.float64(1.5)}))
        writer.write(Step(task="x", step=1, steps=2, losses=[number, 1.5]))
    cell, step = read_events(path)
    assert cell.measures == {"loss": None, "cka": 1.5}
    assert step.losses == [None, 1.5]


def test_values_of_classes_derived_from_those_of_json_are_written_as_these(path):
    class Version(str):
        __slots__ = ()

    with EventWriter(path) as writer:
        started = replace(
            whole_run()[0], versions={"torch": Version("2.9"), "numbers": [np.float64(0.5), np.float64("nan")]}
        )
        writer.write(started)
    assert read_events(path)[0].versions == {"torch": "2.9", "numbers": [0.5, None]}


def test_what_is_written_is_utf_8_on_one_line_even_for_undecodable_names(path):
    with EventWriter(path) as writer:
        returned = writer.write(Warned(text="caf\udce9\n\u2028 naïve"))
    assert path.read_bytes().count(b"\n") == 1
    [event] = read_events(path)
    assert event.text == "caf?\n\u2028 naïve"
    assert returned.t == event.t


def test_a_value_that_json_cannot_hold_is_an_error_and_leaves_the_log_whole(path):
    with EventWriter(path) as writer:
        with pytest.raises(TypeError):
            writer.write(Warned(text=object()))
        kept = writer.write(Warned(text="kept"))
    assert read_events(path) == [kept]


def test_a_write_cut_short_by_a_full_disk_is_ended_by_the_next_one(path, monkeypatch):
    real, torn = os.write, []

    def short(file, data):
        if torn:
            raise OSError(28, "No space left on device")
        torn.append(True)
        return real(file, data[: len(data) // 2])

    with EventWriter(path) as writer:
        first = writer.write(Warned(text="first"))
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space"):
            writer.write(Warned(text="lost"))
        monkeypatch.undo()
        last = writer.write(Warned(text="last"))
    assert read_events(path) == [first, last]


def test_two_writes_cut_into_pieces_still_make_whole_lines(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    with EventWriter(path) as writer:
        written = [writer.write(Warned(text="a" * 50)), writer.write(Warned(text="b"))]
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
        writer.write(Warned(text="late"))
