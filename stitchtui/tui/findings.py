"""What a run has found, in sentences: its claims first, then what to beware of, the verdicts, and what they rest on."""

from collections.abc import Iterator

from rich.text import Text

from stitchtui.report.claim_lines import claims, claims_how, unfinished, verdict_words
from stitchtui.report.summary import BEWARE, FOUND, RESTS_ON, summary_lines
from stitchtui.report.wording import printable, to_ascii
from stitchtui.run.state import RunState
from stitchtui.stats.judgement import Verdict
from stitchtui.tui.widgets.inspector import wrapped

_MARKS: dict[Verdict, tuple[str, str]] = {"confirmed": ("✓", "+"), "rejected": ("✗", "x"), "undecided": ("?", "?")}


def finding_lines(state: RunState, condition: str, width: int, ascii: bool = False) -> list[Text]:
    """The lines, at most `width` characters long; `condition` is what `run.control.status` says."""
    parts = [("Claims", list(_claims(state, ascii)))]
    for heading, topics in (("Beware", BEWARE), ("What it found", FOUND), ("What that rests on", RESTS_ON)):
        group = summary_lines(state, condition=condition, about=topics)
        parts.append((heading, [(line, "") for line in group]))
    lines: list[Text] = []
    for heading, sentences in parts:
        if sentences:
            lines += [*([Text()] if lines else []), Text(heading, style="bold underline")]
            for sentence, style in sentences:
                lines += _hanging(to_ascii(sentence) if ascii else sentence, width, style)
    return lines


def _claims(state: RunState, ascii: bool) -> Iterator[tuple[str, str]]:
    """Each claim's sentence, its verdict, and what decided it; each with its style."""
    found = claims(state)
    so_far = "so far " if unfinished(state) else ""
    for claim in found:
        source = f" ({claim.source})" if claim.source else ""
        yield printable(f"{claim.index + 1}. {claim.sentence}{source}"), ""
        yield f"   {_MARKS[claim.verdict][ascii]} {so_far}{verdict_words(claim)}", "bold"
        yield printable(f"   {claim.reason}"), "dim"
    if found:
        yield claims_how(found), "dim"


def _hanging(text: str, width: int, style: str) -> list[Text]:
    """`text` over as many lines as it takes; those after the first are set in, further than its own indent."""
    words = text.lstrip()
    indent = len(text) - len(words)
    room = max(10, width - indent - 2)
    first, *rest = wrapped(words, room)
    return [Text(" " * indent + first, style=style), *(Text(" " * (indent + 2) + each, style=style) for each in rest)]
