"""The sentences beside the grid."""

from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import column_events, experiment, finished, fold, started, whole_run

from stitchtui.report.summary import TOPICS, summary_lines
from stitchtui.report.wording import margin
from stitchtui.run.state import RunState
from stitchtui.spec.plan import resolve


def text_of(state: RunState) -> str:
    return "\n".join(summary_lines(state))


def test_networks_are_listed_with_their_base_error() -> None:
    text = text_of(whole_run())
    assert "network a: test error 3.25 %" in text
    assert "network b: test error 4.25 %" in text


def test_end_points_are_said_in_numbers_for_each_direction() -> None:
    text = text_of(whole_run())
    assert "error(a) - error(b) = 3.25 - 4.25 = -1.00 at the output" in text
    assert "error(b) - error(a) = 4.25 - 3.25 = +1.00 at the output" in text
    assert "end points of a > b: 0 at the input by definition, where nothing of a is used;" in text


def test_end_points_are_said_once_for_all_stitches_of_a_pair() -> None:
    lines = summary_lines(whole_run(experiment(family="ladder")))
    assert sum(line.startswith("a > b (") for line in lines) > 3
    assert sum(line.startswith("end points of a > b:") for line in lines) == 1


def test_verdict_comes_with_the_largest_penalty_and_where_it_is() -> None:
    state = whole_run()
    worst = max(p.value for cut in state.cuts() if (p := state.summary(state.columns()[0], cut).penalty))
    line = next(line for line in summary_lines(state) if line.startswith("a > b:"))
    assert "connected at epsilon 3 points" in line
    assert f"largest penalty {worst:+.2f}" in line
    assert "at layer2.0" in line


def test_verdict_is_not_said_before_every_cell_is_in() -> None:
    lines = summary_lines(fold(started(experiment())))
    assert "a > b: no verdict yet" in lines


def test_random_bottom_note_appears_only_beside_that_control() -> None:
    assert "first fifth" in text_of(whole_run())
    assert "compare with it deeper in the network" in text_of(whole_run())
    bare = experiment().model_copy(update={"controls": ()})
    assert "first fifth" not in text_of(whole_run(bare))


def test_failed_cells_are_grouped_by_reason() -> None:
    spec = experiment(seeds=1)
    task, other = [task for task in resolve(spec).tasks if task.objective == "task"][:2]
    fail = [(task, "stem", "out of memory"), (other, "stem", "out of memory"), (task, "layer1.0", "loss is infinite")]
    events = started(spec) + column_events(task) + column_events(other)
    events += [{"type": "cell_failed", "task": t.id, "cut": cut, "reason": why} for t, cut, why in fail]
    text = text_of(fold(events))
    assert "failed: 2 cells, out of memory" in text
    assert "failed: 1 cell, loss is infinite" in text


def test_a_column_without_any_number_says_so_in_place_of_a_verdict() -> None:
    spec = experiment(seeds=1)
    events = started(spec)
    for task in resolve(spec).tasks:
        fails = not task.control and task.objective == "task"
        events += [] if fails else [*column_events(task), {"type": "task_finished", "task": task.id, "seconds": 1.0}]
        cut = {"task": task.id, "cut": "stem", "reason": "out of memory"}
        events += [{"type": "cell_failed", **cut}, {"type": "task_finished", "task": task.id, "seconds": 1.0}] * fails
    lines = summary_lines(fold(events))
    assert "a > b: no cell has a number: out of memory" in lines
    assert not any("a > b: undecided" in line or "a > b: no verdict" in line for line in lines)


def test_reused_cells_are_counted_by_the_run_they_come_from() -> None:
    spec = experiment(seeds=1)
    task = resolve(spec).tasks[0]
    events = [*started(spec), *column_events(task), finished(task, "stem", 1.0, reused_from="20250101-000000-old")]
    assert "reused: 1 of 3 finished cells (1 from 20250101-000000-old)" in text_of(fold(events))
    assert "reused" not in text_of(whole_run())


def test_failed_check_is_named_with_its_detail() -> None:
    events = started(experiment())
    events.append({"type": "check", "name": "frozen", "passed": False, "detail": "network a changed"})
    events.append({"type": "check", "name": "input", "passed": True})
    text = text_of(fold(events))
    assert "checks: 1 of 2 passed" in text
    assert "CHECK FAILED: frozen: network a changed" in text


def test_checks_that_passed_are_listed_with_the_columns_they_are_about() -> None:
    events = started(experiment())
    for name in ("a > b: the penalty at the input is 0", "b > a: the penalty at the input is 0", "nothing: changed"):
        events.append({"type": "check", "name": name, "passed": True})
    lines = summary_lines(fold(events))
    assert "checks: 3 of 3 passed" in lines
    assert "check passed: the penalty at the input is 0 (a > b, b > a)" in lines
    assert "check passed: nothing: changed" in lines


def test_run_says_the_condition_that_its_process_is_in() -> None:
    state = fold(started(experiment()))
    run, device = summary_lines(state, condition="lost")[:2]
    assert run == "run: 20260102-030405-tiny, lost"
    assert "last heard of after 3 s" in device
    run, device = summary_lines(state)[:2]
    assert run.endswith(", running")
    assert "so far 3 s" in device
    assert summary_lines(whole_run(), condition="done")[0].endswith(", done")
    assert summary_lines(RunState(), condition="lost") == ["run: nothing has happened yet, lost"]


def test_normalisation_of_a_network_is_said_where_it_is_known() -> None:
    events = started(experiment())
    colours = {"mean": [0.4914, 0.4822, 0.4466], "std": [0.247, 0.2434, 0.2616]}
    for event, scale in zip(events[2:], (colours, {"mean": [0.0], "std": [1.0]}), strict=True):
        event.update(scale)
    text = text_of(fold(events))
    assert "trained, normalised by mean 0.491/0.482/0.447, std 0.247/0.243/0.262; 0abc" in text
    assert "trained, not normalised; 1abc" in text
    assert "normalised" not in text_of(whole_run())


def test_warnings_and_reasons_are_made_plain() -> None:
    events = started(experiment())
    events.append({"type": "warning", "text": "file \x1b[2J.pt has\nno mean"})
    events.append({"type": "run_finished", "status": "failed", "reason": "bad\x07"})
    lines = summary_lines(fold(events))
    assert "warning: file ?[2J.pt has?no mean" in lines
    assert any(line.endswith("failed: bad?") for line in lines)


def test_run_without_events_says_so_and_nothing_else() -> None:
    assert summary_lines(RunState()) == ["run: nothing has happened yet"]


def test_lines_can_be_had_by_what_they_are_about_whatever_their_words() -> None:
    state = fold([*started(experiment()), {"type": "warning", "text": "run: data: claim 1"}])
    assert summary_lines(state, about=["warnings"]) == ["warning: run: data: claim 1"]
    apart = [line for topic in TOPICS for line in summary_lines(state, about=[topic])]
    assert apart == summary_lines(state)


@given(st.integers(-90_000, 990_000).map(lambda n: n / 10_000), st.sampled_from([0.0, 0.5, 2.35, 3.0, 14.0]))
def test_the_margin_of_a_pair_is_rounded_up_and_on_the_side_of_epsilon_that_the_verdict_says(
    star: float, epsilon: float
) -> None:
    said = float(margin(star, epsilon))
    assert (said <= epsilon) == (star <= epsilon)
    assert star - 1e-6 <= said <= max(0.0, star) + 0.1
