"""Of lines that are drawn again, only what changed is sent, and the screen is right all the same."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot import screen_text, settled, wait_for
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import _compositor
from textual.app import App
from textual.containers import Vertical
from textual.strip import Strip

from stitchtui.tui.spans import send_only_what_changed
from stitchtui.tui.widgets.lines import Lines, differing

THEIRS = _compositor.ChopsUpdate.render_segments
send_only_what_changed()
OURS = _compositor.ChopsUpdate.render_segments
CONSOLE = Console(color_system="truecolor", force_terminal=True, legacy_windows=False)
WIDTH, CUTS = 40, (0, 7, 25, 40)
SHADES = [Style(), Style(bold=True), Style(color="#ff0000"), Style(bgcolor="#123456", color="#ffffff")]

lines = st.lists(
    st.tuples(st.sampled_from(["a", " ", "·", "宽", "b"]), st.sampled_from(SHADES)), min_size=40, max_size=40
)


def strip_of(cells):
    """A line of WIDTH terminal cells; no wide character lies where widgets meet."""
    strip = Strip([Segment(text, style) for text, style in cells]).adjust_cell_length(WIDTH)
    return Strip.join(chops(strip).values())


def chops(strip):
    """A line cut where widgets meet."""
    return dict(zip(CUTS[:-1], strip.divide(CUTS[1:]), strict=True))


def painted(screen, data):
    """What a terminal that shows `screen` shows after `data`: what stands in each cell, and its colours."""
    x = y = 0
    style = ""
    for move, colours, text in re.findall(r"\x1b\[(\d+;\d+)H|\x1b\[([\d;]*)m|([^\x1b\n])", data):
        if move:
            y, x = (int(part) - 1 for part in move.split(";"))
        elif text:
            for half in range(cell_len(text)):
                screen[y][x] = (text, style, half)
                x += 1
        else:
            style = "" if colours == "0" else colours
    return screen


def shown(strips):
    """The screen that shows these lines from the start."""
    data = "".join(f"\x1b[{y + 1};1H{strip.render(CONSOLE)}" for y, strip in enumerate(strips))
    return painted([[None] * WIDTH for _ in strips], data)


@given(st.lists(st.tuples(lines, lines), min_size=1, max_size=3))
def test_a_change_that_is_sent_in_pieces_gives_the_picture_that_the_whole_gives(pairs):
    before, after = ([strip_of(pair[index]) for pair in pairs] for index in (0, 1))
    old, new = shown(before), shown(after)
    spans = [(y, *span) for y in range(len(pairs)) for span in differing(old[y], new[y])]
    if not spans:
        return
    update = _compositor.ChopsUpdate([chops(strip) for strip in after], spans, [list(CUTS[1:])] * len(pairs))
    ours, theirs = OURS(update, CONSOLE), THEIRS(update, CONSOLE)
    assert painted(shown(before), ours) == new == painted(shown(before), theirs)
    assert len(ours) <= len(theirs)


def test_it_can_be_asked_for_twice():
    send_only_what_changed()
    assert _compositor.ChopsUpdate.render_segments is OURS is not THEIRS


def test_with_another_textual_its_own_way_is_used(monkeypatch):
    update = _compositor.ChopsUpdate([{0: Strip([Segment("abc")])}], [(0, 1, 2)], [[3]])
    update.chop_ends = None  # as if it held other things
    monkeypatch.setattr(_compositor.ChopsUpdate, "render_segments", lambda self, console: "theirs")
    send_only_what_changed()
    assert _compositor.ChopsUpdate.render_segments(update, CONSOLE) == "theirs"


@given(st.lists(st.booleans(), max_size=80))
def test_pieces_hold_every_difference_and_begin_and_end_with_one(same):
    spans = differing(same, [True] * len(same))
    inside = {place for start, end in spans for place in range(start, end)}
    assert {place for place, each in enumerate(same) if not each} <= inside
    assert all(not same[start] and not same[end - 1] for start, end in spans)
    assert all(later[0] - earlier[1] >= 12 for earlier, later in pairwise(spans))


class OneWidget(App):
    CSS = "Lines { height: 3; width: 30; }"

    def compose(self):
        with Vertical():
            yield Lines()


@pytest.mark.parametrize(
    ("before", "after", "regions"),
    [
        ("loss 0.5, accuracy 61.0 %", "loss 0.5, accuracy 61.5 %", [(22, 0, 1)]),
        ("a", "a", []),
        ("", "abc", [(0, 0, 3)]),
        ("abc", "", [(0, 0, 3)]),
        ("宽a", "宽b", [(2, 0, 1)]),
        ("宽a", "窄a", [(0, 0, 2)]),
        ("宽宽", "宽a宽", [(2, 0, 3)]),
        ("x" * 40, "x" * 39 + "y", []),
        ("e\u0301x", "e\u0300x", [(0, 0, 1)]),
        (Text("abc"), Text("abc", style="bold"), [(0, 0, 3)]),
        ("a" + " " * 20 + "b", "c" + " " * 20 + "d", [(0, 0, 1), (21, 0, 1)]),
    ],
)
async def test_only_what_differs_is_drawn_again(before, after, regions):
    async with OneWidget().run_test(size=(40, 5)) as pilot:
        widget = pilot.app.query_one(Lines)
        widget.show([before, "the same"])
        await settled(pilot)
        found = []
        widget.refresh = lambda *some: found.extend(some)
        widget.show([after, "the same"])
        assert [(region.x, region.y, region.width) for region in found] == regions


async def test_what_is_said_to_a_hidden_widget_is_there_when_it_is_shown_again():
    async with OneWidget().run_test(size=(40, 5)) as pilot:
        widget = pilot.app.query_one(Lines)
        widget.show(["before"])
        await settled(pilot)
        for display, line in ((False, "after"), (True, "after all")):
            pilot.app.query_one(Vertical).display = display
            await settled(pilot)
            widget.show([line, "and more"])
            await settled(pilot)
        seen = ["after all", "and more"]
        await wait_for(pilot, lambda: screen_text(pilot.app).split("\n")[:2] == seen, "all that was said is there")


async def test_a_style_that_holds_for_the_whole_line_is_drawn():
    async with OneWidget().run_test(size=(40, 5)) as pilot:
        widget = pilot.app.query_one(Lines)
        widget.show([Text("all of it", style="bold")])
        assert widget.render_line(0)._segments[0].style.bold
