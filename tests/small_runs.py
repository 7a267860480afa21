"""Runs small enough for a test: digits, a narrow network, few steps; in this process, or in a worker of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from stitchtui.execute.runner import Runner
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import CellFinished, EventWriter, read_events
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve

TRAIN = {"epochs": 2, "batch_size": 50, "learning_rate": 0.05, "precision": "float32"}


def experiment(**changes: Any) -> Experiment:
    """Two seeds of a narrow network, both directions, the three controls; `stitch` is merged, the rest replaced."""
    networks = {
        f"seed{seed}": {"architecture": "digits_cnn", "width": 0.5, "seed": seed, "train": TRAIN} for seed in (0, 1)
    }
    stitch = {"length": "fixed", "epochs": 2, "batch_size": 50, "precision": "float32", **changes.pop("stitch", {})}
    plain = {
        "name": "small",
        "data": {"name": "digits", "train_size": 200, "test_size": 100},
        "networks": networks,
        "pairs": [{"bottom": "seed0", "top": "seed1"}, {"bottom": "seed1", "top": "seed0"}],
        "stitch": stitch,
        **changes,
    }
    return Experiment.model_validate(plain)


def run_here(directory: RunDirectory, wanted: Experiment, stopping: Any = lambda: False) -> RunState:
    """Carry the experiment out in this process and return what its log says."""
    torch.set_num_threads(1)
    with EventWriter(directory.events) as log:
        runner = Runner(directory, resolve(wanted), log.write, stopping)
        runner.announce("cpu")
        for _ in runner.run(torch.device("cpu")):
            pass
    return RunState.load(directory.events)


def new_run(wanted: Experiment, parent: Path | None = None) -> tuple[RunDirectory, RunState]:
    """A new run directory, and the state after the run."""
    directory = create(wanted, parent)
    return directory, run_here(directory, wanted)


TOLD = ("--device", "cpu", "--threads", "1")


def worker(directory: RunDirectory, told: Sequence[str] = TOLD) -> subprocess.Popen[bytes]:
    """A worker process on the run, as `launch` starts it but under this test's eyes."""
    command = [sys.executable, "-m", "stitchtui.execute.worker", str(directory.path)]
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    with directory.log.open("ab") as log:
        return subprocess.Popen([*command, *told], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)


def measures(directory: RunDirectory) -> dict[tuple[str, str], dict[str, float | None]]:
    """Every finished cell's measures but for the time it took."""
    found = {}
    for event in read_events(directory.events):
        if isinstance(event, CellFinished):
            kept = {k: v for k, v in event.measures.items() if k != "seconds"}
            found[event.task, event.cut] = kept
    return found
