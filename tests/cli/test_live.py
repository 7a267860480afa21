import io

import fake_worker as made
import logged
import pytest
from rich.console import Console

from stitchtui.cli import live
from stitchtui.report import event_lines
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Unknown, Warned, decode
from stitchtui.run.state import RunState


def state_after(said):
    state = RunState()
    state.apply_all(logged.events(said))
    return state


def line(said, state=None):
    return event_lines.line(logged.event(said), state or RunState())


def drawn(state, width=100, ascii=False):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(live.live_picture(state, width, 1_700_000_100.0, ascii))
    return console.file.getvalue()


# the picture


def test_the_picture_shows_progress_what_runs_now_and_the_grid():
    text = drawn(state_after(made.whole_run()[:12]))
    bar, task, *grid = text.splitlines()
    assert "%" in bar
    assert "fake-run on cpu" in bar
    assert task.split("  ")[:2] == ["b > b affine direct seed 0", "step 5/10"]
    assert "loss 0.500" in task
    assert "accuracy 90.0 %" in task
    assert any("+0.25" in line for line in grid)
    assert any("·" in line for line in grid)


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (4, 4), (5, 3), (30, 3)])
def test_of_many_tasks_at_once_some_have_a_line_and_the_others_are_counted(count, shown):
    tasks = [{**made.tasks()[0], "id": f"task {n}", "bottom": "b", "column": f"b > {n}"} for n in range(count)]
    facts = {"type": "task_started", "steps": 10, "cuts": made.CUTS, "together": count}
    started = [{"t": 2.0, "task": task["id"], **facts} for task in tasks]
    lines = drawn(state_after([{"t": 1.0, **made.begun(), "tasks": tasks}, *started])).splitlines()
    assert [line.startswith(f"task {n}  ") for n, line in enumerate(lines[1 : 1 + shown])] == [True] * shown
    others = [line.strip() for line in lines if "at the same time" in line]
    assert others == ([f"and {count - shown} more at the same time"] if count > shown else [])


def test_a_column_that_ended_says_how_long_it_took_and_beside_how_many():
    events = [{**event, "together": 3} if event["type"] == "task_started" else event for event in made.whole_run()]
    last = max(k for k, event in enumerate(events) if event["type"] == "task_finished")
    assert " with 2 others, penalties" in line(events[last], state_after(events))
    assert "other" not in line(events[last], state_after(made.whole_run()))


def test_before_anything_happened_the_picture_says_so():
    assert drawn(RunState()).strip() == "the worker is starting"
    assert "preparing" in drawn(state_after(made.whole_run()[:1]))


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_of_the_picture_is_wider_than_the_terminal(width):
    assert max(map(len, drawn(state_after(made.whole_run()[:12]), width).splitlines())) <= width


def test_in_ascii_every_character_is():
    assert drawn(state_after(made.whole_run()[:12]), ascii=True).isascii()


def test_names_from_outside_move_no_cursor():
    begun = made.begun(name="evil\x1b[2J[red]")
    text = drawn(state_after([{"t": 1.0, **begun}, {"t": 2.0, **made.network("a\x1b[2J")}]))
    assert "evil?[2J[red]" in text
    assert "\x1b[2J" not in text


def tall(cuts, columns=1):
    """A run of one column with many cuts, and what beside it is drawn."""
    events = made.whole_run()[:6]
    events[4] = {**events[4], "cuts": [f"layer{number}" for number in range(cuts)]}
    tasks = [{**made.tasks()[0], "id": f"{n}", "bottom": f"net{n}", "column": f"net{n} > b"} for n in range(1, columns)]
    events[0] = {**events[0], "tasks": [*made.tasks(), *tasks]}
    return state_after(events)


def lines_within(state, width, height):
    console = Console(file=io.StringIO(), width=width, height=height, legacy_windows=False)
    picture = live.live_picture(state, width, 1_700_000_100.0, False, height)
    return ["".join(part.text for part in line).rstrip() for line in console.render_lines(picture)]


@pytest.mark.parametrize("cuts", [3, 9, 40])
@pytest.mark.parametrize("height", [5, 10, 12, 15, 20, 24, 80])
@pytest.mark.parametrize("width", [30, 60, 100])
def test_the_picture_is_never_higher_than_the_terminal_and_counts_what_it_hides(width, height, cuts):
    state = tall(cuts, columns=8)
    lines = lines_within(state, width, height)
    assert len(lines) <= height
    shown = sum(line.startswith("layer") for line in lines)
    text = "\n".join(lines)
    if shown == 0:
        assert "no room for the grid" in text
    else:
        assert ("more cut" in text) == (shown < cuts)
        assert shown == cuts or f"{cuts - shown} more cut" in text


def test_on_a_small_terminal_the_legend_goes_first_and_hidden_columns_are_counted():
    state = tall(6, columns=8)
    high, low = "\n".join(lines_within(state, 60, 40)), "\n".join(lines_within(state, 60, 15))
    assert "· not measured yet" in high
    assert "no room for" in high
    assert "· not measured yet" not in low
    assert "more columns" in low
    assert "more cut" not in low


# when it is drawn


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), width=80, height=24, force_terminal=True, legacy_windows=False)


def test_the_picture_is_drawn_twice_a_second_at_most_and_only_when_it_differs(terminal):
    clock = Clock()
    view = live.LiveView(terminal, clock)
    events = made.whole_run()

    def bytes_for(count, seconds):
        before = len(terminal.file.getvalue())
        clock.now += seconds
        view.update(events[:1] if count else [], state_after(events[:count]))
        return len(terminal.file.getvalue()) - before

    assert bytes_for(1, 0.0) > 0
    assert bytes_for(5, 0.2) == 0  # too soon
    assert bytes_for(5, 0.2) == 0
    assert bytes_for(5, 0.2) > 0  # late, not lost
    assert bytes_for(5, 1.0) == 0  # an event that changes nothing that is shown
    clock.now += 1.0
    before = len(terminal.file.getvalue())
    for _ in range(10):
        clock.now += 1.0
        view.update([], state_after(events[:5]))
    assert len(terminal.file.getvalue()) == before  # nothing happens, nothing is drawn
    view.close()


def test_closing_gives_the_cursor_back_and_may_be_done_twice(terminal):
    view = live.LiveView(terminal, Clock())
    view.update(made.whole_run(), state_after(made.whole_run()))
    view.close()
    view.close()
    assert terminal.file.getvalue().rindex("\x1b[?25h") > terminal.file.getvalue().rindex("\x1b[?25l")


def test_a_view_that_never_drew_closes_silently(terminal):
    live.LiveView(terminal, Clock()).close()
    assert terminal.file.getvalue() == ""


# lines and events


def test_plain_lines_tell_starts_and_ends_and_no_single_step():
    stream = io.StringIO()
    state = RunState()
    view = live.PlainView(stream)
    for event in logged.events(made.whole_run()):
        state.apply(event)
        view.update([event], state)
    lines = [line[9:] for line in stream.getvalue().splitlines()]
    assert lines == [
        "run fake-run starts: 2 columns on cpu",
        "data digits: 1437 training and 360 test images",
        "network a: ready, test error 4.00 % (trained)",
        "network b: ready, test error 4.00 % (trained)",
        "a > b affine direct seed 0: starts, 10 steps",
        "a > b affine direct seed 0: finished in 5 s, penalties +0.25 to +2.25 points at 3 cuts",
        "b > b affine direct seed 0: starts, 10 steps",
        "b > b affine direct seed 0: finished in 5 s, penalties +0.00 to +2.00 points at 3 cuts",
    ]


def test_plain_lines_count_as_english_does_and_say_no_single_step():
    begun = {**made.whole_run()[0], "tasks": made.tasks()[:1]}
    assert line(begun, state_after([begun])) == "run fake-run starts: 1 column on cpu"
    started = {"t": 0, "type": "task_started", "task": "network a", "steps": 1, "cuts": []}
    assert line(started) == "network a: starts"
    assert line({**started, "steps": 2}) == "network a: starts, 2 steps"
    name = made.tasks()[0]["id"]
    ended = {"t": 2.0, "type": "task_finished", "task": name}
    state = state_after([begun, {"t": 1.0, "reused_from": None, **made.cell(name, "conv1", 0.5)}, ended])
    assert line(ended, state) == f"{name}: finished, penalties +0.50 to +0.50 points at 1 cut"


def test_plain_lines_say_how_a_network_normalises_its_images():
    ready = {"t": 0, **made.network("a"), "mean": [0.5], "std": [0.25]}
    expected = "network a: ready, test error 4.00 % (trained, normalised by mean 0.5, std 0.25)"
    assert line(ready) == expected
    assert line({**ready, "mean": None, "std": None}) == "network a: ready, test error 4.00 % (trained)"


def test_what_goes_wrong_has_a_line_and_what_nobody_knows_has_none():
    failed = {"t": 0, "type": "cell_failed", "task": "a > b", "cut": "pool", "reason": "not finite"}
    assert line(failed) == "a > b: failed at pool: not finite"
    check = {"t": 0, "type": "check", "name": "frozen", "passed": False}
    assert line(check) == "CHECK FAILED: frozen: no detail given"
    assert line({"t": 0, "type": "warning", "text": "odd"}) == "warning: odd"
    assert line({**check, "passed": True}) is None
    assert event_lines.line(Unknown(t=0, said={"t": 0, "type": "invented"}), RunState()) is None


def test_plain_lines_carry_no_control_characters():
    stream = io.StringIO()
    live.PlainView(stream).update([Warned(t=0, text="a\x1b[2J\nb")], RunState())
    assert stream.getvalue().endswith(" warning: a?[2J?b\n")


def test_json_lines_are_the_events():
    stream = io.StringIO()
    said = [*logged.events(made.whole_run()), Unknown(t=1, said={"t": 1, "type": "invented", "what": "\x9b2J"})]
    live.JsonView(stream).update(said, RunState())
    assert [decode(line.encode()) for line in stream.getvalue().splitlines()] == said
    assert stream.getvalue().isascii()  # no character of a name moves a terminal's cursor


# following a log


class Recorder:
    def __init__(self):
        self.events = []

    def update(self, events, state):
        self.events += events

    def close(self):
        pass


def test_a_log_that_grows_and_is_torn_for_a_while_is_followed_to_its_end(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path)
    made.write_log(directory.events, made.whole_run())
    content = directory.events.read_bytes()
    directory.events.unlink()
    looks = iter(range(0, len(content) + 97, 97))

    def grow(_seconds):
        end = next(looks, len(content))
        directory.events.write_bytes(content[:end])

    recorder = Recorder()
    # the process is there for as long as the log has no end
    monkeypatch.setattr(live.control, "status", lambda _, state: state.status if state.finished else "running")
    state, ending = live.watch(directory, recorder, pause=grow)
    assert ending == "done"
    assert recorder.events == logged.events(made.whole_run())
    assert len(state.cells) == 6


def test_a_log_without_end_and_without_process_is_lost(tmp_path):
    made.write_log(tmp_path / "events.jsonl", made.whole_run()[:5])
    state, ending = live.watch(RunDirectory(tmp_path), Recorder())
    assert ending == "lost"
    assert set(state.networks) == {"a", "b"}


def test_a_resumed_run_that_ends_before_it_begins_again_says_why(tmp_path):
    end = {"t": 1_700_000_200.0, **made.ended("failed", reason="run.json: can't be written")}
    made.write_log(tmp_path / "events.jsonl", [*made.whole_run()[:-1], made.whole_run()[-1] | {"status": "stopped"}])
    assert live.watch(RunDirectory(tmp_path), Recorder(), ends=2)[1] == "lost"
    made.write_log(tmp_path / "events.jsonl", [*made.whole_run(), end])
    state, ending = live.watch(RunDirectory(tmp_path), Recorder(), ends=2)
    assert (ending, state.reason) == ("failed", "run.json: can't be written")


def test_without_a_terminal_lines_are_written_and_json_when_asked(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(live.view_for(False), live.PlainView)
    assert isinstance(live.view_for(True), live.JsonView)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(live.view_for(False), live.PlainView)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(live.view_for(False), live.LiveView)
