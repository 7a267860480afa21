"""A tiny run of networks that have learnt something, so that their answers differ from image to image."""

from pathlib import Path
from typing import Any

from small_runs import TRAIN, experiment

from stitchtui.execute.in_process import carried_out
from stitchtui.execute.runner import Given
from stitchtui.run.directory import RunDirectory, create

_NETWORK = {"architecture": "digits_cnn", "train": {**TRAIN, "epochs": 12}}
NETWORKS = {name: {**_NETWORK, "seed": seed} for seed, name in enumerate(("seed0", "seed1"))}


def done(place: Path, given: Given | None = None, **changes: Any) -> RunDirectory:
    """The directory, in `place`, of such a run that is done: two cuts, and a few steps of training."""
    stitch = {"cuts": ["block2", "block4"], "epochs": 1, **changes.pop("stitch", {})}
    wanted = {"networks": NETWORKS, "controls": [], "stitch": stitch, **changes}
    directory = create(experiment(**wanted), place / "runs")
    for _ in carried_out(directory, {"device": "cpu"}, given):
        pass
    return directory
