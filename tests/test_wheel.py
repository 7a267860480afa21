"""What a built wheel holds: all that a command asks for, wherever it is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stitchtui import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of a wheel's files, as pip lays them."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith(f"stitchtui-{__version__}-py3")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "Usage: stitchtui"),
        (["presets"], "quickstart"),
        (["presets", "seeds"], "#:schema "),
        (["cite"], "@inproceedings{"),
        (["schema"], '"networks"'),
        (["docs", "--out", "site"], ""),
        (["run", "quickstart", "--dry-run"], "at most"),
    ],
)
def test_a_wheel_is_enough_for_every_command(installed, tmp_path, words, expected):
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "stitchtui", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert expected in done.stdout


@pytest.mark.slow
def test_a_wheel_has_every_file_of_the_package(installed):
    ours = {path.relative_to(ROOT) for path in (ROOT / "stitchtui").rglob("*") if path.is_file()}
    ours = {path for path in ours if "__pycache__" not in path.parts}
    assert {path for path in ours if not (installed / path).is_file()} == set()
    assert (installed / "stitchtui" / "py.typed").is_file()
