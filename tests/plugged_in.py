"""The package in tests/plug_in as if it were installed: for this process, and for those that it starts."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stitchtui.base.registry import Registry
from stitchtui.spec.architectures import ARCHITECTURES
from stitchtui.spec.controls import CONTROLS
from stitchtui.spec.datasets import DATASETS
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.measures import MEASURES
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.tui import measures
from stitchtui.tui.widgets import form

PLUG_IN = Path(__file__).parent / "plug_in"
REGISTRIES: tuple[Registry, ...] = (ARCHITECTURES, CONTROLS, DATASETS, FAMILIES, MEASURES, OBJECTIVES)
_MADE_ONCE = (form._choices, form._words, measures.shown_measures)
EXPERIMENT = {
    "name": "toy",
    "controls": ["half_the_data"],
    "pairs": [{"bottom": "a", "top": "b"}],
    "data": {"name": "stripes"},
    "stitch": {"family": "shift", "epochs": 1, "batch_size": 50, "precision": "float32"},
    "networks": {
        name: {
            "architecture": "digits_cnn",
            "width": 0.5,
            "seed": seed,
            "train": {"epochs": 1, "batch_size": 50, "precision": "float32"},
        }
        for seed, name in enumerate("ab")
    },
}


@contextlib.contextmanager
def plugged_in() -> Iterator[None]:
    """Find the package's entry points now, and forget them after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUG_IN))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PLUG_IN), os.environ.get("PYTHONPATH", "")])))
        for registry in REGISTRIES:
            patch.setattr(registry, "_known", dict(registry._known))
            patch.setattr(registry, "_complete", False)
        for made in _MADE_ONCE:
            made.cache_clear()
        yield
    for made in _MADE_ONCE:
        made.cache_clear()
    for module in ("toy", "toy_work"):
        sys.modules.pop(module, None)
