"""Two networks as chains of cuts side by side: names, shapes, depths, and where they fit."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from stitchtui.report.wording import ending, printable, shortened
from stitchtui.spec.pairing import Uneven
from stitchtui.spec.shapes import Misfit
from stitchtui.tui import cut_pairs
from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import ENDS, End
from stitchtui.tui.widgets.lines import Lines

_MARKS: dict[cut_pairs.Fit, str] = {"equal": "=", "mapped": ">", "adapted": "~", "misfit": "x", "alone": " "}
_MEANINGS: dict[cut_pairs.Fit, str] = {
    "equal": "same shape",
    "mapped": "channels are mapped",
    "adapted": "resized first",
    "misfit": "doesn't fit",
}
_CROSS = "every bottom cut meets every top cut"


class Chains(Lines):
    """Draws what the inspector says of a draft's two networks."""

    DEFAULT_CSS = """
    Chains { height: auto; }
    """

    def draw(self, draft: Draft, width: int, reasons: bool) -> None:
        """Draw the chains of `draft` in `width` columns, with `reasons` why a network can't be used."""
        self.show(chain_lines(draft, width, bool(getattr(self.app, "ascii", False)), reasons))


def chain_lines(draft: Draft, width: int, ascii: bool = False, reasons: bool = True) -> list[Text]:
    """The lines: what each network is, then the cuts in rows; those that the experiment uses are bold."""
    lines = []
    for end in ENDS:
        lines += [_head(draft, end, width, ascii), *_notes(draft, end, width, ascii, reasons)]
    if draft.cuts("bottom") or draft.cuts("top"):
        rows = _joints(draft)
        legend = "   ".join(
            f"{_MARKS[each]} {words}" for each, words in _MEANINGS.items() if each in {r.fit for r in rows}
        )
        legend = _CROSS if draft.meeting.pairing == "all" else legend
        lines += [Text(), *_rows(draft, rows, width, ascii), Text(shortened(legend, width, ascii), style="dim")]
    return lines


def _head(draft: Draft, end: End, width: int, ascii: bool) -> Text:
    name = draft.ends().get(end)
    text = Text(f"{end:<7}", style="dim", no_wrap=True)
    if name is None:
        return text.append("not picked yet", style="dim")
    text.append(ending(printable(name, ascii), max(8, width // 2 - 8), ascii), style="bold not dim")
    said = ", ".join(_described(draft, end))
    return text.append(shortened(f"  {printable(said, ascii)}", max(2, width - text.cell_len), ascii), style="not dim")


def _notes(draft: Draft, end: End, width: int, ascii: bool, reasons: bool) -> Iterator[Text]:
    """What there is to know of the network, and with `reasons` why it can't be used, over as many lines as it takes."""
    answer = draft.answers.get(end, {})
    said = [("yellow", note) for note in answer.get("notes", [])]
    said += [("red", answer["error"])] if reasons and "error" in answer else []
    for colour, text in said:
        for line in wrap(printable(text, ascii), max(10, width - 2)):
            yield Text(f"  {line}", style=colour, no_wrap=True)


def _described(draft: Draft, end: End) -> Iterator[str]:
    answer = draft.answers.get(end)
    if draft.asking(end):
        yield "checking..."
    elif answer is None:
        yield "nothing to ask about"
    elif not answer:
        yield "looked at once it is picked"
    elif "error" in answer:
        yield "can't be used"
    else:
        yield str(answer.get("architecture", ""))
        yield "x".join(map(str, answer.get("shape", [])))
        if isinstance(answer.get("test_error"), float):
            yield f"{answer['test_error']:.1f} % error"


def _rows(draft: Draft, joints: list[cut_pairs.Joint], width: int, ascii: bool) -> Iterator[Text]:
    used = [{cut["name"] for cut in draft.chosen_cuts(end)} for end in ENDS]
    shapes = max(5, *(cell_len(cut_pairs.shape_text(cut)) for joint in joints for cut in (joint.bottom, joint.top)))
    name = max(6, min(24, (width - 9) // 2 - shapes - 1))  # 9: the mark and the depth
    for joint in joints:
        row = _cell(joint.bottom, used[0], name, shapes, ascii).append(f" {_MARKS[joint.fit]} ", style="bold")
        row.append_text(_cell(joint.top, used[1], name, shapes, ascii))
        if joint.bottom is not None and row.cell_len + 6 <= width:
            row.append(f" {100 * joint.bottom['depth']:3.0f} %", style="dim")
        yield row


def _joints(draft: Draft) -> list[cut_pairs.Joint]:
    """The rows: cuts in their places where both chains have the same, else those that meet first, then the others."""
    bottom, top = (_listed(draft, end) for end in ENDS)
    meeting = draft.meeting
    below, above = (draft.chosen_cuts(end) for end in ENDS)
    pairs: Sequence[tuple[cut_pairs.Cut | None, cut_pairs.Cut | None]] = list(zip_longest(below, above))
    if meeting.pairing != "all" and below and above:
        with suppress(Uneven, Misfit):  # which is said beside the field
            pairs = cut_pairs.meet(draft.cuts("bottom"), draft.cuts("top"), meeting)
    if [cut["name"] for cut in bottom] == [cut["name"] for cut in top] and all(
        low is None or high is None or low["name"] == high["name"] for low, high in pairs
    ):
        return cut_pairs.joints(zip(bottom, top, strict=True), meeting)
    others = ([cut for cut in cuts if cut not in used] for cuts, used in ((bottom, below), (top, above)))
    unjoined = (cut_pairs.Joint(low, high, "alone") for low, high in zip_longest(*others))
    return [*cut_pairs.joints(pairs, meeting), *unjoined]


def _cell(cut: cut_pairs.Cut | None, used: set[str], name: int, shapes: int, ascii: bool) -> Text:
    label = ending(printable(cut["name"], ascii), name, ascii) if cut else ""
    style = Style(bold=True) if cut and cut["name"] in used else Style(dim=True)
    return Text(no_wrap=True).append(f"{set_cell_size(label, name)} {cut_pairs.shape_text(cut):<{shapes}}", style=style)


def _listed(draft: Draft, end: End) -> list[cut_pairs.Cut]:
    """The cuts worth showing of one end: those used, or where few are, those at which a block ends too."""
    meeting = draft.meeting
    wanted = meeting.cuts if end == "bottom" or meeting.top_cuts is None else meeting.top_cuts
    names = {cut["name"] for cut in draft.chosen_cuts(end)}
    shown = cut_pairs.selected(draft.cuts(end), wanted if isinstance(wanted, str) else "blocks")
    kept = names | {cut["name"] for cut in shown}
    return [cut for cut in draft.cuts(end) if cut["name"] in kept]
