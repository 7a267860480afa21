"""The grid as a terminal table: what each cell says, and that it fits."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from synthetic_run import (
    CUTS,
    column_events,
    direct_only_run,
    experiment,
    finished,
    fold,
    measures,
    started,
    whole_run,
)

from stitchtui.report import terminal
from stitchtui.report.table import grid
from stitchtui.run.state import RunState
from stitchtui.spec.plan import resolve

HOSTILE = "[bold red]x\x1b[2J"


def grid_table(state: RunState, *arguments: int | None, **options: bool | int) -> Table:
    return terminal.grid_table(grid(state), *arguments, **options)


def drawn(state: RunState, width: int = 120, **options: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=False)
    console.print(grid_table(state, width, **options))
    return file.getvalue()


def row(state: RunState, cut: str, width: int | None = None, ascii: bool = False) -> list[str]:
    """The cells of one row, the cut's name left out."""
    table = grid_table(state, width, ascii)
    names, *columns = ([str(cell).strip() for cell in column.cells] for column in table.columns)
    return [column[names.index(cut)] for column in columns]


def one_column(value: float, low: float, high: float, **event: object) -> RunState:
    spec = experiment(seeds=1, objective="direct").model_copy(update={"controls": ()})
    task = resolve(spec).tasks[0]
    cell = {**finished(task, "stem", value), **event}
    cell["measures"] = {**measures(value), "penalty_low": low, "penalty_high": high}
    return fold([*started(spec), {"type": "task_started", "task": task.id, "steps": 1, "cuts": ["stem"]}, cell])


def test_every_finished_cell_shows_its_penalty_and_half_width() -> None:
    state = whole_run()
    for cut in CUTS:
        shown = row(state, cut)
        expected = [state.summary(column, cut).penalty for column in state.columns()]
        assert len(shown) == len(expected)
        for cell, penalty in zip(shown, expected, strict=True):
            assert penalty is not None
            value, half = cell.rstrip("≤?>").split("±")
            assert float(value) == pytest.approx(penalty.value, abs=0.00501)
            assert float(half) == pytest.approx(penalty.half_width, abs=0.00501)


def test_rows_go_from_input_to_output_and_pairs_come_before_controls() -> None:
    table = grid_table(whole_run(), 120)
    assert [str(cell) for cell in table.columns[0].cells] == list(CUTS)
    headings = [str(column.header).split() for column in table.columns[1:]]
    assert headings[:2] == [["a", ">b"], ["b", ">a"]]
    assert [" ".join(heading[2:]) for heading in headings[2:]] == [
        *["self-stitch"] * 2,
        *["identity"] * 2,
        *["random bottom"] * 2,
    ]


def test_penalty_has_its_sign_and_an_exact_zero_has_none() -> None:
    assert "-1.25 ±0.50" in drawn(one_column(-1.25, -1.75, -0.75))
    assert "+1.25 ±0.50" in drawn(one_column(1.25, 0.75, 1.75))
    assert row(one_column(0.0, -0.5, 0.5), "stem")[0] == "0.00 ±0.50≤"


def test_value_that_rounds_to_zero_is_not_shown_negative() -> None:
    assert row(one_column(-0.001, -0.5, 0.5), "stem")[0] == "0.00 ±0.50≤"


def test_pending_cells_show_a_dot_and_no_number() -> None:
    spec = experiment()
    task = resolve(spec).tasks[0]
    state = fold([*started(spec), {"type": "task_started", "task": task.id, "steps": 1, "cuts": list(CUTS)}])
    assert set(row(state, "stem")) == {"·"}
    assert "· not measured yet" in drawn(state)


@pytest.mark.parametrize("whole", [True, False])
def test_a_row_of_other_columns_is_blank_once_a_column_is_measured(whole: bool) -> None:
    spec = experiment(seeds=1, objective="direct").model_copy(update={"controls": ()})
    first, second = resolve(spec).tasks
    said = column_events(second, CUTS[1:])
    state = fold([*started(spec), *column_events(first, CUTS[:2]), *(said if whole else said[:1])])
    assert [row(state, cut)[0] == "" for cut in CUTS] == [False, False, True]
    assert [row(state, cut)[1] for cut in CUTS].count("·") == (0 if whole else 3)
    assert (row(state, CUTS[0])[1] == "") == whole
    assert ("·" in drawn(state)) == (not whole)


def test_direct_matching_value_stands_in_with_a_tilde_until_training_is_done() -> None:
    state = direct_only_run()
    direct = state.summary(state.columns()[0], "stem").direct
    assert direct is not None
    assert row(state, "stem")[0].startswith(f"~{direct.value:+.2f}")
    assert "~" not in drawn(whole_run())


def test_failed_cell_shows_an_x_even_where_direct_matching_worked() -> None:
    spec = experiment()
    events = started(spec)
    for task in resolve(spec).tasks:
        events += column_events(task)
        if task.objective == "task":
            events.append({"type": "cell_failed", "task": task.id, "cut": "stem", "reason": "out of memory"})
    state = fold(events)
    assert row(state, "stem")[:2] == ["x", "x"]
    assert "x failed" in drawn(state)


def test_reused_cell_ends_in_an_equals_sign_and_a_fresh_one_does_not() -> None:
    text = drawn(one_column(1.25, 0.75, 1.75, reused_from="20250101-000000-old"))
    assert "+1.25 ±0.50≤=" in text
    assert "= reused from an earlier run" in text
    assert "=" not in drawn(whole_run())


def test_reused_direct_matching_value_shows_both_signs() -> None:
    spec = experiment(seeds=1)
    task = resolve(spec).tasks[0]
    state = fold([*started(spec), *column_events(task), finished(task, "stem", 1.0, reused_from="20250101-000000-old")])
    assert row(state, "stem")[0] == "~+1.00 ±0.50="
    assert not row(state, "layer1.0")[0].endswith("=")
    text = drawn(state)
    assert "~ direct matching only" in text
    assert "= reused from an earlier run" in text


def test_mean_over_some_of_the_seeds_is_marked() -> None:
    spec = experiment(seeds=2)
    done = [event for task in resolve(spec).tasks if task.seed == 0 for event in column_events(task)]
    state = fold([*started(spec), *done])
    assert row(state, "stem")[0].endswith("*")
    assert "* some seeds still to come" in drawn(state)


@pytest.mark.parametrize(
    ("ends", "signs", "style"),
    [((1.0, 3.0), "≤<", "#0087d7"), ((2.0, 3.01), "??", ""), ((3.01, 4.0), ">>", "bold #d75f00")],
)
def test_mark_and_colour_say_on_which_side_of_epsilon_the_interval_lies(
    ends: tuple[float, float], signs: str, style: str
) -> None:
    state = one_column(sum(ends) / 2, *ends)
    for sign, ascii in zip(signs, (False, True), strict=True):
        assert row(state, "stem", ascii=ascii)[0].endswith(sign)
    assert terminal.colour(grid(state).entries[0][0]) == style


def test_footer_holds_each_pairs_verdict_and_none_for_controls() -> None:
    table = grid_table(whole_run(), 120)
    footers = [str(column.footer) for column in table.columns]
    assert footers == ["verdict", "connected\nfrom 1.3", "connected\nfrom 1.6", *[""] * 6]


def test_pair_far_above_epsilon_is_not_connected() -> None:
    spec = experiment(seeds=1, objective="direct").model_copy(update={"epsilon": 0.1, "controls": ()})
    state = fold([*started(spec), *(event for task in resolve(spec).tasks for event in column_events(task))])
    verdicts = [str(column.footer).split("\n")[0] for column in grid_table(state).columns[1:]]
    assert verdicts == ["not connected"] * 2


def test_not_connected_breaks_over_two_lines_only_where_there_is_no_room() -> None:
    spec = experiment(seeds=1).model_copy(update={"epsilon": 0.1})
    state = fold([*started(spec), *(event for task in resolve(spec).tasks for event in column_events(task))])
    assert "verdict     undecided not connected\n" in stripped(drawn(state, 80))
    assert "verdict   undecided        not\n           from 1.1  connected\n" in stripped(drawn(state, 30))


def stripped(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def test_legend_title_and_rows_can_be_left_out_and_what_is_missing_is_counted() -> None:
    state = direct_only_run()
    table = grid_table(state, 40, title=False, legend=False, most_rows=2)
    left_out = len(state.columns()) - len(table.columns) + 1
    assert (table.row_count, table.title) == (2, None)
    assert str(table.caption) == f"{left_out} more columns, 1 more cut"
    assert grid_table(state, 200, legend=False).caption is None
    assert "1 more cut" in str(grid_table(state, 200, most_rows=2).caption)


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("first", ["a", HOSTILE, "residual-network-with-a-long-name-seed0", "残差网络一号种子零"])
def test_table_never_exceeds_the_width(width: int, first: str, ascii: bool) -> None:
    spec = experiment().model_dump()
    spec["networks"][first] = spec["networks"].pop("a")
    spec["pairs"] = [{"bottom": first, "top": "b"}, {"bottom": "b", "top": first}]
    events = started(experiment(), ["features.denseblock3.denselayer12.conv1", *CUTS])
    for name, value in (
        ("experiment", spec),
        ("tasks", [_renamed(t.as_dict(), first) for t in resolve(experiment()).tasks]),
    ):
        events[0][name] = value
    text = drawn(fold(events), width, ascii=ascii)
    assert all(cell_len(line) <= width for line in text.splitlines())


def _renamed(task: dict[str, object], name: str) -> dict[str, object]:
    return {key: name if value == "a" else value for key, value in task.items()}


def test_columns_without_room_are_named_below_the_table() -> None:
    state = whole_run()
    narrow = grid_table(state, 40)
    left_out = state.columns()[len(narrow.columns) - 1 :]
    assert left_out, "40 columns can't hold all of it"
    text = drawn(state, 40)
    assert f"no room for {len(left_out)} of 8 columns" in " ".join(text.split())
    assert "no room" not in drawn(state, 120)


def test_the_legend_says_nothing_of_columns_without_room() -> None:
    state = whole_run()
    for task in state.columns()[-1].task_ids:
        del state.cells[task, CUTS[0]]
    assert "direct matching only" not in drawn(state, 40)
    assert "direct matching only" in drawn(state, 120)


def test_pairs_keep_their_intervals_when_there_is_little_room() -> None:
    shown = row(whole_run(), "stem", 60)
    assert ["±" in cell for cell in shown] == [True, True, False, False, False, False][: len(shown)]


def test_ascii_table_has_only_ascii() -> None:
    for state in (whole_run(), direct_only_run(), fold(started(experiment("é", "b"))), RunState()):
        assert drawn(state, 80, ascii=True).isascii()


def test_names_from_outside_neither_move_the_cursor_nor_are_read_as_markup() -> None:
    spec = experiment()
    tasks = [_renamed(task.as_dict(), HOSTILE) for task in resolve(spec).tasks]
    events = started(spec)
    events[0]["tasks"] = tasks
    text = drawn(fold(events), 200)
    assert "\x1b" not in text
    assert "[bold red]x?[2J" in text


def test_empty_run_says_that_nothing_is_planned() -> None:
    assert "no cells planned yet" in drawn(RunState(), 60)
