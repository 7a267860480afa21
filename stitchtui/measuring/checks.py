"""Invariants that every run verifies on its own networks, said as `check` events."""

from collections.abc import Iterator, Mapping

from stitchtui.measuring.feed import in_order
from stitchtui.measuring.saying import Saying, silent
from stitchtui.measuring.session import Session
from stitchtui.run.events import Check, Event, Warned
from stitchtui.spec.plan import Task
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.evaluate import column_scores


def check_ends(session: Session, task: Task) -> Saying[None]:
    """Verify, by stitching there, that the penalty at the input is 0 and at the output error(bottom) - error(top).

    Where the bottom's classes aren't the data's, its output can't be the top's.
    """
    ends = session.loaded[task.bottom], session.loaded[task.top]
    bottom, top = (session.chain(loaded, []) for loaded in ends)
    seams = [
        column_trainer.Seam(0, 0, stitches.Identity()),
        column_trainer.Seam(bottom.output, top.output, stitches.Identity()),
    ]
    seams = seams[:1] if session.has_own_classes(ends[0]) else seams
    batches = in_order(session.dataset.test, session.experiment.evaluation_batch)
    scores, _ = yield from silent(column_scores(bottom, top, seams, batches))
    expected = [session.base(loaded).error for loaded in reversed(ends)]
    for name, found, wanted in zip(("input", "output"), scores, expected, strict=False):
        says = "0" if name == "input" else "error(bottom) - error(top)"
        yield Check(
            name=f"{task.column}: the penalty at the {name} is {says}",
            passed=found.error == wanted,
            detail="" if found.error == wanted else f"stitched error {found.error}, expected {wanted}",
        )


def oversize(task: Task, stitches: Mapping[str, int], network: int) -> Iterator[Event]:
    """Say where a stitch has more parameters than the network that it is put into."""
    if large := [row for row, count in stitches.items() if count > network]:
        yield Warned(
            text=f"{task.column}: the stitch has more parameters than {task.top} at {', '.join(large)}; "
            "it can do much by itself there",
        )


def check_self_stitch(task: Task, before: Mapping[str, float]) -> Event:
    """Verify that a self-stitch from identity costs exactly nothing before training; `before` is penalty by cut."""
    odd = [f"{row}: {penalty:+.2f}" for row, penalty in before.items() if penalty != 0]
    name = f"{task.column}: self-stitch from identity has penalty 0 before training"
    return Check(name=name, passed=not odd, detail=", ".join(odd))
