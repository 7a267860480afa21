"""Verdicts that a run's end called by other rules than the present ones: by which, and which would differ now."""

from collections.abc import Iterable, Iterator

from stitchtui.report.wording import column_name
from stitchtui.run.state import Column, RunState
from stitchtui.stats.rules import RULES


def by_earlier(rules: int) -> str:
    """` by rules 1`, what marks a verdict of other rules; empty for one of the present rules."""
    return "" if rules == RULES else f" by rules {rules}"


def called_by(state: RunState, column: Column) -> str:
    """What marks a pair's verdict that the run's end called by other rules."""
    called = state.verdicts.get(column.task_ids)
    return by_earlier(called.rules) if called else ""


def rules_lines(state: RunState) -> Iterator[str]:
    """A line on the claims and one on the pairs' verdicts, where other rules called them."""
    if others := _others(claim.rules for claim in state.claims):
        from stitchtui.report.claim_judging import judge_all  # imported late: most runs need no pydantic here

        called = {claim.index: claim.verdict for claim in state.claims}
        found = [each for each in judge_all(state) if each.verdict != called.get(each.index, each.verdict)]
        yield _line("claims", others, [f"claim {each.index + 1} {each.verdict}" for each in found])
    if others := _others(called.rules for called in state.verdicts.values()):
        columns = [column for column in state.columns() if column.task_ids in state.verdicts]
        now = [(column, state.verdict_now(column)) for column in columns]
        differ = [f"{column_name(column)} {verdict}" for column, verdict in now if verdict != state.verdict(column)]
        yield _line("verdicts", others, differ)


def _others(rules: Iterable[int]) -> str:
    return " and ".join(str(each) for each in sorted({*rules} - {RULES}))


def _line(what: str, rules: str, differ: list[str]) -> str:
    return f"{what}: as called by rules {rules}; the present rules, {RULES}, say {'; '.join(differ) or 'the same'}"
