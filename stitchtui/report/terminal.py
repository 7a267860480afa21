"""Tables for a terminal: as much of each as fits into its width."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from rich.box import Box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table as Drawing
from rich.text import Text

from stitchtui.report.table import LEGEND, Entry, Heading, Table, sides
from stitchtui.report.wording import counted, ending, listed, printable, shortened, signed, to_ascii

# Blue and vermilion stay apart for every kind of colour vision; both are legible on light and dark ground.
WORSE, CLEARLY_WORSE, BETTER = "#d75f00", "bold #d75f00", "#0087d7"

# Rules above and below the numbers and none between them, as in print.
_RULES = Box(" ── \n    \n ── \n    \n ── \n ── \n    \n ── \n")
_ASCII_RULES = Box(" -- \n    \n -- \n    \n -- \n -- \n    \n -- \n", ascii=True)
_FRAME: dict[str, Any] = {
    "title_justify": "left",
    "caption_justify": "left",
    "show_edge": False,
    "pad_edge": False,
    "header_style": "",
    "footer_style": "",
}
_NOT_CONNECTED = "not connected"  # in two lines where there is no room for one
_NOTHING = "no cells planned yet"


@dataclass(frozen=True)
class Layout:
    """How much each entry says, and the room that is left for what stands around it."""

    decimals: int = 2
    intervals: bool = True
    control_decimals: int = 2
    control_intervals: bool = True
    names: int = 24  # the widest that a heading may make its column
    gap: int = 2  # between two columns
    pair: int = 0  # the narrowest that the column of a pair, and of a control, may be
    control: int = 0
    whole_verdicts: bool = False  # whether columns are wide enough for every verdict to stay in one line


# A pair's penalty never goes without its interval.
_LEVELS = ((2, True, 2, True), (2, True, 1, True), (2, True, 2, False), (2, True, 1, False), (1, True, 1, False))
_NARROWEST = (len("connected"), len("random"))
# A verdict in two lines is worse than little space and fewer decimals of the controls, and better than shorter names.
_WHOLE = [
    Layout(*levels, *room, *_NARROWEST, whole_verdicts=True)
    for levels in _LEVELS[:-1]
    for room in ((24, 2), (12, 2), (24, 1), (12, 1))
]
_GRID = [Layout(*levels, *room, *_NARROWEST) for levels in _LEVELS for room in ((24, 2), (12, 2), (8, 2), (8, 1))]
_LADDER = [
    Layout(decimals, intervals, names=names, gap=gap)
    for decimals, intervals, names, gap in ((2, True, 6, 2), (2, False, 6, 2), (2, False, 6, 1), (1, False, 5, 1))
]
_DETAILS, _DETAILS_NAMES = [Layout()], 12  # what the names of cuts keep beside the details


class _Setting:
    # What a table says in a terminal, before and after it is known how wide it may be.
    def __init__(self, table: Table, ascii: bool) -> None:
        self.table, self.ascii = table, ascii
        self.names = [printable(row, ascii) for row in table.rows]
        self.footer = table.footer or ("",) * len(table.columns)
        self.texts = cache(self._texts)

    def _texts(self, index: int, decimals: int, intervals: bool) -> list[str]:
        entries = [row[index] for row in self.table.entries]
        if self.table.look == "brief":
            found = [entry.brief(decimals, self.ascii) for entry in entries]
        else:
            # A control's sign would cost a pair its decimals; its colour says as much.
            entries = [replace(e, side=None) for e in entries] if self.table.columns[index].control else entries
            found = texts(entries, decimals, intervals, self.ascii)
        return [to_ascii(text) for text in found] if self.ascii else found

    def column(self, index: int, layout: Layout) -> list[str]:
        if self.table.columns[index].control:
            return self.texts(index, layout.control_decimals, layout.control_intervals)
        return self.texts(index, layout.decimals, layout.intervals)

    def heading(self, index: int, width: int) -> list[str]:
        return [ending(line, width, self.ascii) for line in heading_lines(self.table.columns[index], width, self.ascii)]

    def width(self, index: int, layout: Layout) -> int:
        body = max(map(len, self.column(index, layout)), default=1)
        heading = max(map(cell_len, heading_lines(self.table.columns[index], 0, self.ascii)))
        least = layout.control if self.table.columns[index].control else layout.pair
        if layout.whole_verdicts and self.footer[index] == _NOT_CONNECTED:
            least = len(_NOT_CONNECTED)
        return max(body, least, min(heading, layout.names))

    def widths(self, layout: Layout, count: int) -> list[int]:
        return [self.width(index, layout) for index in range(count)]

    def label(self, most: int) -> int:
        """How wide the column of the rows' names is, `most` at most."""
        return min(most, max(map(cell_len, [*self.names, self.table.corner])))

    def fit(self, layouts: Sequence[Layout], room: int | None) -> tuple[Layout, int]:
        """The richest layout in which as many columns as possible stay within `room`."""
        for count in range(len(self.table.columns), 0, -1):
            for layout in layouts:
                taken = sum(layout.gap + width for width in self.widths(layout, count))
                if room is None or taken <= room:
                    return layout, count
        return layouts[-1], min(1, len(self.table.columns))

    def drawing(self, label: int, layout: Layout, widths: Sequence[int | None]) -> Drawing:
        """A table without rules of as many columns as there are `widths`; None leaves its width to rich."""
        drawing = Drawing(box=None, pad_edge=False, padding=(0, layout.gap, 0, 0), header_style="dim")
        drawing.add_column(Text(self.table.corner), no_wrap=True, width=label)
        for index, width in enumerate(widths):
            heading = Text("\n".join(self.heading(index, width or layout.names)))
            drawing.add_column(heading, justify="right", no_wrap=width is not None, width=width)
        columns = [self.column(index, layout) for index in range(len(widths))]
        for row, name in enumerate(self.names):
            drawing.add_row(Text(ending(name, label, self.ascii)), *(Text(column[row]) for column in columns))
        return drawing

    def title(self, width: int, before: str = "") -> Text:
        said = before + printable(self.table.title, self.ascii)
        return Text(shortened(said, width, self.ascii), style="bold", no_wrap=True)


def heading_lines(heading: Heading, width: int, ascii: bool = False) -> list[str]:
    """A heading's lines, printable; of each part the longest form that is at most `width` wide, else the shortest."""
    found = []
    for forms in heading.parts or (((heading.name,),),):
        said = [[printable(line, ascii) for line in form] for form in forms]
        found += next((form for form in said if max(map(cell_len, form)) <= width), said[-1])
    return found


def texts(entries: Sequence[Entry], decimals: int, intervals: bool, ascii: bool = False) -> list[str]:
    """One column's entries, aligned on the decimal point when set flush right.

    `decimals` of the penalty in points; `intervals` adds half of the 95 % interval.
    """
    halves = [f"{e.interval.half_width:.{decimals}f}" if e.interval else "" for e in entries]
    widest = max(map(len, halves), default=0)
    signs = [entry.mark(ascii) + entry.suffix for entry in entries]
    most = max(map(len, signs), default=0)
    found = []
    for entry, half, after in zip(entries, halves, signs, strict=True):
        spread = f" ±{half.rjust(widest)}" if intervals else ""
        number = "" if entry.interval is None else entry.prefix + signed(entry.interval.value, decimals) + spread
        found.append((entry.text or number or entry.glyph) + after.ljust(most))
    return found


def colour(entry: Entry) -> str:
    """A rich style: vermilion above epsilon, blue at or below it, by the whole interval."""
    if entry.kind == "failed" or entry.side == "above":
        return CLEARLY_WORSE
    if entry.interval is None or entry.kind == "direct":
        return "dim"
    return BETTER if entry.side == "below" else ""


def grid_table(
    table: Table,
    width: int | None = None,
    ascii: bool = False,
    *,
    title: bool = True,
    legend: bool = True,
    most_rows: int | None = None,
) -> Drawing:
    """The grid: the penalty in points with half of its 95 % interval, and each pair's verdict.

    At most `width` cells wide: decimals and intervals of the controls go first, then columns from the right, which
    the caption names. `ascii` keeps to ASCII. Names from outside are made plain, and no markup in them is read.
    Where lines are few, `title` and `legend` can be left out and rows after `most_rows`; the caption counts what
    isn't shown all the same.
    """
    rows = table.rows[:most_rows]
    setting = _Setting(replace(table, rows=rows, entries=table.entries[: len(rows)]), ascii)
    label = _grid_label(setting, width)
    layouts = _WHOLE + _GRID if _NOT_CONNECTED in setting.footer else _GRID
    layout, shown = setting.fit(layouts, None if width is None else width - label)
    caption = _caption(table, setting.table.part(range(shown)), ascii) if legend else _left_out(table, shown, len(rows))
    name = printable(table.title, ascii) if title else ""
    drawing = Drawing(
        title=Text(name, style="bold") if name else None,
        caption=Text(to_ascii(caption) if ascii else caption, style="dim") if caption else None,
        box=_ASCII_RULES if ascii else _RULES,
        show_footer=bool(shown),
        padding=(0, 0, 0, layout.gap - 1),
        **_FRAME,
    )
    drawing.add_column(Text(table.corner), footer=Text(table.footer_name), no_wrap=True, width=label)
    _add_columns(drawing, setting, setting.widths(layout, shown))
    columns = [setting.column(index, layout) for index in range(shown)]
    for row, said in enumerate(setting.names):
        styled = (Text(c[row], colour(e)) for c, e in zip(columns, table.entries[row], strict=False))
        drawing.add_row(Text(ending(said, label, ascii)), *styled)
    return drawing


def _grid_label(setting: _Setting, width: int | None) -> int:
    if not setting.table.columns:
        return len(_NOTHING) if width is None else min(width, len(_NOTHING))
    return max(len(setting.table.footer_name), setting.label(32 if width is None else max(12, width // 4)))


def _caption(table: Table, shown: Table, ascii: bool) -> str:
    lines = [sides(table.epsilon, ascii)[0]] if shown.is_judged else []
    lines += [text for kind, text in LEGEND.items() if kind in shown.kinds]
    if left_out := table.columns[len(shown.columns) :]:
        names = listed(printable(heading.name) for heading in left_out)
        lines.append(f"no room for {len(left_out)} of {len(table.columns)} columns: {names}")
    if more := len(table.rows) - len(shown.rows):
        lines.append(counted(more, "more cut"))
    if not table.columns:
        lines.append(_NOTHING)
    return "\n".join(lines)


def _left_out(table: Table, shown: int, rows: int) -> str:
    """How many columns and rows aren't shown: `2 more columns, 1 more cut`."""
    counts = ((len(table.columns) - shown, "more column"), (len(table.rows) - rows, "more cut"))
    return ", ".join(counted(count, noun) for count, noun in counts if count)


def _add_columns(drawing: Drawing, setting: _Setting, widths: Sequence[int]) -> None:
    headings = [setting.heading(index, width) for index, width in enumerate(widths)]
    tallest = max(map(len, headings), default=0)
    margins = setting.table.connected_from or ("",) * len(widths)
    columns = zip(setting.table.columns, setting.footer, margins, widths, headings, strict=False)
    for heading, verdict, margin, width, lines in columns:
        drawing.add_column(
            # Rich sets headings at the bottom; with lines below, every bottom and top stands in the same line.
            Text("\n".join(lines + [""] * (tallest - len(lines))), style="dim" if heading.control else "bold"),
            footer=_verdict(verdict, margin, width, setting.ascii),
            justify="right",
            no_wrap=True,
            width=width,
        )


def _verdict(verdict: str, margin: str, width: int, ascii: bool) -> Text:
    """A pair's verdict, and below it from which margin on the pair is connected."""
    if verdict == "pending":
        return Text("." if ascii else "·", style="dim")
    style = {"connected": "bold", _NOT_CONNECTED: CLEARLY_WORSE}.get(verdict, "")
    said = Text(verdict if len(verdict) <= width else verdict.replace(" ", "\n"), style=style)
    told = f"from {margin}"
    return said.append(f"\n{told if len(told) <= width else margin}", style="not bold") if margin else said


def ladder_table(table: Table, width: int, ascii: bool = False) -> Group:
    """A capacity ladder, at most `width` wide: intervals and decimals go first, then families, which are named."""
    setting = _Setting(table, ascii)
    label = setting.label(min(24, max(10, width // 8)))
    layout, shown = setting.fit(_LADDER, width - label)
    drawing, notes = setting.drawing(label, layout, setting.widths(layout, shown)), list(table.notes)
    if left := table.columns[shown:]:
        names = listed(printable(heading.name, ascii) for heading in left)
        notes.append(f"no room for {counted(len(left), 'more column')} ({names}); --csv has all")
    return Group(setting.title(width, "capacity ladder of "), drawing, *_dim(notes))


def cross_table(table: Table, width: int, ascii: bool = False) -> Group:
    """Every cut with every cut, at most `width` wide; columns that don't fit are counted below it."""
    setting = _Setting(table, ascii)
    if not table.rows or not table.columns:
        return Group(setting.title(width), *_dim(["no cell is measured yet"]))
    layout, count = Layout(decimals=1, control_decimals=1, gap=1), len(table.columns)
    label = setting.label(24)
    cell = max(6, *(len(text) for index in range(count) for text in setting.column(index, layout)))
    shown = max(1, min(count, (width - label) // (cell + layout.gap)))
    room = (width - label) // shown - layout.gap
    heading = max(cell, min(room, max(cell_len(printable(each.name, ascii)) for each in table.columns)))
    notes = [*table.notes, *([sides(table.epsilon, ascii)[0]] if table.is_judged else [])]
    if shown < count:
        notes.append(f"no room for {counted(count - shown, 'more top cut')}; --csv has all")
    return Group(setting.title(width), setting.drawing(label, layout, [heading] * shown), *_dim(notes))


def details_table(table: Table, width: int, ascii: bool = False) -> Group:
    """The details of a pair, at most `width` wide: the names of cuts give way, then columns from the right."""
    setting = _Setting(table, ascii)
    layout, shown = setting.fit(_DETAILS, width - _DETAILS_NAMES)
    widths = setting.widths(layout, shown)
    label = setting.label(min(48, max(3, width - sum(widths) - layout.gap * shown)))
    return Group(setting.title(width), setting.drawing(label, layout, widths))


def details_shown(table: Table, width: int, ascii: bool = False) -> tuple[Heading, ...]:
    """The headings of `details_table`."""
    return table.columns[: _Setting(table, ascii).fit(_DETAILS, width - _DETAILS_NAMES)[1]]


def runs_table(table: Table, width: int, ascii: bool = False) -> Group:
    """One column of several runs, with their verdicts."""
    setting = _Setting(table, ascii)
    label = max(len(table.footer_name), setting.label(min(32, max(12, width // 4))))
    drawing = setting.drawing(label, Layout(), [None] * len(table.columns))
    for name, words in ((table.footer_name, table.footer), ("from", table.connected_from)):
        if words is not None:
            drawing.add_row(*(Text(word, style="dim") for word in (name, *words)))
    return Group(setting.title(width), drawing)


def _dim(notes: Iterable[str]) -> list[Text]:
    return [Text(note, style="dim") for note in notes]
