"""What is known by name: ours first, then what entry points add; nothing of theirs can stop a command."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stitchtui.base.registry import Registry, load


@dataclass(frozen=True)
class Fruit:
    name: str
    colour: str = ""


def fruits() -> "Registry[Fruit]":
    return Registry("fruits", Fruit, [Fruit("pear"), Fruit("apple")])


def installed(folder: Path, entry_points: str, module: str = "") -> None:
    """A package beside the others on the path, as installing one leaves it."""
    about = folder / "more_fruit-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: more-fruit\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[stitchtui.fruits]\n{entry_points}\n")
    (folder / "more_fruit.py").write_text(module)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, whose package can import this module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tests_of_fruit", sys.modules[__name__])
    yield tmp_path
    sys.modules.pop("more_fruit", None)


def test_ours_come_in_their_order_and_the_nearest_is_suggested():
    known = fruits()
    assert list(known) == ["pear", "apple"]
    assert known["pear"] == Fruit("pear")
    assert known.get("plum") is None
    with pytest.raises(KeyError, match="'appel' is not known; nearest: 'apple'"):
        known["appel"]


def test_what_an_installed_package_declares_comes_after_ours(place):
    module = (
        "from tests_of_fruit import Fruit\n"
        "def _(name): return Fruit(name, 'green')\n"
        "LIME, OTHERS = _('lime'), (_('kiwi'), _('fig'))\n"
    )
    installed(place, "one = more_fruit:LIME\nothers = more_fruit:OTHERS", module)
    known = fruits()
    assert sorted(known) == sorted(["pear", "apple", "lime", "kiwi", "fig"])
    assert list(known)[:2] == ["pear", "apple"]
    assert known["kiwi"].colour == "green"


def test_a_package_that_is_on_the_path_twice_is_taken_once(place, monkeypatch, capsys):
    installed(place, "one = more_fruit:LIME", "from tests_of_fruit import Fruit\nLIME = Fruit('lime')\n")
    monkeypatch.syspath_prepend(str(place / ".." / place.name))
    assert list(fruits()) == ["pear", "apple", "lime"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "module, why",
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise ValueError('two\\nlines \\x1b[31m')", "ValueError: two lines ?[31m"),
        ("", "AttributeError: module 'more_fruit' has no attribute 'LIME'"),
        ("LIME = 3", "ValueError: expected a Fruit, got a int"),
        ("from tests_of_fruit import Fruit; LIME = Fruit('pear')", "ValueError: the name 'pear' is taken"),
        ("from tests_of_fruit import Fruit; LIME = Fruit('a b')", "letters, digits and underscores, got 'a b'"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_one_line_and_left_out(module, why, place, capsys):
    installed(place, "one = more_fruit:LIME", module)
    known = fruits()
    assert list(known) == ["pear", "apple"]
    assert list(known) == ["pear", "apple"], "and is not tried again"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: plug-in 'one' of stitchtui.fruits is left out: more_fruit:LIME: ")
    assert why in line


def test_nothing_installed_is_looked_for_until_a_registry_is_asked():
    code = "import sys, stitchtui.spec.families; sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_nothing_is_installed_for_us_its_metadata_is_not_read():
    code = (
        "import sys\nfrom stitchtui.spec.controls import CONTROLS\n"
        "sys.exit(len(CONTROLS) < 2 or 'importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_looks_for_nothing_installed():
    code = (
        "import sys; from stitchtui.cli import invoke; invoke(['--help']); print('importlib.metadata' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "Commands" in found
    assert found.endswith("False\n")


def test_what_a_declaration_names_is_loaded_when_it_is_needed():
    assert load("pathlib:Path") is Path
