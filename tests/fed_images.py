"""What a run feeds to its networks, batch by batch, seen at their very beginning."""

from collections import defaultdict
from typing import Any

import pytest
from torch import Tensor

from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.session import Session

Fed = dict[str, list[Tensor]]
"""The batches of images in [0, 1] that each network was given, by its name."""


def watched(monkeypatch: pytest.MonkeyPatch) -> Fed:
    """From now on, the batches that every network of a run is fed from its input on."""
    fed: Fed = defaultdict(list)
    original = Session.add

    def add(self: Session, network: Any, origin: str | None = None) -> Loaded:
        loaded = original(self, network, origin)
        loaded.normalise.register_forward_pre_hook(lambda _, images: fed[network.name].append(images[0]))
        return loaded

    monkeypatch.setattr(Session, "add", add)
    return fed
