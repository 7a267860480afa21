"""Small networks run fastest on one thread, above all where other tests run beside them."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch

collect_ignore = [] if find_spec("timm") else ["test_networks_hubs.py"]  # an extra; the test extra brings it


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
