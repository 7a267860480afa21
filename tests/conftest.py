"""What all tests share: no test touches the user's own cache, runs or settings, or keeps more than one core busy."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

# No test is about time. A build must not fail by the luck of the draw: it takes the same examples every time, and by
# hand they are drawn anew.
settings.register_profile("by hand", deadline=None, max_examples=30)
settings.register_profile("build", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=500)  # --hypothesis-profile=thorough
settings.load_profile("build" if os.environ.get("CI") else "by hand")

# Before anything imports torch, and inherited by workers: small tensors gain nothing from a second thread, and two
# processes that each want every core wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what was imported and collected, millions of objects that stay to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    root: Path = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("STITCHTUI_CACHE", str(root / "cache"))
    monkeypatch.setenv("STITCHTUI_RUNS", str(root / "runs"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "config"))
