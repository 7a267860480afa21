"""What the tests of commands share: a working directory of their own, and a worker that does no science."""

import functools
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working directory whose runs are its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STITCHTUI_RUNS", "runs")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def fake_worker(workplace, monkeypatch):
    """A function that chooses how the worker of every run launched from here ends."""
    from stitchtui.run import control

    command = [sys.executable, str(TESTS / "fake_worker.py")]
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    monkeypatch.setattr(control, "launch", functools.partial(control.launch, command=command))

    def choose(ending):
        monkeypatch.setenv("FAKE_WORKER", ending)

    choose("done")
    return choose
