"""What `stitchtui bench` prints: tables of what was found."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from stitchtui.commands.common import output, print_wrapped
from stitchtui.report.wording import counted
from stitchtui.text import duration, plain

if TYPE_CHECKING:
    from rich.console import Console

    from stitchtui.benchmark.answer import Answer, Arrival
    from stitchtui.benchmark.clock import Spread
    from stitchtui.benchmark.findings import Found, Trained
    from stitchtui.benchmark.growth import Size
    from stitchtui.benchmark.speed import Speed


def show(found: "Found") -> None:
    """Print everything that was found."""
    out = output()
    a, m = found.agreement, found.memory
    where = f"batches of {found.batch_size}, {found.precision}, {plain(found.device)}"
    print_wrapped(out, f"{plain(found.architecture)}, {found.speed.cells} cuts, {where}")
    out.print(_speed(found.speed))
    out.print(_growth(found.growth))
    print_wrapped(
        out,
        f"memory of a step: {_mib(m.together)} held, {_mib(m.estimate)} expected; "
        f"under a budget of {_mib(m.budget)}: {_mib(m.in_turns)}",
    )
    print_wrapped(
        out,
        f"after {a.steps} equal steps: losses differ by at most {a.loss_difference:.2g}, "
        f"at least {a.same_answers:.1f} % of the answers are the same",
    )
    if found.trained is None:
        print_wrapped(out, "time to the answer, first numbers: need two trained networks, stitchtui bench BOTTOM TOP")
    else:
        _show_trained(out, found.trained)


def _table(*headings: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _speed(s: "Speed") -> Any:
    table = _table("ratio", "median", "lowest", "highest")
    table.add_row("published way / column, per epoch", *_ratio(s.over_published))
    table.add_row("column step / its bare tails", *_ratio(s.over_tails))
    table.add_row(f"column step / floor at {s.rate / 1e9:,.0f} GFLOP/s", *_ratio(s.over_floor))
    table.add_row("seconds: published way", *_seconds(s.published))
    table.add_row("seconds: column", *_seconds(s.column))
    table.add_row("seconds: tails", *_seconds(s.tails))
    return table


def _growth(sizes: "list[Size]") -> Any:
    table = _table("growing", "size", "seconds", "lowest", "highest", "milliseconds each", "bottom passes")
    for size in sizes:
        each = f"{1000 * size.seconds.median / size.size:.2f}"
        table.add_row(size.what, str(size.size), *_seconds(size.seconds), each, str(size.bottom_passes))
    return table


def _show_trained(out: "Console", t: "Trained") -> None:
    errors = " and ".join(f"{error:.2f}" for error in t.errors)
    images = f"{t.training_images:,} training and {t.test_images:,} test images"
    print_wrapped(out, f"{plain(t.bottom)} > {plain(t.top)} on {plain(t.data)}: {images}; errors {errors} %")
    passes = f"{t.first.training_passes:.2g} over the training and {t.first.test_passes:.2g} over the test images"
    print_wrapped(out, f"first numbers of all {t.first.cells} cuts: {t.first.seconds:.1f} s; passes: {passes}")
    if t.kept is not None:
        k = t.kept
        print_wrapped(
            out,
            f"one cell at {plain(k.cut)}, an epoch: {k.fresh.median:.2f} s, with the bottom's features kept "
            f"{k.kept.median:.2f} s: {_range(k.over)}; training losses {k.fresh_loss:.4f} and {k.kept_loss:.4f}",
        )
    _show_answer(out, t.answer)


def _show_answer(out: "Console", a: "Answer") -> None:
    table = _table("way", "epochs", "mean penalty", "above the best: mean", "largest", "cells short", "seconds")
    for t in a.tried:
        table.add_row(
            *(t.way, str(t.epochs), f"{t.mean_penalty:+.2f}", f"{t.mean_shortfall:.2f}", f"{t.largest_shortfall:.2f}"),
            *(str(t.cells_short), f"{t.seconds:,.1f}"),
        )
    out.print(table)
    how = "it was trained cell by cell" if a.really_trained else "its measured seconds per step and cell, times steps"
    print_wrapped(out, f"seconds of the published way: {how}; ours: as it ran, from least squares to evaluation")
    n = a.noise
    print_wrapped(
        out,
        f"0.3 points are {n.within:.1f} of {n.images:,} test images; the paired 95 % interval between two ways is "
        f"±{n.cell:.2f} points for a cell (the median), ±{n.mean:.2f} for the mean over cells",
    )
    for heading, arrivals in (
        ("every cell within 0.3 points of the best of any way and length", a.cells),
        ("the mean over cells within 0.3 points of the best mean", a.mean),
    ):
        print_wrapped(out, f"{heading}:")
        for arrival in arrivals:
            print_wrapped(out, f"  {_arrival(arrival, a.lengths[-1])}")


def _arrival(a: "Arrival", longest: int) -> str:
    over = "" if a.times_ours is None else _times(a)
    if not a.missing:
        return f"{a.way}: {_epochs(a)}, {_time(a.seconds)}{over}"
    which = "not" if len(a.epochs) == 1 else f"{a.missing} of {len(a.epochs)} cells not"
    missed = f"{a.misses_by:.2f} points short at the most" if a.missing > 1 else f"{a.misses_by:.2f} points short"
    return f"{a.way}: {which} in {counted(longest, 'epoch')}, {missed}; more than {_time(a.at_least)}{over}"


def _times(a: "Arrival") -> str:
    assert a.times_ours is not None and a.times_ours_at_least is not None
    if a.missing:
        return f", {a.times_ours_at_least:.1f} x ours"
    least = (
        ""
        if a.at_least == a.seconds
        else f" (the lengths before are too short: at least {a.times_ours_at_least:.1f} x)"
    )
    return f", {a.times_ours:.1f} x ours{least}"


def _epochs(a: "Arrival") -> str:
    counts = sorted(Counter(e for e in a.epochs if e is not None).items())
    if len(a.epochs) == 1:
        return counted(counts[0][0], "epoch")
    return "epochs (cells) " + ", ".join(f"{epochs} ({cells})" for epochs, cells in counts)


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _range(spread: "Spread") -> str:
    return f"{spread.median:.2f} x ({spread.low:.2f} to {spread.high:.2f})"


def _ratio(spread: "Spread") -> list[str]:
    return [f"{value:.2f} x" for value in (spread.median, spread.low, spread.high)]


def _seconds(spread: "Spread") -> list[str]:
    return [f"{value:.4f}" for value in (spread.median, spread.low, spread.high)]


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
