"""Every block of code that README and public docstrings show runs, on tiny networks and images."""

import doctest
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import stitchtui
from stitchtui.spec.claims import ClaimSpec

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def blocks(text: str, language: str) -> Iterator[str]:
    """The fenced blocks of a language, each behind so many empty lines that errors name the text's own line."""
    for found in re.finditer(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        yield "\n" * (text.count("\n", 0, found.start(1))) + inspect.cleandoc(found[1]) + "\n"


def public_docstrings() -> Iterator[tuple[str, str]]:
    """The docstrings of the public names, and of the public methods of classes among them."""
    for name in stitchtui.__all__:
        found = getattr(stitchtui, name)
        yield name, inspect.getdoc(found) or ""
        for method, each in vars(found).items() if isinstance(found, type) else ():
            if not method.startswith("_"):
                yield f"{name}.{method}", inspect.getdoc(each) or ""


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the blocks of code speak of: two small networks, images and labels of three classes, an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STITCHTUI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (72, 1, 6, 6), dtype=torch.uint8, generator=draws)
    labels = torch.arange(72) % 3
    return {
        **{name: network(seed) for seed, name in enumerate(("bottom", "top"))},
        **{"x_train": images[:48], "y_train": labels[:48], "x_test": images[48:], "y_test": labels[48:]},
    }


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()


def test_python_in_readme_runs_from_top_to_bottom(names):
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), names)
    assert {"SHIFT", "STRIPES"} <= names.keys()


def test_python_in_public_docstrings_runs(names):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, text in public_docstrings():
        known = {**names, **{each: getattr(stitchtui, each) for each in stitchtui.__all__}, "stitchtui": stitchtui}
        for block in blocks(text, "python"):
            exec(compile(block, name, "exec"), known)
        runner.run(doctest.DocTestParser().get_doctest(text, known, name, name, 0))
    assert runner.summarize().failed == 0


def test_toml_in_readme_can_be_read_and_its_claims_are_claims():
    claims = re.findall(r"^ {4}\[\[claims\]\]\n(?: {4}.*\n)+", README, re.MULTILINE)
    found = [tomllib.loads(block) for block in (*blocks(README, "toml"), *map(inspect.cleandoc, claims))]
    said = [ClaimSpec.model_validate(claim) for each in found for claim in each.get("claims", ())]
    assert len(found) >= 2 and [claim.kind for claim in said] == ["at_most"]
