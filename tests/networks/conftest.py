"""Small networks run fastest on one thread, above all where other tests run beside them."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch

from stitchtui.networks import training

collect_ignore = [] if find_spec("timm") else ["test_networks_hubs.py"]  # an extra; the test extra brings it


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def every_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a training can be closed at any."""
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
