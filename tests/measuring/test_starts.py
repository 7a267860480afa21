"""Where a stitch starts: of two closed forms the one that does better on held-out images."""

from pathlib import Path

import pytest
import torch
from small_runs import experiment

from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.session import Session
from stitchtui.run.events import CellFinished, Event, HeldOut
from stitchtui.spec.plan import resolve

CUTS = ["stem", "block2", "flatten"]


def said(start: str, **stitch: object) -> list[Event]:
    asked = {"cuts": CUTS, "start": start, "steps": 2, **stitch}
    plan = resolve(experiment(stitch=asked, controls=["random_bottom"]))
    session = Session(plan.experiment, torch.device("cpu"), load_dataset(plan.experiment.data))
    measurer = Measurer(session)
    for unit in plan.networks:
        finish(measurer.measure(unit))
    return [event for unit in plan.units for event in measurer.measure(unit) if event is not None]


def at_start(events: list[Event]) -> dict[tuple[str, str], float | None]:
    read = [event for event in events if isinstance(event, HeldOut) and event.step == 0]
    return {(event.task, row): loss for event in read for row, loss in event.losses.items()}


@pytest.mark.parametrize(("family", "objective"), [("affine", "task"), ("conv3", "task"), ("mlp", "soft")])
def test_the_best_start_is_the_closed_form_of_the_lower_held_out_loss(
    family: str, objective: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache: Path = tmp_path_factory.getbasetemp() / "networks that start"
    monkeypatch.setenv("STITCHTUI_CACHE", str(cache))
    best = said("best", family=family, objective=objective, held_out=50)
    plain = at_start(said("least_squares", family=family, objective=objective, held_out=50))
    found, scaled = at_start(best), {}
    for event in best:
        if isinstance(event, CellFinished) and "start_scaled" in event.measures:
            scaled[event.task, event.cut] = event.measures["start_scaled"]
    assert found.keys() == plain.keys() == scaled.keys()
    for cell, loss in found.items():
        assert loss is not None
        assert loss < plain[cell] if scaled[cell] else loss == plain[cell]
    assert any(scaled.values())
    assert objective == "task" or not all(scaled.values())  # so that both happen
    if family == "affine":
        alone = at_start(said("affine_scaled", family=family, objective=objective, held_out=50))
        assert found == {cell: min(plain[cell], alone[cell]) for cell in found}
