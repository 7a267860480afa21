"""The heatmap: a number in every cell and a colour behind it, drawn line by line so that one cell costs one cell."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from stitchtui.report.table import LEGEND, Entry, Kind, sides
from stitchtui.report.wording import ending, printable, shortened, to_ascii
from stitchtui.run.state import Column
from stitchtui.tui.colours import Palette
from stitchtui.tui.gridview import VERDICTS, GridView, verdict_text
from stitchtui.tui.measures import FIRST, Measure, number
from stitchtui.tui.widgets.heatmap_layout import Layout, lay_out

_DIAGONAL = ("╲", "\\")  # after a cell; the second in ASCII
# where the legend's own words are too long
_SHORT: dict[Kind, str] = {
    "pending": "· pending",
    "direct": "~ direct",
    "some_seeds": "* some seeds",
    "failed": "x failed",
    "reused": "= reused",
    "lost": "! lost in training",
}
_SHORTEST: dict[Kind, str] = {**_SHORT, "some_seeds": "* some", "lost": "! lost"}
_DIM, _BOLD, _CURSOR = Style(dim=True), Style(bold=True), Style(bold=True, reverse=True)


class Heatmap(Widget, can_focus=True):
    """Draws a GridView, with a cursor that moves over its cells."""

    ALLOW_SELECT = False
    row = reactive(0, repaint=False)
    column = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor is on another cell, or on another picture's."""

    class Opened(Message):
        """The cell under the cursor was clicked twice."""

    def __init__(self, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii
        self._view, self._measure, self._palette = GridView(), FIRST, Palette()
        self._layout = lay_out(self._view, 0, 0, ascii)

    @property
    def palette(self) -> Palette:
        """The colours that were drawn with."""
        return self._palette

    @property
    def selected(self) -> tuple[Column, str] | None:
        """The column and the cut under the cursor."""
        if not (self._view.columns and self._view.table.rows):
            return None
        return self._view.place(self.row, self.column)

    def show(self, view: GridView, measure: Measure, palette: Palette) -> None:
        """Draw `view`: only the cells that differ from what is drawn, where rows and columns are the same."""
        before, at = self._view, self._at()
        same = before.same_places(view) and (measure, palette) == (self._measure, self._palette)
        self._view, self._measure, self._palette = view, measure, palette
        if not same:
            self._stay_at(at)
            self._place()
            self.refresh(layout=True)
            return
        if dirty := [*self._changed_cells(before), *self._changed_columns(before)]:
            self.refresh(*dirty)

    def _changed_cells(self, before: GridView) -> Iterator[Region]:
        old, new, layout = before.table, self._view.table, self._layout
        for row, entries in enumerate(new.entries):
            for column, entry in enumerate(entries):
                if old.entries[row][column] != entry and layout.shows(row, column):
                    yield layout.region(row, column)
        if old.kinds != new.kinds:
            yield Region(0, layout.legend_line, self.size.width, 1)

    def _changed_columns(self, before: GridView) -> Iterator[Region]:
        view, layout = self._view, self._layout
        for column in layout.columns:
            if (before.words[column], before.margins[column]) != (view.words[column], view.margins[column]):
                yield layout.across(column, layout.verdict_line)
            key = view.columns[column].key
            if (key in before.running) != (key in view.running):
                yield from (layout.across(column, y) for y in layout.heading_lines)

    def _at(self) -> tuple[str, str] | None:
        """What the cursor is on, in words that a moved row or column keeps."""
        if self.selected is None:
            return None
        return self._view.keys[self.column], self._view.table.rows[self.row]

    def _stay_at(self, at: tuple[str, str] | None) -> None:
        """Keep the cursor on the cell it was on, also where rows or columns have moved."""
        keys = self._view.keys
        column = keys.index(at[0]) if at and at[0] in keys else min(self.column, max(0, len(keys) - 1))
        cuts = self._view.table.rows
        row = cuts.index(at[1]) if at and at[1] in cuts else min(self.row, max(0, len(cuts) - 1))
        self.set_reactive(Heatmap.row, row)
        self.set_reactive(Heatmap.column, column)
        self.post_message(self.Moved())

    def _place(self) -> None:
        self._layout = lay_out(self._view, self.size.width, self.size.height, self._ascii, self._layout)
        self._layout.scroll_to(self.row, self.column)

    def get_content_height(self, _container: Size, _viewport: Size, width: int) -> int:
        """All rows with heading, verdicts and legend."""
        return lay_out(self._view, width, 1000, self._ascii).needed

    def on_resize(self, _event: events.Resize) -> None:
        """Lay everything out for the new size."""
        self._place()
        self.refresh()

    def move(self, rows: int = 0, columns: int = 0) -> None:
        """Move the cursor, as far as there are cells."""
        self.go(self.row + rows, self.column + columns)

    def go(self, row: int, column: int) -> None:
        """Put the cursor on a cell, or on the nearest there is."""
        if self.selected is None:
            return
        before = (self.row, self.column)
        self.row = min(max(0, row), len(self._view.table.rows) - 1)
        self.column = min(max(0, column), len(self._view.columns) - 1)
        if (self.row, self.column) == before:
            return
        if self._layout.scroll_to(self.row, self.column):
            self.refresh()
        else:
            self.refresh(*self._layout.marks(*before), *self._layout.marks(self.row, self.column))
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """Select the cell under the mouse; a second click opens it."""
        place = self._layout.cell_at(event.x, event.y)
        if place is None:
            return
        again = place == (self.row, self.column) and event.chain >= 2
        self.go(*place)
        if again:
            self.post_message(self.Opened())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move the cursor down."""
        event.stop()
        self.move(rows=1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move the cursor up."""
        event.stop()
        self.move(rows=-1)

    def on_focus(self) -> None:
        """The cursor is drawn strongly while keys move it."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor is drawn weakly while keys go elsewhere."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line at `y`."""
        base, width = self.rich_style, self.size.width
        segments = [Segment(text, base + style) for text, style in self._parts(y)]
        return Strip(segments).adjust_cell_length(width, base).simplify()

    def _parts(self, y: int) -> list[tuple[str, Style]]:
        layout = self._layout
        if not self._view.columns:
            return []
        if y == layout.title_line:
            return [(self._title(layout), _DIM)]
        if y in layout.heading_lines:
            return self._heading(y - layout.heading_lines.start)
        if y == layout.verdict_line:
            return self._verdicts()
        if y == layout.legend_line:
            return self._legend()
        row = layout.row_at(y)
        return [] if row is None else self._row(row)

    def _title(self, layout: Layout) -> str:
        titles, width = self._measure.shade.titles, self.size.width
        where = "  ".join(filter(None, ["" if self._view.order == "plan" else self._view.order, layout.where()]))
        if self._view.is_cross:
            titles = (f"{printable(self._view.table.title, self._ascii)}: {self._measure.shade.name}",)
        room = width - len(where) - 2 if where else width
        title = shortened(_fitting(titles, room), room, self._ascii)
        return f"{title.ljust(room)}  {where}" if where else title

    def _heading(self, line: int) -> list[tuple[str, Style]]:
        layout, view = self._layout, self._view
        role = {len(layout.heading_lines) - 1: "top cut"} if view.is_cross else {0: "bottom", 1: "top"}
        parts = [(shortened(role.get(line, ""), layout.label).ljust(layout.label), _DIM)]
        for index in layout.columns:
            column = view.columns[index]
            text = ending(layout.headings[index][line], layout.cell - 1, self._ascii)
            style = _DIM if column.control else _BOLD
            style += Style(underline=column.key in view.running and bool(text))
            style += Style(reverse=index == self.column and bool(text))
            parts += [(" " * (layout.cell - 1 - cell_len(text)), Style.null()), (text, style), (" ", Style.null())]
        return parts

    def _row(self, row: int) -> list[tuple[str, Style]]:
        layout = self._layout
        label = ending(printable(self._view.table.rows[row], self._ascii), layout.label - 1, self._ascii)
        label += " " * (layout.label - 1 - cell_len(label))
        parts = [(label, _CURSOR if row == self.row else Style.null()), (" ", Style.null())]
        for index in layout.columns:
            over = Style.null()
            if (row, index) == (self.row, self.column):
                over = _CURSOR if self.has_focus else Style(bold=True, underline=True)
            cell = self._cell(self._view.table.entries[row][index], layout.cell)
            parts += [(text, style + over) for text, style in cell]
        return parts

    def _cell(self, cell: Entry, width: int) -> list[tuple[str, Style]]:
        """A cell's number on its colour, the mark of its side of epsilon, and what else there is to know of it."""
        suffix = cell.suffix + _DIAGONAL[self._ascii] if cell.marked else cell.suffix
        mark = cell.mark(self._ascii)
        after = (mark + suffix) or " "
        if cell.interval is None:
            glyph = to_ascii(cell.glyph) if self._ascii else cell.glyph
            return [(f"{glyph + after:>{width}}", _BOLD if cell.kind == "failed" else _DIM)]
        room, shade, value = width - len(after), self._measure.shade, cell.interval.value
        # A blank keeps a number apart from the mark before it, unless its own sign does or there is no room.
        apart = bool(mark) and value >= 0 and len(after) == 1
        text = cell.prefix + number(value, room - len(cell.prefix) - apart, shade.decimals, shade.signed)
        half = f" ±{cell.interval.half_width:.2f}" if cell.interval.low < cell.interval.high else ""
        if half and room > len(text + half):
            text += half
        style = self._palette.style(shade.share(value), shade.diverging, faint=cell.kind == "direct")
        text = to_ascii(text)[-room:] if self._ascii else text
        if not cell.side:
            return [(f"{text:>{room}}{after}", style)]
        return [(f"{text:>{room}}", style), (mark, self._palette.side(cell.side)), (suffix, style)]

    def _verdicts(self) -> list[tuple[str, Style]]:
        layout, view = self._layout, self._view
        if view.is_cross:
            words = f"rows: bottom cuts; {_DIAGONAL[self._ascii]} both cuts lie equally deep"
            return [(shortened(words, self.size.width), _DIM)]
        parts = [("verdict".ljust(layout.label), _DIM)]
        for index in layout.columns:
            verdict = view.words[index]
            text = verdict_text(verdict, view.margins[index], layout.cell - 1, self._ascii)
            style = self._palette.side(VERDICTS[verdict]) + _BOLD if verdict in VERDICTS else _DIM
            parts.append((f"{text:>{layout.cell - 1}} ", style))
        return parts

    def _legend(self) -> list[tuple[str, Style]]:
        """The scale and what the signs mean: as much of both as there is room for."""
        shade, table, width = self._measure.shade, self._view.table, self.size.width
        kinds = [kind for kind in LEGEND if kind in table.kinds]
        about = sides(table.epsilon, self._ascii) if table.is_judged else ("",)
        signs = [[each, *(named[kind] for kind in kinds)] for each in about for named in (LEGEND, _SHORT, _SHORTEST)]
        words = ["  ".join(filter(None, each)) for each in signs]
        words = [to_ascii(each) for each in words] if self._ascii else words
        for marks in (shade.marks, (shade.marks[0], shade.marks[-1]), ()):  # the ends of the scale tell most of it
            scale = [(f" {mark:g} ", self._palette.style(shade.share(mark), shade.diverging)) for mark in marks]
            room = width - sum(len(mark) for mark, _ in scale) - 2
            text = _fitting(words, room)
            if cell_len(text) <= room:
                break
        return [*scale, (f"  {text}"[:width], _DIM)]


def _fitting(texts: Sequence[str], room: int) -> str:
    """The first of `texts` that fits, the last where none does."""
    return next((text for text in texts if cell_len(text) <= room), texts[-1])
