"""The best stitch at a cut is chosen by held-out loss where all that was trained says it, else on the test images."""

from typing import Any

import pytest
from claimed_run import experiment, measures, run

from stitchtui.report.best import Mates
from stitchtui.run.state import RunState
from stitchtui.tui.facts import cell_facts


def best(affine: dict[str, Any], other: dict[str, Any], **how: Any) -> tuple[str, float, str]:
    """Family, penalty and choice at the first cut of a pair that was stitched in two ways."""
    how = {"family": "conv3", "objective": "task", **how}
    made = experiment(also=[{"stitch": how}])
    second = " ".join(["a > c", how["family"], how["objective"], *(f"l1 {l1:g}" for l1 in (how.get("l1"),) if l1)])
    state = run(
        {"a > c affine task": [affine] * 5, second: [other] * 5, "a > c affine direct": [9.0] * 5},
        made,
    )
    found = Mates(state).best(pair(state), "stem")
    assert found is not None
    assert dict(cell_facts(state, pair(state), "stem", doubts=True))["best stitch"].endswith(found.words)
    return found.column.family, found.penalty.value, found.chosen


def pair(state: RunState) -> Any:
    return next(column for column in state.columns() if (column.bottom, column.top) == ("a", "c"))


def test_the_lowest_held_out_loss_decides_whatever_the_test_images_say() -> None:
    found = best(measures(1.0, held_out_loss=0.5), measures(2.0, held_out_loss=0.4))
    assert found == ("conv3", 2.0, "of lowest held-out loss")


@pytest.mark.parametrize("how", [{"objective": "soft"}, {"family": "affine", "l1": 0.5}])
def test_stitches_trained_for_several_things_are_told_by_held_out_accuracy(how: dict[str, Any]) -> None:
    said = [measures(value, held_out_loss=value, held_out_accuracy=90 + value) for value in (1.0, 2.0)]
    assert best(*said, **how)[1:] == (2.0, "of highest held-out accuracy")


def test_where_nothing_was_held_out_the_lowest_penalty_counts_and_is_said_to_be_chosen_on_test_images() -> None:
    found = best(measures(1.0), measures(2.0, held_out_loss=0.4))
    assert found == ("affine", 1.0, "of lowest penalty, so chosen on test images")
