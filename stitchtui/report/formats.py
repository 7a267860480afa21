"""The formats that a run's report has as text: the flag that asks for each, how its files end, and what it holds."""

from collections.abc import Callable
from dataclasses import dataclass

from stitchtui.run.state import RunState


@dataclass(frozen=True)
class Format:
    """A format of reports; `text` makes it of a run's state and of its condition, as `run.control.status` says it."""

    name: str
    endings: tuple[str, ...]  # of its files, the usual one first
    holds: str
    text: Callable[[RunState, str], str]


def _csv(state: RunState, _condition: str) -> str:
    from stitchtui.report.export import csv_text

    return csv_text(state)


def _json(state: RunState, condition: str) -> str:
    from stitchtui.report.export import json_text

    return json_text(state, condition=condition)


def _markdown(state: RunState, condition: str) -> str:
    from stitchtui.report.markdown import run_text

    return run_text(state, condition=condition)


def _table(state: RunState, condition: str) -> str:
    from stitchtui.report.console import as_text

    return as_text(state, condition, ascii=False, plot=True)


FORMATS = {
    each.name: each
    for each in (
        Format("csv", (".csv",), "one row a cell, with every measure", _csv),
        Format("json", (".json",), "one object: grid, cells, verdicts, checks", _json),
        Format("markdown", (".md", ".markdown"), "a Markdown table with intervals", _markdown),
        Format("table", (".txt",), "the table, what it means, the depth plot", _table),
    )
}
