"""The tables of what each cut of a pair says beside its penalty."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from synthetic_run import CUTS, column_events, direct_only_run, experiment, finished, fold, started, whole_run

from stitchtui.base.text import significant
from stitchtui.report import details as report
from stitchtui.report.details import details
from stitchtui.report.table import Entry, Table
from stitchtui.report.terminal import details_shown, details_table
from stitchtui.run.state import RunState
from stitchtui.spec.plan import resolve

MEASURED = {"agreement": 97.26, "activation_gap": 0.2249, "cka": 0.9678, "stitch_parameters": 4160.0}


def one_pair(objective: str = "task", cut: str = "stem", penalty: float = 1.25, **more: float | None) -> RunState:
    spec = experiment(seeds=1, objective=objective).model_copy(update={"controls": ()})
    own = [task for task in resolve(spec).tasks if task.bottom == "a"]
    cells = [finished(task, cut, 7.5 if index < len(own) - 1 else penalty, **more) for index, task in enumerate(own)]
    return fold([*started(spec, [cut]), *cells])


def drawn(state: RunState, width: int, ascii: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=False)
    for table in details(state):
        console.print(details_table(table, width, ascii))
    return file.getvalue()


def meanings(state: RunState, width: int = 1000, ascii: bool = False) -> str:
    return report.meanings(heading for table in details(state) for heading in details_shown(table, width, ascii))


def headings(table: Table) -> list[str]:
    return [heading.name for heading in table.columns]


def entries(table: Table, name: str) -> list[Entry]:
    return [row[headings(table).index(name)] for row in table.entries]


def test_row_has_direct_matching_agreement_gap_cka_and_parameters_beside_the_penalty() -> None:
    title, headings, row = drawn(one_pair(**MEASURED), 80).splitlines()
    assert title == "a > b: affine, task"
    assert " ".join(headings.split()) == "cut penalty direct agree % gap CKA parameters"
    assert row.split() == ["stem", "+1.25", "±0.50", "+7.50", "97.3", "0.22", "0.97", "4,160"]


def test_every_pair_has_a_table_with_every_cut_and_controls_have_none() -> None:
    found = details(whole_run())
    assert [one.title for one in found] == ["a > b: affine, task", "b > a: affine, task"]
    assert all(one.rows == CUTS for one in found)


def test_pair_that_is_only_matched_directly_has_no_second_column_of_the_same_numbers() -> None:
    [one] = details(one_pair("direct"))
    assert headings(one) == ["penalty", "agree %", "gap", "CKA", "parameters"]
    assert "direct:" not in meanings(one_pair("direct"))


def test_what_is_not_trained_yet_has_a_direct_value_and_no_penalty() -> None:
    one = details(direct_only_run())[0]
    assert {entry.kind for entry in entries(one, "penalty")} == {"pending"}
    assert "·" not in {entry.text for entry in entries(one, "direct")}


def test_failed_cell_shows_an_x_and_no_measures() -> None:
    spec = experiment(seeds=1)
    task = next(task for task in resolve(spec).tasks if task.objective == "task")
    fail = {"type": "cell_failed", "task": task.id, "cut": "stem", "reason": "out of memory"}
    one = details(fold([*started(spec), *column_events(task), fail]))[0]
    assert (entries(one, "penalty")[0].kind, entries(one, "CKA")[0].text) == ("failed", "·")


def test_run_without_any_number_has_no_table() -> None:
    for state in (RunState(), fold(started(experiment()))):
        assert details(state) == []
        assert meanings(state) == ""


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("cut", ["stem", "features.denseblock3.denselayer12.conv1", "残差网络一号种子零的第三层"])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_table_never_exceeds_the_width_and_80_columns_hold_all_of_it(width: int, cut: str, ascii: bool) -> None:
    large = {"agreement": 100.0, "activation_gap": 1234.5, "cka": 1.0, "stitch_parameters": 4_200_704.0}
    text = drawn(one_pair(cut=cut, penalty=-87.65, **large), width, ascii)
    assert all(cell_len(line.rstrip()) <= width for line in text.splitlines())
    assert text.isascii() or not ascii
    assert ("parameters" in text) == ("parameters:" in meanings(one_pair(**large), width, ascii))
    if width >= 80:
        assert "4,200,704" in text


def test_names_from_outside_neither_move_the_cursor_nor_are_read_as_markup() -> None:
    text = drawn(one_pair(cut="[bold red]x\x1b[2J"), 80)
    assert "\x1b" not in text
    assert "[bold red]x?[2J" in text


@given(st.floats(1e-9, 1e9))
def test_two_digits_are_within_a_twentieth_and_short(value: float) -> None:
    text = significant(value)
    assert float(text) == pytest.approx(value, rel=0.0501)
    assert len(text) <= 7


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.2, "0.20"), (1.39, "1.4"), (9.96, "10"), (0.00123, "0.0012"), (4e-5, "4.0e-05")]
)
def test_a_gap_is_said_with_two_digits(value: float, text: str) -> None:
    assert significant(value) == text
