"""A run's claims for its reader: each sentence with its verdict and the numbers that decide it."""

from collections import Counter
from collections.abc import Sequence

from stitchtui.report.rules import by_earlier
from stitchtui.report.wording import printable
from stitchtui.run.state import RunState
from stitchtui.stats.judgement import Judged

_NUMBERS = (
    "judged on 95 % intervals: of each number, or of the difference of two, on the same test images where both are of"
    " one top"
)
_HOW = {
    1: f"{_NUMBERS}; each comparison by itself",
    2: f"{_NUMBERS}; what one cut of several decides, for all of them together (max-T). The verdict that counts is"
    " adjusted for the number of claims (Holm); that of a claim alone is named where it differs",
}
"""How claims were judged, by the version of the rules."""


def claims_how(found: Sequence[Judged]) -> str:
    """How claims, one or more, were judged."""
    how = _HOW.get(found[0].rules, "judged by the rules of another version")
    return f"{how}. Undecided: it may be either, or a number is missing"


def claims(state: RunState) -> list[Judged]:
    """The claims as the run's end said them; until then, as far as the run has come."""
    if state.claims or not state.experiment.get("claims"):
        return state.claims
    from stitchtui.report.claim_judging import (
        judge_all,  # imported late: a run that has said its claims needs no pydantic
    )

    return judge_all(state)


def unfinished(state: RunState) -> bool:
    """Whether the claims may still be judged otherwise, because the run goes on or was left off."""
    return not state.claims and state.status != "done"


def verdict_words(claim: Judged) -> str:
    """The verdict that counts, the claim's own where that differs, and by which rules if not the present ones."""
    alone = f" (alone {claim.raw})" if claim.raw not in (None, claim.verdict) else ""
    return claim.verdict + alone + by_earlier(claim.rules)


def claim_line(state: RunState, claim: Judged) -> str:
    """One claim: `claim 1 (E1) confirmed: penalty of a > b is at most ...; at all of 10 cuts; ...`; made plain."""
    so_far = "so far " if unfinished(state) else ""
    source = f" ({claim.source})" if claim.source else ""
    verdict = so_far + verdict_words(claim)
    return printable(f"claim {claim.index + 1}{source} {verdict}: {claim.sentence}; {claim.reason}")


def claim_lines(state: RunState) -> list[str]:
    """Every claim in a line of its own; none where the preset makes none."""
    return [claim_line(state, claim) for claim in claims(state)]


def claim_counts(state: RunState) -> str:
    """How many of the run's claims ended how: `claims: 2 confirmed, 1 rejected`; empty until its end says so."""
    counts = Counter(claim.verdict for claim in state.claims)
    said = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("confirmed", "rejected", "undecided") if counts[verdict]
    )
    return f"claims: {said}" if said else ""
