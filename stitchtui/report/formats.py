"""The formats that a run's report can be had in: the flag that asks for each, how its files end, and what it holds."""

from collections.abc import Callable
from dataclasses import dataclass

from stitchtui.report.drawing import Kind
from stitchtui.report.origin import Origin
from stitchtui.run.state import RunState


@dataclass(frozen=True)
class Format:
    """A format of reports; `made` makes its file of a run's state and of what is known of it beside."""

    name: str
    endings: tuple[str, ...]  # of its files, the usual one first; none where another format's files end so
    holds: str
    made: Callable[[RunState, Origin], bytes]


def _csv(state: RunState, _origin: Origin) -> bytes:
    from stitchtui.report.export import csv_text

    return csv_text(state).encode()


def _parquet(state: RunState, _origin: Origin) -> bytes:
    from stitchtui.report import parquet
    from stitchtui.report.export import cells_table

    return parquet.rendered(cells_table(state))


def _claims(state: RunState, _origin: Origin) -> bytes:
    from stitchtui.report.export import claims_text

    return claims_text(state).encode()


def _json(state: RunState, origin: Origin) -> bytes:
    from stitchtui.report.export import json_text

    return json_text(state, condition=origin.condition).encode()


def _markdown(state: RunState, origin: Origin) -> bytes:
    from stitchtui.report.markdown import run_text

    return run_text(state, condition=origin.condition).encode()


def _table(state: RunState, origin: Origin) -> bytes:
    from stitchtui.report.console import as_text

    return as_text(state, origin.condition, ascii=False, full=True).encode()


def _html(state: RunState, origin: Origin) -> bytes:
    from stitchtui.report.html import run_text

    return run_text(state, origin).encode()


def _picture(kind: Kind) -> Callable[[RunState, Origin], bytes]:
    def made(state: RunState, _origin: Origin) -> bytes:
        from stitchtui.report.figures import run_figure

        return run_figure(state, kind)

    return made


FORMATS = {
    each.name: each
    for each in (
        Format("csv", (".csv",), "one row a cell, with every measure", _csv),
        Format("parquet", (".parquet",), "the same, each column typed", _parquet),
        Format("claims", (), "CSV, one row a claim: its verdict among the others and alone", _claims),
        Format("json", (".json",), "one object: grid, cells, verdicts, checks", _json),
        Format("markdown", (".md", ".markdown"), "a Markdown table with intervals", _markdown),
        Format("table", (".txt",), "the table, what it means, the depth plot", _table),
        Format("html", (".html", ".htm"), "one page with everything, plots too", _html),
        Format("pdf", (".pdf",), "the depth plot for a paper", _picture("pdf")),
        Format("svg", (".svg",), "the depth plot to be edited", _picture("svg")),
        Format("png", (".png",), "the depth plot as a picture", _picture("png")),
    )
}
PICTURES: dict[str, Kind] = {"pdf": "pdf", "svg": "svg", "png": "png"}
"""Those that are the depth plot alone, which can be had as wide as asked."""
