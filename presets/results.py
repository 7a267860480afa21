"""Write finished runs' results into the Markdown page of the presets: a row each in its table, and a block for each.

Run by hand: python presets/results.py RUN... [--into PAGE]

A block begins with a line `<!-- results: NAME -->`, `<!-- results: NAME, scale SCALE -->` or, for the table over all of
the page's blocks, `<!-- results -->`, and ends with a line `<!-- end -->`. Everything around them stays as it is.
"""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from stitchtui.base.errors import BadInput, ExitCode
from stitchtui.base.files import write_out
from stitchtui.base.text import plain
from stitchtui.report.claim_lines import claims, verdict_words
from stitchtui.report.depths import depths
from stitchtui.report.markdown import escaped, line, rendered, table
from stitchtui.report.references import beside, likeness, named_curves
from stitchtui.report.settings_diff import settings_diff
from stitchtui.report.table import cross
from stitchtui.report.wording import column_name, counted, listed, points, signed, time_taken
from stitchtui.run.control import status
from stitchtui.run.directory import find
from stitchtui.run.state import Column, RunState, Summary
from stitchtui.spec.curves import QUANTITIES, Curve, curves
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.identity import NUMERICS
from stitchtui.spec.measures import CKA, PENALTY
from stitchtui.spec.network_seeds import in_every_seed
from stitchtui.spec.presets import list_presets, load_preset

OVERVIEW = ""
"""The key of the block that holds the table over all others."""

_START = re.compile(r"<!-- results(?:: (?P<key>.*\S))? -->\s*")
_END = re.compile(r"<!-- end -->\s*")

_HEAD = (
    *("preset", "scale", "networks and their test errors", "cells", "time (of a processor)"),
    *("confirmed", "rejected", "undecided"),
)
_TEXTS = 3  # columns of the table that hold words
_VERDICTS = ("confirmed", "rejected", "undecided")
_NOT_RUN = "not run yet"
_SCALE = ", scale "
_NOTHING = "·"  # where there is no number
_CHANGES = 12  # keys that are spelt out where a run isn't as its preset says


@dataclass(frozen=True)
class _Block:
    first: int  # the lines of its two markers
    last: int


class Page:
    """A page's text and its blocks by key, in the page's order. Raises BadInput where a marker has no partner."""

    def __init__(self, text: str, shown: str) -> None:
        self.shown = shown
        self._lines = text.splitlines(keepends=True)
        self._blocks = self._found()

    @property
    def keys(self) -> list[str]:
        """What the blocks are called; the overview among them."""
        return list(self._blocks)

    def content(self, key: str) -> list[str]:
        """The lines in a block, without their ends."""
        block = self._blocks[key]
        return [text.rstrip("\r\n") for text in self._lines[block.first + 1 : block.last]]

    def filled(self, contents: Mapping[str, Sequence[str]]) -> str:
        """The page's text with these lines in the blocks of these keys, each set off by an empty line."""
        lines = list(self._lines)
        end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        for key, block in reversed(self._blocks.items()):
            if key in contents:
                lines[block.first + 1 : block.last] = [f"{text}{end}" for text in ("", *contents[key], "")]
        return "".join(lines)

    def _found(self) -> dict[str, _Block]:
        found: dict[str, _Block] = {}
        open_at: tuple[str, int] | None = None
        for place, text in enumerate(self._lines):
            if start := _START.fullmatch(text):
                key = start["key"] or OVERVIEW
                if open_at is not None:
                    raise self._broken(place, f"a block begins inside that of line {open_at[1] + 1}")
                if key in found:
                    raise self._broken(place, f"a second block for '{plain(key)}'; expected one")
                open_at = key, place
            elif _END.fullmatch(text):
                if open_at is None:
                    raise self._broken(place, "<!-- end --> ends no block")
                found[open_at[0]] = _Block(open_at[1], place)
                open_at = None
        if open_at is not None:
            raise self._broken(open_at[1], "this block has no end; expected a line <!-- end -->")
        return found

    def _broken(self, place: int, what: str) -> BadInput:
        return BadInput(f"{self.shown}: line {place + 1}: {what}")


def key_of(state: RunState) -> str:
    """What the block of a run is called: by its preset and, where it has one, its scale."""
    scale = state.experiment.get("scale")
    return f"{plain(state.name)}{_SCALE}{plain(scale)}" if scale else plain(state.name)


def filled(page: Page, states: Sequence[RunState], presets: Path) -> str:
    """The page's text with the block of each run, which must be done, filled, and its row in the table.

    `presets` is the folder that names of presets are linked in. Raises BadInput where a run has no block, or two
    runs have the same one.
    """
    runs: dict[str, RunState] = {}
    for state in states:
        key = key_of(state)
        if key in runs:
            raise BadInput(f"runs {plain(runs[key].run)} and {plain(state.run)}: both are of '{key}'; leave one out")
        if key not in page.keys:
            block = f"<!-- results: {key} --> and <!-- end -->"
            raise BadInput(f"{page.shown}: has no block for run {plain(state.run)}; expected two lines, {block}")
        runs[key] = state
    contents = {key: block_lines(state) for key, state in runs.items()}
    if OVERVIEW in page.keys:
        contents[OVERVIEW] = _overview(page, runs, presets)
    return page.filled(contents)


def _overview(page: Page, runs: Mapping[str, RunState], presets: Path) -> list[str]:
    """The table over every block: of runs that are at hand, of others as it was."""
    before = page.content(OVERVIEW)
    rows = []
    for key in (key for key in page.keys if key != OVERVIEW):
        first = _label(key, presets)
        old = next((row for row in before if row.startswith(line(first)[:-1])), None)
        rows.append(line([*first, *_row(runs[key])]) if key in runs else old or _empty_row(first))
    return [*table(_HEAD, [], _TEXTS), *rows]


def _label(key: str, presets: Path) -> list[str]:
    name, _, scale = key.partition(_SCALE)
    file = f"{name}.toml"
    known = "/" not in name and (presets / file).is_file()
    return [f"[{escaped(name)}]({quote(file)})" if known else escaped(name), escaped(scale)]


def _empty_row(first: Sequence[str]) -> str:
    return line([*first, _NOT_RUN, *[""] * (len(_HEAD) - len(first) - 1)])


def _row(state: RunState) -> list[str]:
    errors = ", ".join(f"{escaped(each.name)} {each.error:.1f} %" for each in state.networks.values())
    found = claims(state)
    counts = [str(sum(claim.verdict == word for claim in found)) if found else "" for word in _VERDICTS]
    time = time_taken(state).replace(" of a processor", "")
    return [errors, str(len(_measured(state))), time, *counts]


def _measured(state: RunState) -> list[bool]:
    """Of each finished cell whether it is an earlier run's."""
    return [cell.reused_from is not None for cell in state.cells.values() if cell.status == "finished"]


def block_lines(state: RunState) -> list[str]:
    """What a block says of a run: how it was made, its claims and, folded away, its penalties and the paper's."""
    parts = [_made(state), _claims(state), _folded(state)]
    return _apart(part for part in map(list, parts) if part)


def _apart(parts: Iterable[list[str]]) -> list[str]:
    """The parts' lines with an empty one between each two."""
    return [text for part in parts for text in ("", *part)][1:]


def _folded(state: RunState) -> list[str]:
    """The tables, which GitHub opens at a click."""
    parts = [_penalties(state), _controls(state), _likeness(state), *(list(_cross(state, c)) for c in state.crosses())]
    tables = [part for part in (*parts, *_paper(state)) if part]
    return _apart([["<details><summary>Penalties, cut by cut</summary>"], *tables, ["</details>"]]) if tables else []


def _made(state: RunState) -> Iterator[str]:
    versions = ", ".join(f"{escaped(name)} {escaped(str(version))}" for name, version in state.versions.items())
    data = state.data
    images = f"{data['train']:,} training and {data['test']:,} test images" if data else ""
    facts = [time_taken(state), escaped(state.device), images, versions, _reused(state)]
    yield f"Run {escaped(state.run)}: {'; '.join(fact for fact in facts if fact)}."
    yield f"Test errors: {', '.join(f'{escaped(n.name)} {n.error:.2f} %' for n in state.networks.values())}."
    if changed := departures(state):
        yield f"Not as the preset says now: {escaped(listed(changed, _CHANGES))}."
    if failed := sum(cell.status == "failed" for cell in state.cells.values()):
        yield f"Failed: {counted(failed, 'cell')}."


def _reused(state: RunState) -> str:
    """What the time doesn't hold because it was there before."""
    networks = sum(network.source == "cached" for network in state.networks.values())
    reused = sum(_measured(state))
    found = [counted(networks, "network")] if networks else []
    found += [counted(reused, "cell")] if reused else []
    return f"found ready: {' and '.join(found)}" if found else ""


def _claims(state: RunState) -> Iterator[str]:
    for claim in claims(state):
        source = f" ({escaped(claim.source)})" if claim.source else ""
        said = f"**{verdict_words(claim)}**{source}: {escaped(claim.sentence)}"
        yield f"{claim.index + 1}. {said}.<br>{escaped(claim.reason)}"


def _penalties(state: RunState) -> list[str]:
    """The grid of the pairs, direct matching and the paper's curve beside what was trained, and their verdicts."""
    columns = [column for column in state.columns() if not column.control]
    found: list[list[str]] = []
    papers = set[str]()
    for column in columns:
        rows = [state.summary(column, cut) for cut in state.cuts()]
        found.append([escaped(column_name(column)), *map(_trained, rows), state.verdict(column) or ""])
        if column.direct_tasks:
            heading = (
                "direct" if column.direct_family == column.family else f"direct ({escaped(column.direct_family or '')})"
            )
            found.append([heading, *(signed(row.direct.value) if row.direct else _NOTHING for row in rows), ""])
        found += [[*paper, ""] for paper in _beside(state, column, papers)]
    return _grid(state, columns, found, "verdict")


def _beside(state: RunState, column: Column, said: set[str], quantity: str = PENALTY.name) -> Iterator[list[str]]:
    """The paper's curves for a column, each a heading and a text a cut; those in `said` stand elsewhere already."""
    for curve, values in beside(state, column, quantity):
        if curve.id not in said:
            said.add(curve.id)
            texts = (_value(values[cut], quantity) if cut in values else _NOTHING for cut in state.cuts())
            yield [f"paper, figure {escaped(curve.figure)}", *texts]


def _value(value: float, quantity: str) -> str:
    return f"{value:.2f}" if quantity == CKA.name else signed(value)


def _trained(row: Summary) -> str:
    return points(row.penalty) if row.penalty else "failed" if row.status == "failed" else _NOTHING


def _controls(state: RunState) -> list[str]:
    columns = [column for column in state.columns() if column.control]
    found: list[list[str]] = []
    papers = set[str]()
    for column in columns:
        rows = [state.summary(column, cut) for cut in state.cuts()]
        found += [[escaped(column_name(column)), *map(_trained, rows)], *_beside(state, column, papers)]
    return _grid(state, columns, found)


def _likeness(state: RunState) -> list[str]:
    """Linear CKA of each pair where the run asks for it, with the paper's beside it."""
    columns = likeness(state)
    found: list[list[str]] = []
    papers = set[str]()
    for column in columns:
        known = [state.summary(column, cut).measures.get(CKA.name) for cut in state.cuts()]
        texts = [_NOTHING if value is None else _value(value, CKA.name) for value in known]
        found += [[f"{escaped(column.heading)}, CKA", *texts], *_beside(state, column, papers, CKA.name)]
    return _grid(state, columns, found)


def _grid(state: RunState, columns: Sequence[Column], found: Sequence[Sequence[str]], *last: str) -> list[str]:
    """A table from its columns, each a heading and a text a cut; `last` names rows below those of the cuts."""
    if not columns:
        return []
    names = ["cut", *map(escaped, state.cuts()), *last]
    places = ["depth", *(_depth(state, columns, cut) for cut in state.cuts()), *("" for _ in last)]
    head, *rows = zip(names, places, *found, strict=True)
    return table(head, [row for row in rows if row[0] in last or set(row[2:]) != {_NOTHING}])


def _depth(state: RunState, columns: Sequence[Column], cut: str) -> str:
    known = (depths(state, column.bottom, column.top).get(cut) for column in columns)
    return next((f"{depth:.2f}" for depth in known if depth is not None), "")


def _cross(state: RunState, column: Column) -> Iterator[str]:
    trained = cross(state, column)
    yield f"{escaped(trained.title)} (rows: bottom cuts, columns: top cuts; the diagonal in brackets):"
    yield ""
    yield from rendered(trained, decimals=1)
    if column.direct_tasks and not column.control:
        yield ""
        yield "The same by direct matching:"
        yield ""
        yield from rendered(cross(state, column.matched()), decimals=1)


def _paper(state: RunState) -> Iterator[list[str]]:
    """The paper's curves that the run's pairs name and its grid has no place for, a table for each of their axes."""
    columns, both = state.columns(), QUANTITIES
    placed = {curve.id for column in columns for quantity in both for curve, _ in beside(state, column, quantity)}
    named = [(name, columns) for name, columns in named_curves(state).items() if name not in placed]
    found = [(curves()[name], columns) for name, columns in named if name in curves()]
    for (axis, _), group in groupby(found, key=lambda pair: (pair[0].axis, pair[0].architecture)):
        known = list(group)
        places = sorted({x for curve, _ in known for x in curve.x})
        rows = [[_of_paper(curve, columns), *_values(curve, places)] for curve, columns in known]
        yield table([f"the paper, by {axis}", *(f"{x:.2f}".rstrip("0").rstrip(".") for x in places)], rows)


def _of_paper(curve: Curve, columns: Sequence[Column]) -> str:
    pairs = ", ".join(dict.fromkeys(f"{escaped(column.bottom)} > {escaped(column.top)}" for column in columns))
    error = "" if curve.reading_error is None else f", read to ±{curve.reading_error:g}"
    return f"{pairs}: figure {escaped(curve.figure)}, {escaped(curve.title)}{error}"


def _values(curve: Curve, places: Sequence[float]) -> list[str]:
    known = dict(zip(curve.x, curve.values, strict=True))
    return [_value(known[x], curve.quantity) if x in known else _NOTHING for x in places]


def departures(state: RunState) -> list[str]:
    """The keys in which the run differs from its preset, numbers with both values; none where there is no preset.

    `numerics` is among them where this version computes otherwise than the run's did.

    Texts are left out: they may be paths of one machine.
    """
    if state.name not in {preset.name for preset in list_presets()}:
        return []
    scale = state.experiment.get("scale")
    try:
        preset = in_every_seed(load_preset(state.name, scale if isinstance(scale, str) else None))
        run = in_every_seed(Experiment.model_validate(state.experiment))
    except BadInput:
        return ["a scale that the preset doesn't have"]
    except ValidationError:
        return ["an experiment that this version can't read"]
    return [*settings_diff(preset.plain(), run.plain()), *_numerics(state.versions.get("numerics"))]


def _numerics(computed: object) -> list[str]:
    """That the run was computed otherwise than one of now would be: a log that doesn't say how is an older one."""
    if computed == str(NUMERICS):
        return []
    return [f"numerics {plain(str(computed))} in place of {NUMERICS}" if computed else f"numerics before {NUMERICS}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill the blocks of the runs that the command line names."""
    told = ArgumentParser(description="Write finished runs' results into the page of the presets.")
    told.add_argument("runs", nargs="+", metavar="RUN", help="a run as `stitchtui report` takes it")
    page = Path(__file__).with_name("README.md")
    told.add_argument("--into", type=Path, default=page, metavar="PAGE", help="another page than presets/README.md")
    given = told.parse_args(arguments)
    try:
        fill(given.into, given.runs)
    except BadInput as error:
        print(f"results: {error}", file=sys.stderr)
        sys.exit(ExitCode.BAD_INPUT)


def fill(path: Path, names: Sequence[str]) -> None:
    """Fill the blocks of these runs on the page at `path`. Raises BadInput for a run that isn't done."""
    try:
        page = Page(path.read_bytes().decode("utf-8"), plain(path))
    except OSError as error:
        raise BadInput(f"--into {plain(path)}: can't be read ({plain(error.strerror)})") from None
    except UnicodeDecodeError:
        raise BadInput(f"--into {plain(path)}: is not UTF-8 text; expected a Markdown page") from None
    states = [_done(name) for name in names]
    write_out(path, filled(page, states, path.parent).encode("utf-8"))
    print(f"wrote {plain(path)}", file=sys.stderr)
    left = [key for key in page.keys if key not in map(key_of, states) and key != OVERVIEW]
    if left:
        print(f"without a run, left as they were: {plain('; '.join(left))}", file=sys.stderr)


def _done(name: str) -> RunState:
    directory = find(name)
    state = RunState.load(directory.events)
    condition = status(directory, state)
    if condition != "done":
        raise BadInput(f"run {plain(directory.name)}: is {condition}; only a run that is done fills a block")
    return state


if __name__ == "__main__":
    main()
