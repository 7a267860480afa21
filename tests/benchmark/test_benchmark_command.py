"""`stitchtui bench BOTTOM TOP`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_pair import Made
from torch import nn

from stitchtui import cli
from stitchtui.benchmark.subject import Base, Subject
from stitchtui.errors import BadInput

DATA = ["--data", "digits", "--train-size", "200", "--test-size", "100"]
SMALL = ["--batch-size", "20", "--rounds", "1", "--lengths", "1"]


def bench(*arguments: str) -> int:
    return cli.invoke(["bench", *arguments])


def test_of_two_checkpoints_everything_is_measured(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*map(str, made.files), *DATA, *SMALL, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == "digits_cnn"
    assert found["agreement"]["loss_difference"] < 1e-2
    trained = found["trained"]
    assert trained["errors"] == [made.pair.bottom.error, made.pair.top.error]
    assert (trained["training_images"], trained["test_images"]) == (200, 100)
    assert trained["answer"]["cuts"] == [b.name for b, _ in made.pair.subject.cuts]
    assert {len(t["penalties"]) for t in trained["answer"]["tried"]} == {len(trained["answer"]["cuts"])}
    assert trained["first"]["training_passes"] == 1


def test_the_answer_is_printed_way_by_way(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*map(str, made.files), *DATA, *SMALL, "--precision", "float32", "--cuts", "stem,block3") == 0
    out = capsys.readouterr().out
    assert "digits_cnn, 2 cuts, batches of 20, float32, cpu" in out
    assert "200 training and 100 test images" in out
    assert "0.3 points are 0.3 of 100 test images" in out
    said = out[out.index("every cell within 0.3 points") :]
    for words in ("a column, from least squares: ", "published, from random", "published, from least squares on 100"):
        assert said.count(f"  {words}") == 2  # cell by cell, and in the mean


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.pt", "b.pt"], "--data: expected the images that both networks are for"),
        (["a.pt"], "expected two networks, BOTTOM TOP, or none, got 1"),
        (["a.pt", "b.pt", "--data", "digits"], "networks.a.checkpoint: "),
        (["a.pt", "b.pt", "--width", "2"], "--width: is for random weights"),
        (["--data", "digits"], "--data: is for two networks, BOTTOM TOP"),
        (["--train-published"], "--train-published: is for two networks, BOTTOM TOP"),
        (["--leaf", "Block"], "--leaf: is for two networks, BOTTOM TOP"),
        (["--lengths", "0,1"], "--lengths 0,1: expected whole epochs, 1 or more each"),
    ],
)
def test_what_is_said_of_the_wrong_subject_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_more_test_images_than_there_are_is_one_line(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*map(str, made.files), "--data", "digits", "--test-size", "99999", *SMALL) == 2
    assert "data.test_size: 99999 asked for" in capsys.readouterr().err


def test_networks_with_unlike_numbers_of_cuts_are_refused_in_one_line(made: Made) -> None:
    pair = made.pair
    options = replace(pair.subject.options, cuts="all")
    top = Base(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval(), pair.subject.images[:5])
    with pytest.raises(BadInput, match=r"--cuts: the bottom has \d+ and the top \d+; expected as many"):
        Subject(options, pair.subject.bottom, top, pair.subject.plain_batch(), torch.float32)


def test_the_published_way_is_given_images_in_the_order_that_a_view_needs(made: Made) -> None:
    images = torch.rand(4, 1, 8, 8).contiguous(memory_format=torch.channels_last)  # strides alone tell, of one channel
    subject = made.pair.subject
    own = Subject(
        subject.options, subject.bottom, subject.top, (images, torch.zeros(4, dtype=torch.int64)), torch.float32
    )
    assert own.images.stride() == (64, 64, 8, 1)
