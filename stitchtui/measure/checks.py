"""Invariants that every run verifies on its own networks, said as `check` events."""

from collections.abc import Mapping

from stitchtui.measure.feed import in_order
from stitchtui.measure.recorder import Recorder
from stitchtui.measure.session import Session
from stitchtui.run.events import Check, Warned
from stitchtui.spec.plan import Task
from stitchtui.stitching import fit, stitches
from stitchtui.stitching.evaluate import column_scores


def check_ends(session: Session, task: Task, record: Recorder) -> None:
    """Verify, by stitching there, that the penalty at the input is 0 and at the output error(bottom) - error(top).

    Where the bottom's classes aren't the data's, its output can't be the top's.
    """
    ends = session.loaded[task.bottom], session.loaded[task.top]
    bottom, top = (session.chain(loaded, []) for loaded in ends)
    cells = [fit.Cell(0, 0, stitches.Identity()), fit.Cell(bottom.output, top.output, stitches.Identity())]
    cells = cells[:1] if session.has_own_classes(ends[0]) else cells
    batches = in_order(session.dataset.test, session.experiment.evaluation_batch, lambda _: record.check())
    scores, _ = column_scores(bottom, top, cells, batches)
    expected = [session.base(loaded, lambda _: record.check()).error for loaded in reversed(ends)]
    for name, found, wanted in zip(("input", "output"), scores, expected, strict=False):
        says = "0" if name == "input" else "error(bottom) - error(top)"
        passed = found.error == wanted
        record.emit(
            Check(
                name=f"{task.column}: the penalty at the {name} is {says}",
                passed=passed,
                detail="" if passed else f"stitched error {found.error}, expected {wanted}",
            )
        )


def warn_of_harm(task: Task, penalties: Mapping[str, Mapping[str, float]], record: Recorder) -> None:
    """Say where training made an exact self-stitch worse: what it does there it may do to any pair at that cut."""
    harmed = {row: m["penalty"] for row, m in penalties.items() if m["penalty_low"] > 0}
    if harmed:
        worst = max(harmed, key=lambda row: harmed[row])
        text = (
            f"{task.column}: training made an exact self-stitch worse at {', '.join(harmed)} (by "
            f"{harmed[worst]:.2f} points at {worst}): penalties there say something of the training, too; compare them "
            "with direct matching, or try a lower stitch.learning_rate, more images or data.augment = 'none'"
        )
        record.emit(Warned(text=text))


def warn_of_size(task: Task, stitches: Mapping[str, int], network: int, record: Recorder) -> None:
    """Say where a stitch has more parameters than the network that it is put into."""
    if large := [row for row, count in stitches.items() if count > network]:
        text = f"{task.column}: the stitch has more parameters than {task.top} at {', '.join(large)}; "
        record.emit(Warned(text=text + "it can do much by itself there"))


def check_self_stitch(task: Task, before: Mapping[str, float], record: Recorder) -> None:
    """Verify that a self-stitch from identity costs exactly nothing before training; `before` is penalty by cut."""
    odd = [f"{row}: {penalty:+.2f}" for row, penalty in before.items() if penalty != 0]
    name = f"{task.column}: self-stitch from identity has penalty 0 before training"
    record.emit(Check(name=name, passed=not odd, detail=", ".join(odd)))
