import json
from pathlib import Path

import pytest
import torch
from torch import nn

from stitchtui import cli
from stitchtui.benchmark import clock
from stitchtui.benchmark.held import Held

SMALL = ["--architecture", "digits_cnn", "--shape", "1,8,8", "--batch-size", "8", "--rounds", "1"]

FUNCTIONAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, num_classes)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))).mean((2, 3)))
"""


def bench(*arguments: str) -> int:
    return cli.invoke(["bench", *arguments])


def test_every_ratio_is_measured_and_both_ways_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*SMALL, "--precision", "float32", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("over_published", "over_tails", "over_floor"):
        spread = found["speed"][name]
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]
    assert found["agreement"]["loss_difference"] < 1e-3
    assert found["agreement"]["same_answers"] > 99
    assert found["precision"] == "float32"
    passes = {size["size"]: size["bottom_passes"] for size in found["growth"] if size["what"] == "pairs"}
    assert passes == {2: 2, 6: 3, 12: 4}
    assert {size["what"] for size in found["growth"]} == {"cuts", "images", "pairs"}
    memory = found["memory"]
    assert 0 < memory["in_turns"] <= memory["together"] <= memory["estimate"]


def test_without_json_the_ratios_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*SMALL, "--precision", "bfloat16") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("digits_cnn, ")
    assert "batches of 8, bfloat16, cpu" in lines[0]
    (ratio,) = [line for line in lines if line.startswith("published way / column, per epoch")]
    assert ratio.count(" x") == 3


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--precision", "half"], "--precision half: expected auto, float32 or bfloat16"),
        (["--architecture", "resnet21"], "'resnet21' is not known"),
        (["--shape", "3,32"], "--shape 3,32: expected channels,height,width"),
        (["--cuts", "nowhere"], "--cuts: 'nowhere' is not known"),
        (["--architecture", "net.py:Net", "--shape", "3,8,8"], "none of these is where a module ends"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(FUNCTIONAL)
    assert bench(*SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_work_is_timed_by_turns_after_a_round_that_does_not_count() -> None:
    done: list[str] = []
    works = {name: lambda name=name: done.append(name) for name in ("a", "b")}
    seconds = clock.interleaved(works, 3, torch.device("cpu"))
    assert done == ["a", "b"] * 4
    assert [len(times) for times in seconds.values()] == [3, 3]


def test_a_ratio_is_taken_round_by_round() -> None:
    spread = clock.ratio({"slow": [2.0, 12.0, 9.0], "fast": [1.0, 3.0, 3.0]}, "slow", "fast")
    assert (spread.median, spread.low, spread.high) == (3, 2, 4)


def test_held_memory_is_what_is_alive_at_once() -> None:
    with Held() as held:
        for _ in range(3):
            kept = torch.zeros(1000)
            kept = kept + 1
        nn.functional.relu(kept)
    assert 8_000 <= held.most <= 12_100
