import json
from pathlib import Path

import pytest
import torch
from torch import nn

from stitchtui import cli

NET = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.conv2(x))
        return self.fc(x.mean((2, 3)))
"""


def cuts(*arguments: str) -> int:
    return cli.invoke(["cuts", *arguments])


def test_a_known_architecture_is_listed_block_by_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert cuts("resnet20", "--width", "0.25", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["name"] for r in rows][:2] == ["stem", "layer1.0"]
    assert rows[0]["shape"] == [4, 32, 32]
    assert len(rows) == 11
    assert [r["depth"] for r in rows] == sorted(r["depth"] for r in rows)


def test_all_cuts_are_more_than_the_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cuts("digits_cnn", "--shape", "1,8,8", "--json", "--all") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["block"] for r in rows} == {True, False}


def test_a_state_dict_of_ones_own_class_is_listed_in_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    spaces: dict[str, type[nn.Module]] = {}
    exec(NET, spaces)
    torch.save(spaces["Net"]().state_dict(), "a.pt")
    assert cuts("a.pt", "--architecture", "net.py:Net", "--shape", "3,16,16") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cut", "shape", "FLOPs", "before", "parameters", "before"]
    assert [line.split()[0] for line in lines[1:]] == ["conv1+max_pool2d", "conv2+mean"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["resnet21"], "'resnet21' is not known; nearest: 'resnet2"),
        (["missing.pt"], "missing.pt: no such file"),
        (["resnet20", "--shape", "3,32"], "--shape 3,32: expected channels,height,width"),
        (["resnet20", "--shape", "0,32,32"], "--shape 0,32,32: expected whole numbers above 0"),
        (["torchvision:vit_b_16", "--shape", "3,64,64"], "fails on images of 3x64x64: Wrong image height"),
    ],
)
def test_what_cannot_be_listed_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cuts(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


PICKY = """
import torch
from torch import nn

class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
    def forward(self, x):
        return x + self.conv(x) if x.mean() < 1e6 else x - self.conv(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.gate = Gate()
    def forward(self, x):
        x = self.gate(self.conv(x)).mean((2, 3))
        return nn.functional.dropout(x, 0.5, self.training)
"""


def test_a_leaf_is_asked_for_and_taken_and_what_training_does_otherwise_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picky.py").write_text(PICKY)
    asked = ("picky.py:Net", "--shape", "3,8,8", "--classes", "4", "--json", "--all")
    assert cuts(*asked) == 2
    text = capsys.readouterr().err
    assert "in gate (Gate): `return x + self.conv(x) if x.mean() < 1e6 else" in text
    assert "add --leaf gate" in text
    assert cuts(*asked, "--leaf", "Gate") == 0
    captured = capsys.readouterr()
    assert [row["name"] for row in json.loads(captured.out)] == ["conv", "gate", "gate+mean"]
    assert "note: in training, unlike here in eval mode, it calls otherwise dropout" in captured.err


def test_a_backbone_is_listed_with_the_head_that_it_is_to_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spaces: dict[str, type[nn.Module]] = {}
    (tmp_path / "net.py").write_text(NET)
    exec(NET, spaces)
    state = {f"module.{k}": v for k, v in spaces["Net"]().state_dict().items() if not k.startswith("fc.")}
    torch.save({**state, "module.projection_head.0.weight": torch.zeros(2, 2)}, "a.pth.tar")
    asked = ("a.pth.tar", "--architecture", "net.py:Net", "--shape", "3,16,16", "--json")
    assert cuts(*asked) == 2
    assert "add head = 'train' (--head train)" in capsys.readouterr().err
    assert cuts(*asked, "--head", "train") == 0
    captured = capsys.readouterr()
    assert [row["name"] for row in json.loads(captured.out)] == ["conv1+max_pool2d", "conv2+mean"]
    assert "note: took module, left out projection_head" in captured.err


def test_without_a_shape_a_published_network_has_its_own_and_a_class_of_ones_own_is_asked_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cuts("torchvision:vit_b_32", "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == "note: looked at with 3x224x224 images, its own size\n"
    assert json.loads(captured.out)[0]["shape"] == [50, 768]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("nn.Conv2d(3,", "nn.Conv2d(1,"))
    assert cuts("net.py:Net") == 2
    error = capsys.readouterr().err
    assert "the network can't take images of 3x32x32: it expects 1 channels; say what it takes: --shape" in error
    assert cuts("net.py:Net", "--shape", "3,16,16") == 2
    assert "--shape" not in capsys.readouterr().err


def test_one_of_several_networks_in_a_file_is_listed_as_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spaces: dict[str, type[nn.Module]] = {}
    (tmp_path / "net.py").write_text(NET)
    exec(NET, spaces)
    networks = {name: spaces["Net"]().state_dict() for name in ("student", "teacher")}
    torch.save({f"{name}.{key}": value for name, state in networks.items() for key, value in state.items()}, "a.ckpt")
    asked = ("a.ckpt", "--architecture", "net.py:Net", "--shape", "3,16,16", "--json")
    assert cuts(*asked) == 2
    assert "holds 2 networks that fit, at student, teacher; choose one by its name" in capsys.readouterr().err
    assert cuts(*asked, "--part", "teacher") == 0
    assert "note: took teacher, left out student" in capsys.readouterr().err
    assert cuts("resnet20", "--part", "teacher") == 2
    assert "--part: is for a checkpoint" in capsys.readouterr().err


def test_code_of_a_hub_is_not_run_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cuts("hub:someone/small:main:small") == 2
    assert "add --trust-code" in capsys.readouterr().err
