"""Every cut with every cut, as a report shows it."""

import json
from io import StringIO

import pytest
from made_events import cell, event, experiment, network_ready, run_started
from rich.console import Console

from stitchtui.report.export import csv_text, json_text
from stitchtui.report.markdown import run_text
from stitchtui.report.table import cross
from stitchtui.report.terminal import cross_table
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve

CUTS = ["stem", "[bold]mid\x1b[2J", "head"]


def state() -> RunState:
    main = experiment()
    also = [{"stitch": {**main.stitch.plain(), "pairing": "all", "objective": "direct"}, "pairs": [main.pairs[0]]}]
    wanted = Experiment.model_validate({**main.plain(), "also": also})
    task = next(t.id for t in resolve(wanted).tasks if t.cross)
    found = RunState()
    found.apply_all([run_started(wanted), network_ready("a", cuts=CUTS), network_ready("b", cuts=CUTS)])
    ends = [[low, high] for low in CUTS for high in CUTS]
    rows = [low if low == high else f"{low} > {high}" for low, high in ends]
    found.apply(event("task_started", task=task, steps=9, cuts=rows, ends=ends))
    for index, ((low, high), row) in enumerate(zip(ends, rows, strict=True)):
        if index < 8:
            found.apply(cell(task, row, penalty=float(index), bottom_cut=low, top_cut=high))
    assert found.unknown_events == 0
    return found


def drawn(width: int, ascii: bool = False) -> list[str]:
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    run = state()
    for column in run.crosses():
        console.print(cross_table(cross(run, column), width, ascii))
    return out.getvalue().splitlines()


def test_rows_are_bottom_cuts_columns_are_top_cuts_and_the_diagonal_is_marked() -> None:
    title, _, *rows = drawn(100)
    assert "a > b, every cut with every cut: affine, direct" in title
    assert [row.split()[-3:] for row in rows[:3]] == [
        ["[0.0≤]", "+1.0≤", "+2.0≤"],
        ["+3.0?", "[+4.0>]", "+5.0>"],
        ["+6.0>", "+7.0>", "[·]"],
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_it_fits_its_width_and_counts_what_it_leaves_out(width: int) -> None:
    lines = drawn(width)
    assert all(len(line) <= width for line in lines)
    assert ("more top cut" in " ".join(" ".join(lines).split())) == (width < 34)


def test_names_from_outside_are_inert_and_ascii_is_ascii() -> None:
    text = "\n".join(drawn(100, ascii=True))
    assert text.isascii()
    assert "\x1b" not in "\n".join(drawn(100))
    assert "[bold]mid" in text


def test_exports_hold_every_cell_of_it() -> None:
    run = state()
    (found,) = json.loads(json_text(run))["crosses"]
    assert [(c["bottom_cut"], c["top_cut"]) for c in found["cells"]] == [(low, high) for low in CUTS for high in CUTS]
    assert sum(c["diagonal"] for c in found["cells"]) == 3
    assert csv_text(run).count("every cut with every cut") >= 9
    assert "every cut with every cut: affine, direct" in run_text(run)
