"""What the grid's numbers mean and rest on, in sentences: networks, verdicts, end points, failures, checks, reuse."""

import math
import time
from collections import Counter
from collections.abc import Collection, Iterable
from statistics import fmean
from typing import Literal, get_args

from stitchtui.base.text import duration
from stitchtui.report.claim_lines import claim_lines, claims, claims_how
from stitchtui.report.harm import warnings
from stitchtui.report.readings import reading_lines, unmeasured_lines
from stitchtui.report.references import beside, likeness
from stitchtui.report.rules import called_by, rules_lines
from stitchtui.report.wording import (
    above_alone,
    bounds,
    column_name,
    counted,
    data_words,
    listed,
    margin,
    normalisation,
    printable,
    run_name,
    signed,
    time_taken,
)
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.curves import Curve
from stitchtui.spec.measures import CKA

Topic = Literal[
    "run", "device", "data", "networks", "reading", "verdicts", "seeds", "empty", "paper", "readings", "unmeasured",
    "end points", "controls", "failed", "claims", "how judged", "rules", "reused", "checks", "failed checks",
    "passed checks", "warnings",
]  # fmt: skip
TOPICS: tuple[Topic, ...] = get_args(Topic)
IN_SHORT: tuple[Topic, ...] = (
    "run", "verdicts", "empty", "readings", "failed", "claims", "rules", "failed checks", "warnings",
)  # fmt: skip
"""What a short report says beside the grid: verdicts, and what speaks against them."""
BEWARE: tuple[Topic, ...] = ("failed", "failed checks", "warnings")
RESTS_ON: tuple[Topic, ...] = (
    "run", "device", "data", "networks", "reading", "end points", "reused", "checks", "passed checks",
)  # fmt: skip
FOUND = tuple(topic for topic in TOPICS if topic not in (*BEWARE, *RESTS_ON, "claims", "how judged"))
"""What a run found, beside its claims."""


def errors_line(state: RunState) -> str:
    """The networks' test errors in one line; empty where none is known."""
    known = ", ".join(f"{network.name} {network.error:.2f} %" for network in state.networks.values())
    return f"test errors: {known}" if known else ""


def summary_lines(state: RunState, *, condition: str | None = None, about: Collection[Topic] = TOPICS) -> list[str]:
    """Everything beside the grid that its reader must know, a fact a line; lines are as long as they need to be.

    `condition` is what `run.control.status` says; without it the run is as its last event left it. Names from outside
    are made plain; the text isn't escaped for rich, so print it with markup off. `about` says of which topics.
    """
    said: dict[Topic, Iterable[str]] = {
        "run": _run(state, condition or state.status),
        "device": _device(state, condition or state.status),
        "data": _data(state),
        "networks": _networks(state),
        "reading": _reading(state),
        "verdicts": _verdicts(state),
        "seeds": _seeds(state),
        "empty": _empty(state),
        "paper": paper_lines(state),
        "readings": reading_lines(state),
        "unmeasured": unmeasured_lines(state),
        "end points": _end_points(state),
        "controls": _beware(state),
        "failed": _failed(state),
        "claims": _claims(state),
        "how judged": _how_judged(state),
        "rules": rules_lines(state),
        "reused": _reused(state),
        "checks": _checks(state),
        "failed checks": _failed_checks(state),
        "passed checks": _passed_checks(state),
        "warnings": _warnings(state),
    }
    return [printable(line) for topic, lines in said.items() if topic in about for line in lines]


def _run(state: RunState, condition: str) -> Iterable[str]:
    if state.status == "empty":
        yield "run: nothing has happened yet" + ("" if condition == "empty" else f", {condition}")
        return
    reason = f": {state.reason}" if state.reason and condition == state.status else ""
    yield f"run: {run_name(state)}, {condition}{reason}"
    if state.about.note:
        yield f"note: {state.about.note}"


def _device(state: RunState, condition: str) -> Iterable[str]:
    if state.status == "empty":
        return
    started = "" if state.started is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started))
    took = _took(state, condition)
    yield f"device: {state.device or 'unknown'}; started {started}{f', {took}' if took else ''}"


def _took(state: RunState, condition: str) -> str:
    if took := time_taken(state):
        return f"took {took}"
    if state.started is None or state.updated is None:
        return ""
    words = "last heard of after" if condition in ("lost", "elsewhere") else "so far"
    return f"{words} {duration(state.took())}"


def _data(state: RunState) -> Iterable[str]:
    if state.data is not None:
        yield f"data: {data_words(state)}"


def _networks(state: RunState) -> Iterable[str]:
    for network in state.networks.values():
        scale = normalisation(network.mean, network.std)
        facts = [network.architecture, f"{network.parameters:,} parameters", network.source, scale]
        described = ", ".join(fact for fact in facts if fact)
        own = " on classes of its own" if _has_own_classes(state, network.name) else ""
        yield f"network {network.name}: test error {network.error:.2f} %{own} ({described}; {network.digest[:12]})"


def _reading(state: RunState) -> Iterable[str]:
    columns = state.columns()
    if not columns:
        return
    networks = max(len(column.in_seeds) for column in columns)
    stitches = max(len(each.task_ids) for column in columns for each in column.in_seeds)
    said = [
        counted(count, f"{kind} seed") for count, kind in ((networks, "network"), (stitches, "stitch")) if count > 1
    ]
    over = f"; over {' and '.join(said)}: mean, and the interval holds their spread too" if said else ""
    kinds = listed(dict.fromkeys(f"{c.family}, {c.objective}" for c in columns if not c.control))
    yield (
        "penalty: error(stitched) - error(top), in points of test error, with half of its paired 95 % interval"
        f"{over}; stitch: {kinds}"
    )


def _verdicts(state: RunState) -> Iterable[str]:
    empty = _without_numbers(state)
    for column in state.columns():
        if column.control or column in empty:
            continue
        verdict = state.verdict(column)
        marked = called_by(state, column)
        found = f"{verdict} at epsilon {state.epsilon:g} points{marked}" if verdict else "no verdict yet"
        by = " by direct matching" if column.by_direct else ""
        star, too = state.connected_from(column), " and" if verdict == "connected" else ", connected"
        since = "" if star is None else f"{too} at any margin from {margin(star, state.epsilon)} points on"
        yield f"{column_name(column)}: {found}{by}{since}{above_alone(state, column)}{_largest(state, column)}"


def _seeds(state: RunState) -> Iterable[str]:
    """How far the seeds of each pair lie apart, over its cuts, and how far seeds would that are all as good."""
    for column in state.columns():
        rows = [] if column.control else [state.summary(column, cut) for cut in state.cuts()]
        known = [row for row in rows if row.spread is not None and row.spread_by_images is not None]
        if known:
            spread, by_images = (
                math.sqrt(fmean(value**2 for value in values))
                for values in zip(*((row.spread or 0.0, row.spread_by_images or 0.0) for row in known), strict=True)
            )
            yield (
                f"{column_name(column)}: seeds differ by {spread:.2f} points (sd, over the cuts); so many test images "
                f"alone make it {by_images:.2f} where all seeds are as good"
            )


def _empty(state: RunState) -> Iterable[str]:
    """Columns that are over and have no number at all, with the reason that most of their cells have."""
    for column in _without_numbers(state):
        reasons = Counter(cell.reason for cell in state.cells.values() if cell.task in column.task_ids)
        most = reasons.most_common(1)[0][0] if reasons else "it has no cuts"
        yield f"{column_name(column)}: no cell has a number: {most or 'no reason given'}"


def _without_numbers(state: RunState) -> list[Column]:
    measured = {cell.task for cell in state.cells.values() if cell.status == "finished"}
    over = {task.id for task in state.tasks.values() if task.status in ("finished", "failed")} - measured
    return [column for column in (*state.columns(), *state.crosses()) if over.issuperset(column.task_ids)]


def _largest(state: RunState, column: Column) -> str:
    rows = [state.summary(column, cut) for cut in state.cuts()]
    known = [(row.penalty, row.cut) for row in rows if row.penalty is not None]
    if not known:
        return ""
    penalty, cut = max(known, key=lambda pair: pair[0].value)
    return f"; largest penalty {bounds(penalty)} at {cut}, {counted(len(known), 'cut')} measured"


def paper_lines(state: RunState) -> Iterable[str]:
    """The paper's numbers beside the run's own, cut by cut, where a preset names its curve."""
    for column in state.columns():
        for curve, values in beside(state, column):
            own = {cut: state.summary(column, cut).penalty for cut in values}
            pairs = [f"{cut} {signed(value)} / {signed(p.value)}" for cut, value in values.items() if (p := own[cut])]
            yield from _compared(column_name(column), curve, pairs)
    for column in likeness(state):
        for curve, values in beside(state, column, CKA.name):
            known = {cut: state.summary(column, cut).measures.get(CKA.name) for cut in values}
            pairs = [f"{cut} {values[cut]:.2f} / {cka:.2f}" for cut, cka in known.items() if cka is not None]
            yield from _compared(f"CKA of {column.heading}", curve, pairs)


def _compared(what: str, curve: Curve, pairs: list[str]) -> Iterable[str]:
    read = "" if curve.reading_error is None else f", read to ±{curve.reading_error:g}"
    if pairs:
        yield f"{what} beside the paper's figure {curve.figure}{read} (paper / here): {', '.join(pairs)}"


def _end_points(state: RunState) -> Iterable[str]:
    said: set[str] = set()  # they are the same for every stitch of a pair
    for column in state.columns():
        errors = state.errors(column)
        if column.control or column.heading in said or errors is None or _has_own_classes(state, column.bottom):
            continue
        said.add(column.heading)
        bottom, top = errors
        means = f", means over {len(column.in_seeds)} network seeds," if len(column.in_seeds) > 1 else ""
        yield (
            f"end points of {column.heading}: 0 at the input by definition, where nothing of {column.bottom} is"
            " used;"
            f" error({column.bottom}) - error({column.top}) = {bottom:.2f} - {top:.2f}"
            f" = {signed(bottom - top)}{means} at the output, where only {column.bottom} is left"
        )


def _has_own_classes(state: RunState, name: str) -> bool:
    """Whether the network was taught other classes than the data's; what a log holds may be anything."""
    said: object = state.experiment
    for key in ("networks", name, "labels", "groups"):
        said = said.get(key) if isinstance(said, dict) else None
    return said is not None


def _beware(state: RunState) -> Iterable[str]:
    for name in dict.fromkeys(column.control for column in state.columns()):
        control = control_named(name)
        if control.beware:
            yield f"{control.words}: {control.beware}"


def _failed(state: RunState) -> Iterable[str]:
    reasons: dict[str, list[str]] = {}
    for cell in state.cells.values():
        if cell.status == "failed":
            reasons.setdefault(cell.reason or "no reason given", []).append(f"{cell.task} at {cell.cut}")
    for reason, places in reasons.items():
        yield f"failed: {counted(len(places), 'cell')}, {reason} ({listed(places)})"


def _claims(state: RunState) -> Iterable[str]:
    yield from claim_lines(state)  # only where it is asked for: judging many comparisons takes a while


def _how_judged(state: RunState) -> Iterable[str]:
    if found := claims(state):
        yield f"claims: {claims_how(found)}"


def _reused(state: RunState) -> Iterable[str]:
    finished = [cell for cell in state.cells.values() if cell.status == "finished"]
    if origins := state.origins():
        shares = listed(f"{count} from {origin}" for origin, count in origins.most_common())
        yield f"reused: {origins.total()} of {counted(len(finished), 'finished cell')} ({shares})"


def _checks(state: RunState) -> Iterable[str]:
    if state.checks:
        yield f"checks: {sum(bool(check['passed']) for check in state.checks)} of {len(state.checks)} passed"


def _failed_checks(state: RunState) -> Iterable[str]:
    for check in state.checks:
        if not check["passed"]:
            detail = f": {check['detail']}" if check.get("detail") else ""
            yield f"CHECK FAILED: {check['name']}{detail}"


def _passed_checks(state: RunState) -> Iterable[str]:
    for what, places in _grouped(state).items():
        yield f"check passed: {what}" + (f" ({listed(places)})" if places else "")


def _grouped(state: RunState) -> dict[str, list[str]]:
    """What was checked and passed, and for which columns: checks are called `a > b: what must hold`."""
    headings = {task.column for task in state.tasks.values() if task.column}
    found: dict[str, list[str]] = {}
    for check in state.checks:
        if not check["passed"]:
            continue
        place, _, what = check["name"].partition(": ")
        if place in headings and what:
            found.setdefault(what, []).append(place)
        else:
            found.setdefault(check["name"], [])
    return found


def _warnings(state: RunState) -> Iterable[str]:
    for warning in warnings(state):
        yield f"warning: {warning}"
    if state.unknown_events:
        yield f"warning: {counted(state.unknown_events, 'event')} of this run could not be understood"
