"""A user's own class is built from a file or a module, and every way in which that fails is one line."""

from pathlib import Path

import pytest
import torch

from stitchtui.base.errors import BadInput
from stitchtui.networks.by_name import build
from stitchtui.networks.own_code import source_digest

CODE = """
from torch import nn
from beside import HIDDEN

class Net(nn.Module):
    def __init__(self, num_classes=2, hidden=HIDDEN):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(4, hidden), nn.Linear(hidden, num_classes))
    def forward(self, x):
        return self.net(x)

class Fixed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(4, 3))

def broken(num_classes):
    raise ValueError("first line\\nsecond line")

def a_list(num_classes):
    return [num_classes]

leaves = lambda num_classes: exit("bye")
instance = Fixed()
NUMBER = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("HIDDEN = 6\n")
    path = tmp_path / "my_nets.py"
    path.write_text(CODE)
    return path


def make(reference: object, **arguments: object) -> torch.nn.Module:
    return build(str(reference), 3, (1, 2, 2), **arguments)


def test_a_class_in_a_file_is_built_with_its_options_and_the_datas_classes(code: Path) -> None:
    network = make(f"{code}:Net", options={"hidden": 5})
    assert network.net[1].out_features == 5
    assert network(torch.zeros(2, 1, 2, 2)).shape == (2, 3)
    assert make(f"{code}:Net").net[1].out_features == 6  # from the file beside it


def test_a_class_that_takes_no_classes_is_called_without(code: Path) -> None:
    assert make(f"{code}:Fixed")(torch.zeros(2, 1, 2, 2)).shape == (2, 3)


def test_a_factory_in_an_importable_module_is_called() -> None:
    network = build("torchvision.models:squeezenet1_1", 3, (3, 32, 32))
    assert network.num_classes == 3


def test_a_module_in_the_working_directory_is_found(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code.parent)
    assert make("my_nets:Fixed")(torch.zeros(2, 1, 2, 2)).shape == (2, 3)


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("Nett", "'Nett' is not known; nearest: 'Net'"),
        ("broken", "called with (num_classes=3) it raised ValueError: first line"),
        ("a_list", "expected a torch.nn.Module, it returned a list"),
        ("leaves", "it raised SystemExit: bye"),
        ("instance", "expected a class or a function, got a Fixed"),
        ("NUMBER", "expected a class or a function, got a int"),
        ("", "expected path/to/file.py:Class"),
    ],
)
def test_what_the_code_gets_wrong_is_one_line(code: Path, attribute: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        make(f"{code}:{attribute}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_that_a_class_doesnt_take_are_named(code: Path) -> None:
    with pytest.raises(BadInput, match=r"called with \(depth=3.*it raised TypeError: .*'depth'"):
        make(f"{code}:Net", options={"depth": 3})


@pytest.mark.parametrize("arguments", [{"width": 2.0}, {"weights": "DEFAULT"}])
def test_width_and_weights_are_refused_for_own_code(code: Path, arguments: dict) -> None:
    with pytest.raises(BadInput, match=next(iter(arguments))):
        make(f"{code}:Net", **arguments)


def test_a_file_that_isnt_there_a_module_that_isnt_there_and_code_that_cant_be_imported(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no such file: .*nets\.py"):
        make(f"{tmp_path}/nets.py:Net")
    with pytest.raises(BadInput, match="importing it raised ModuleNotFoundError"):
        make("no_such_package.nets:Net")
    with pytest.raises(BadInput, match=r"a file's name has to end in \.py"):
        make(f"{tmp_path}/nets.txt:Net")
    (tmp_path / "bad.py").write_text("def :\n")
    with pytest.raises(BadInput, match="importing it raised SyntaxError"):
        make(f"{tmp_path}/bad.py:Net")


def test_an_edited_file_is_another_source(code: Path) -> None:
    before = source_digest(f"{code}:Net")
    assert source_digest(f"{code}:Net") == before
    code.write_text(CODE + "\n# edited\n")
    assert source_digest(f"{code}:Net") != before
