"""What is known of one cell, as labels with values: what inspector and cell screen show. All text is inert."""

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from stitchtui.base.text import duration
from stitchtui.report.alike import row_beside
from stitchtui.report.best import Mates
from stitchtui.report.derived import Derived
from stitchtui.report.readings import judged
from stitchtui.report.rules import called_by
from stitchtui.report.table import connected_from
from stitchtui.report.wording import above_alone, bounds, column_name, printable, shortened
from stitchtui.run.state import Column, RunState, Summary
from stitchtui.spec.controls import CONTROLS, control_named
from stitchtui.spec.measures import IMAGES, LATER_GAP, MEASURES, SECONDS, Line, Measure
from stitchtui.spec.objectives import DIRECT, OBJECTIVES
from stitchtui.stats.penalty import Interval, Side, side

Fact = tuple[str, str]


def cell_title(column: Column, cut: str, ascii: bool = False, width: int | None = None) -> str:
    """The cell as a sentence names it; where `width` is too little for that, its cut first and then what fits."""
    name = printable(f"{column_name(column)} at {cut}", ascii)
    if width is None or cell_len(name) <= width:
        return name
    return shortened(printable(f"{cut}: {column_name(column)}", ascii), width, ascii)


def cell_facts(state: RunState, column: Column, cut: str, *, doubts: bool = False, lost: bool = False) -> list[Fact]:
    """Everything known of a cell, over its seeds; what matters most comes first. `lost`: of a run whose worker died.

    With `doubts` also what keeps its penalty from being read as similarity, for which the whole pair is looked at.
    """
    summary = state.summary(column, cut)
    found = [*_penalties(state, column, summary, lost), *controls_beside(state, column, cut)]
    found += _measures(Derived(state).beside(column, summary) if doubts else summary)
    found += [*_doubts(state, column, cut), *_best(state, column, cut)] if doubts else []
    found += _origin(state, column, summary)
    return [(label, printable(value)) for label, value in found]


def _penalties(state: RunState, column: Column, summary: Summary, lost: bool) -> Iterator[Fact]:
    if summary.status == "failed":
        yield "failed", summary.reason or "no reason given"
    if summary.penalty is not None:
        yield "penalty", f"{bounds(summary.penalty)} points"
    else:
        now = "was in training when the run was lost" if lost else "being measured"
        pending = "none: it has no such cut" if state.lacks(column, summary.cut) else "not measured yet"
        yield "penalty", {"running": now, "failed": "none"}.get(summary.status, pending)
    if summary.direct is not None and column.objective != DIRECT.name:
        yield "direct", bounds(summary.direct)
    if summary.versus_bottom is not None:
        yield "vs bottom", bounds(summary.versus_bottom)
    seeds = len(column.task_ids)
    if seeds > 1:
        spread = "" if summary.spread is None else f", their spread {summary.spread:.2f} points (sd)"
        if summary.spread_by_images is not None:
            spread += f", {summary.spread_by_images:.2f} by the images alone"
        yield "seeds", f"{summary.seeds} of {seeds}{spread}"
    if summary.penalty is not None:
        yield "here", _HERE[side(summary.penalty, state.epsilon)].format(state.epsilon)
    verdict, margin = state.verdict(column), connected_from(state, column)
    if verdict is not None:
        said = f"{verdict} at {state.epsilon:g} points{called_by(state, column)}"
        said += f"; at any from {margin} on" if margin else ""
        yield "verdict", said + above_alone(state, column)


_HERE: dict[Side, str] = {
    "below": "connected, up to {:g} points",
    "straddling": "open, {:g} points lie in its interval",
    "above": "above {:g} points, taken alone",
}


def controls_beside(state: RunState, column: Column, cut: str) -> Iterator[Fact]:
    """The controls of the same top and cut, for a pair's cell."""
    if column.control:
        return
    for other in state.crosses() if column.cross else state.columns():
        mine = other.top == column.top and (other.bottom == column.bottom or control_named(other.control).both == "top")
        row = row_beside(state, column, cut, other.control)
        if other.control and mine and not state.lacks(other, row):
            penalty = state.summary(other, row).penalty
            yield control_named(other.control).words, "not measured yet" if penalty is None else bounds(penalty)


def _measures(summary: Summary) -> Iterator[Fact]:
    images = summary.measures.get(IMAGES.name, float("nan"))
    for measure, line in _lines():
        if (value := summary.measures.get(measure.name)) is not None:
            interval = summary.interval(measure) or Interval(value, value, value)
            yield line.label, line.text.format(value, images=images, bounds=bounds(interval))
    gaps = {name.removeprefix(LATER_GAP): gap for name, gap in summary.measures.items() if name.startswith(LATER_GAP)}
    if gaps:
        yield _LATER_GAPS, ", ".join(f"{cut} {gap:.2f}" for cut, gap in gaps.items())
    if SECONDS.name in summary.measures:
        yield "took", duration(summary.measures[SECONDS.name])


def _lines() -> list[tuple[Measure, Line]]:
    """The measures that have a line, in order."""
    found = [(measure, measure.line) for measure in MEASURES.values() if measure.line]
    return sorted(found, key=lambda each: each[1].place)


def _origin(state: RunState, column: Column, summary: Summary) -> Iterator[Fact]:
    cells = [state.cells.get((task, summary.cut)) for task in column.task_ids]
    reused = sorted({cell.reused_from for cell in cells if cell is not None and cell.reused_from})
    if reused:
        yield "reused", f"from {', '.join(reused)}"
    adapters = sorted({cell.adapter for cell in cells if cell is not None and cell.adapter})
    if adapters:
        yield "adapter", "; ".join(adapters)
    objective = OBJECTIVES.get(column.objective)
    yield "stitch is", f"{column.family}, fitted to {objective.fitted_to if objective else column.objective}"
    errors = state.errors(column) or (None, None)
    mean = f" (mean over {len(column.in_seeds)} seeds)" if len(column.in_seeds) > 1 else ""
    for role, name, error in zip(("bottom", "top"), (column.bottom, column.top), errors, strict=True):
        network = state.networks.get(name)
        if network is not None:
            shape = next((cut.shape for cut in network.cuts if cut.name == summary.cut), None)
            at = f", {'x'.join(map(str, shape))} here" if shape else ""
            of_all = f"error {network.error:.2f} %" if error is None else f"error {error:.2f} %{mean}"
            yield role, f"{name}: {network.architecture}, {of_all}{at}"


def _doubts(state: RunState, column: Column, cut: str) -> Iterator[Fact]:
    """What keeps this cell's penalty from being read as similarity."""
    found = judged(state, column)
    if found is None:
        return
    yield "as similarity", "can be read" if cut in found.readable else "can't be read, or not yet"
    for remark in found.remarks:
        if not remark.cuts or cut in remark.cuts:
            yield "but", remark.text


def _best(state: RunState, column: Column, cut: str) -> Iterator[Fact]:
    found = Mates(state).best(column, cut)
    if found is not None:
        yield "best stitch", f"{bounds(found.penalty)} by {found.words}"


def packed(facts: Iterable[Fact], width: int, lines: int, gap: str = "  ") -> list[str]:
    """As many facts as fit into `lines` lines of `width` characters, several a line."""
    found = [""]
    for label, value in facts:
        text = f"{label} {value}"
        room = width - len(found[-1])
        if not found[-1] or len(gap + text) <= room:
            found[-1] += (gap if found[-1] else "") + text
        elif len(found) < lines:
            found.append(text)
        else:
            break
    return found


_LATER_GAPS = "later gaps"
_LONG = ("bottom", "top", "stitch is", "as similarity", "but", "adapter", _LATER_GAPS)


def short_facts(facts: Sequence[Fact]) -> list[Fact]:
    """What three lines have room for: the numbers, without the words around them; then what else fits."""
    long = {*_LONG, *(control.words for control in CONTROLS.values())}
    long |= {line.label for _, line in _lines() if not line.brief}
    found = [
        (label, value.removesuffix(" points").removesuffix(" with the top").partition(" at ")[0])
        for label, value in facts
        if label not in long
    ]
    return [*found, *((label, value) for label, value in facts if label in long)]
