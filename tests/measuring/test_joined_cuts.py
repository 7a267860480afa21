"""Which cuts of real networks meet: of other depths, in pairs that were named, the other way round, in controls."""

from typing import Any

import pytest
import torch
from small_runs import experiment

from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.session import Session
from stitchtui.run.records import row_name
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve

BOTH = [{"bottom": "shallow", "top": "deep"}, {"bottom": "deep", "top": "shallow"}]


def wanted(cuts: Any = "blocks", **changes: Any) -> Experiment:
    """A transformer of 2 blocks and one of 6, neither trained, both ways."""
    networks = {
        name: {
            "architecture": "vit", "untrained": True, "seed": depth,
            "options": {"patch": 4, "depth": depth, "heads": 1, "dim": 8},
        }
        for name, depth in (("shallow", 2), ("deep", 6))
    }  # fmt: skip
    stitch = {"cuts": cuts, "objective": "direct", **changes.pop("stitch", {})}
    return experiment(**{"networks": networks, "pairs": BOTH, "controls": ["self_stitch"], "stitch": stitch, **changes})


def rows(asked: Experiment) -> dict[str, list[str]]:
    """The rows of each column of direct matching."""
    plan = resolve(asked)
    session = Session(plan.experiment, torch.device("cpu"), load_dataset(plan.experiment.data))
    made = Measurer(session)
    for unit in plan.networks:
        finish(made.measure(unit))
    made.check_measurable(plan.tasks)
    return {task.column: [row_name(b.name, t.name) for b, t in session.column_cuts(task)] for task in plan.tasks}


def test_networks_of_other_depths_are_joined_by_depth_and_each_keeps_its_cuts_the_other_way_round() -> None:
    found = rows(wanted())
    assert found["shallow > deep"] == ["embedding", "blocks.0 > blocks.2", "blocks.1 > blocks.5", "pool"]
    assert found["deep > shallow"] == ["embedding", "blocks.2 > blocks.0", "blocks.5 > blocks.1", "pool"]
    assert found["deep > deep"] == ["embedding", "blocks.2", "blocks.5", "pool"]
    assert found["shallow > shallow"] == ["embedding", "blocks.0", "blocks.1", "pool"]


def test_named_pairs_and_the_tops_own_names_change_places_with_the_networks() -> None:
    pairs = {"blocks.1": "blocks.3", "blocks.0": "blocks.3"}
    columns = {
        "shallow > deep": ["blocks.0 > blocks.3", "blocks.1 > blocks.3"],
        "deep > shallow": ["blocks.3 > blocks.0", "blocks.3 > blocks.1"],
        "deep > deep": ["blocks.3"],
        "shallow > shallow": ["blocks.0", "blocks.1"],
    }
    assert rows(wanted(pairs)) == columns
    assert rows(wanted(("blocks.0", "blocks.1"), stitch={"top_cuts": ["blocks.3"]})) == columns


def test_a_later_request_for_the_other_way_round_alone_keeps_the_cuts_of_each_network() -> None:
    first = wanted({"blocks.1": "blocks.3"}, pairs=BOTH[:1], controls=[])
    later = [{"pairs": BOTH[1:], "stitch": {**first.stitch.plain(), "ridge": 0.1}}]
    assert rows(wanted({"blocks.1": "blocks.3"}, pairs=BOTH[:1], controls=[], also=later)) == {
        "shallow > deep": ["blocks.1 > blocks.3"],
        "deep > shallow": ["blocks.3 > blocks.1"],
    }


@pytest.mark.parametrize(
    ("cuts", "why"),
    [
        ({"blocks.1": "blocks.9"}, "network 'deep': cuts: 'blocks.9' is not known; nearest: 'blocks.5'"),
        ({"blocks.3": "blocks.1"}, "network 'shallow': cuts: 'blocks.3' is not known; nearest: 'blocks.1'"),
    ],
)
def test_a_cut_that_is_not_there_is_one_line(cuts: Any, why: str) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        rows(wanted(cuts))
    assert refused.value.field == "stitch.cuts"
