import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCIENCE = ("torch", "torchvision", "textual")


def loaded_after(code, heavy):
    """Which modules of `heavy` a fresh interpreter has loaded once it ran `code`."""
    program = f"import sys\n{code}\nprint('LOADED', *[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_package_itself_loads_nothing():
    code = "import stitchtui\nassert {*stitchtui.__all__} <= {*dir(stitchtui)}"
    assert loaded_after(code, (*SCIENCE, "pydantic", "rich", "numpy", "typing", "stitchtui.api")) == []


def test_every_public_name_is_there_when_it_is_asked_for():
    code = "import stitchtui\nassert all(getattr(stitchtui, name).__doc__ for name in stitchtui.__all__)"
    assert loaded_after(code, ("textual", "matplotlib")) == []


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_loads_neither_torch_nor_pydantic_nor_rich(arguments):
    code = f"from stitchtui.cli import invoke\nassert invoke({arguments!r}) == 0"
    assert loaded_after(code, (*SCIENCE, "pydantic", "rich", "numpy")) == []


@pytest.mark.parametrize("arguments", [["runs"], ["presets"], ["run", "--help"], ["run", "x"], ["report", "x"]])
def test_commands_that_do_not_compute_never_load_torch(arguments, tmp_path):
    code = f"import os\nos.environ['STITCHTUI_RUNS'] = {str(tmp_path)!r}\n"
    code += f"from stitchtui.cli import invoke\ninvoke({arguments!r})"
    assert loaded_after(code, SCIENCE) == []


def modules(folder):
    paths = sorted((ROOT / "stitchtui" / folder).glob("*.py"))
    return [f"stitchtui.{folder.replace('/', '.')}.{path.stem}" for path in paths if path.stem != "__init__"]


def test_a_run_as_data_and_its_report_load_neither_torch_nor_textual():
    names = [name for part in ("spec", "stats", "run", "report", "cli") for name in modules(part)]
    assert len(names) > 20
    assert loaded_after(f"import {', '.join(names)}", SCIENCE) == []


def test_the_app_with_all_its_screens_loads_no_torch():
    names = [*modules("tui"), *modules("tui/screens"), *modules("tui/widgets")]
    assert len(names) > 40
    science = ("torch", "torchvision", "sklearn", "scipy", "numpy")
    assert loaded_after(f"import {', '.join(names)}", science) == []


def test_the_first_picture_of_the_app_waits_for_nothing_that_it_does_not_show():
    later = (
        "pydantic",
        "plotext",
        "numpy",
        "stitchtui.spec.experiment",
        "stitchtui.spec.presets",
        "stitchtui.tui.catalogue",
    )
    assert loaded_after("import stitchtui.tui.main, stitchtui.tui.app", later) == []
