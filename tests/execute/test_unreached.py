"""A stitch that no gradient reaches has no trained number: its cell fails, and says which operation is the reason."""

from pathlib import Path

import pytest
from small_runs import TRAIN, experiment, measures, new_run

from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import CellFailed, read_events
from stitchtui.spec.experiment import Experiment

NETWORKS = """
from torch import nn

class Plain(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(8, num_classes)

    def between(self, x):
        return x

    def forward(self, x):
        return self.head(self.two(self.between(self.one(x))).mean((2, 3)))

class Detached(Plain):
    def between(self, x):
        return x.detach()
"""
REASON = "no gradient reaches the stitch: detach lets none through"


def wanted(folder: Path, tops: list[str], controls: tuple[str, ...] = (), **stitch: object) -> Experiment:
    file = folder / "networks.py"
    file.write_text(NETWORKS)
    kinds = {"a": "Plain", "plain": "Plain", "detached": "Detached"}
    networks = {
        name: {"architecture": f"{file}:{kinds[name]}", "seed": seed, "train": TRAIN}
        for seed, name in enumerate(["a", *tops])
    }
    pairs = [{"bottom": "a", "top": top} for top in tops]
    return experiment(
        networks=networks, pairs=pairs, controls=controls, stitch={"steps": 5, "cuts": ["one", "two"], **stitch}
    )


def failed(directory: RunDirectory) -> list[CellFailed]:
    return [event for event in read_events(directory.events) if isinstance(event, CellFailed)]


@pytest.mark.parametrize("options", [{}, {"best_of": 2, "start": "random"}, {"objective": "soft"}])
def test_such_a_cell_fails_and_the_others_of_its_column_are_measured(
    tmp_path: Path, options: dict[str, object]
) -> None:
    directory = new_run(wanted(tmp_path, ["detached"], **options), tmp_path / "runs")[0]
    assert {event.reason for event in failed(directory)} == {REASON}
    stopped = {event.cut for event in failed(directory)}
    trained = {cut for task, cut in measures(directory) if "direct" not in task}
    assert stopped == {"one"}
    assert trained == {"two"}


def test_tops_that_are_trained_in_one_go_keep_their_numbers_beside_one_that_stops(tmp_path: Path) -> None:
    both = new_run(wanted(tmp_path, ["plain", "detached"]), tmp_path / "both")[0]
    alone = new_run(wanted(tmp_path, ["plain"]), tmp_path / "alone")[0]
    expected = measures(alone)
    found = {key: value for key, value in measures(both).items() if key in expected}
    assert found == expected
    assert {event.cut for event in failed(both)} == {"one"}


def test_the_layers_of_a_top_are_not_said_to_be_trained_either_where_no_gradient_comes(tmp_path: Path) -> None:
    directory = new_run(wanted(tmp_path, ["detached"], ("retrained_top",)), tmp_path / "runs")[0]
    reasons = {event.cut: event.reason for event in failed(directory) if "retrained" in event.task}
    assert reasons == {"one": "no gradient reaches the layers after the cut: detach lets none through"}
    assert "two" in {cut for task, cut in measures(directory) if "retrained" in task}
