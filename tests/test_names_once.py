"""What is declared by name is spelled where it is declared, and nowhere else in the package."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import stitchtui
from stitchtui.base.registry import Registry, load
from stitchtui.spec.architectures import ARCHITECTURES
from stitchtui.spec.controls import CONTROLS
from stitchtui.spec.datasets import DATASETS
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.measures import MEASURES, columns
from stitchtui.spec.objectives import OBJECTIVES

PACKAGE = Path(stitchtui.__file__).parent
# Words that also mean something else: a key of an event, of a cell's identity or of a preset, a heading, a mark.
ORDINARY = {
    *("identity", "direct", "task"),
    *("error", "loss", "images", "penalty", "steps", "seconds", "cka", "cluster_noise"),
}
REGISTRIES: tuple[Registry, ...] = (ARCHITECTURES, CONTROLS, DATASETS, FAMILIES, MEASURES, OBJECTIVES)
HOMES = {
    "architectures": ARCHITECTURES,
    "controls": CONTROLS,
    "datasets": DATASETS,
    "families": FAMILIES,
    "measures": columns(),
    "objectives": OBJECTIVES,
}


def places() -> dict[str, set[str]]:
    """In which modules each text stands by itself."""
    found = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found[node.value].add(path.relative_to(PACKAGE).as_posix())
    return found


@pytest.mark.parametrize("kind", HOMES)
def test_a_name_is_spelled_in_one_place(kind: str) -> None:
    found, home = places(), f"spec/{kind}.py"
    elsewhere = {name: found[name] - {home} for name in HOMES[kind] if name not in ORDINARY}
    assert {name: where for name, where in elsewhere.items() if name and where} == {}


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.group)
def test_what_a_declaration_names_is_there(registry: Registry) -> None:
    named = [value for each in registry.values() for value in vars(each).values() if is_named(value)]
    assert named
    assert [where for where in named if not callable(load(where))] == []


def is_named(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"stitchtui[\w.]*:\w+", value) is not None


def test_every_measure_that_has_an_interval_says_what_its_lower_end_is() -> None:
    assert {measure.name for measure in MEASURES.values() if measure.ends} == {
        *("penalty", "versus_bottom", "versus_self_stitch", "ood")
    }
