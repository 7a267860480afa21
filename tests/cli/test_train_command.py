"""`stitchtui train` writes a checkpoint, is interrupted without loss, and refuses bad input in one line."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from stitchtui.cli import invoke
from stitchtui.cli import train as command
from stitchtui.networks import checkpoints
from stitchtui.networks.training import Reached
from stitchtui.spec import overrides

SMALL = ["train", "--architecture", "digits_cnn", "--data", "digits", "--width", "0.25", "--train-size", "64"]
SMALL += ["--epochs", "2", "--batch-size", "32", "--device", "cpu", "--threads", "1"]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(before)


def test_it_prints_the_file_written_and_the_error_and_nothing_else_on_stdout(
    somewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(SMALL) == 0
    shown = capsys.readouterr()
    metadata = checkpoints.read(somewhere / "digits_cnn-digits-seed0.safetensors").metadata
    assert metadata is not None
    assert shown.out == f"digits_cnn-digits-seed0.safetensors\ntest error {metadata.error:.2f} %\n"
    assert "digits_cnn on digits: step 4 of 4, loss " in shown.err
    assert metadata.recipe["epochs"] == 2


def test_notes_on_the_images_are_warned_of(somewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8)).astype(np.int16)
    labels = np.arange(64) % 4
    np.savez(somewhere / "set.npz", x_train=images, y_train=labels, x_test=images[::-1].copy(), y_test=labels[::-1])
    assert invoke([*SMALL, "--data", "npz:set.npz", "--augment", "crop"]) == 0
    metadata = checkpoints.read(somewhere / "digits_cnn-set.npz-seed0.safetensors").metadata
    assert metadata is not None
    assert metadata.augment == "crop"
    lines = capsys.readouterr().err.splitlines()
    assert f"warning: data: int16 images: values up to {images.max()}, read as 8 bits" in lines
    assert any(line.startswith("warning: data: 64 of 64 test images are training images too") for line in lines)


def test_the_same_command_again_takes_it_from_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(SMALL) == 0
    first = capsys.readouterr().out
    assert invoke(SMALL) == 0
    shown = capsys.readouterr()
    assert shown.out == first
    assert "taken from the cache" in shown.err


def test_a_file_that_holds_something_else_is_never_replaced(
    somewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (somewhere / "mine.safetensors").write_text("precious")
    assert invoke([*SMALL, "--out", "mine.safetensors"]) == 2
    assert "--out mine.safetensors: exists and holds something else" in capsys.readouterr().err
    assert (somewhere / "mine.safetensors").read_text() == "precious"
    assert invoke([*SMALL, "--out", str(somewhere)]) == 2


def test_a_pipe_takes_the_checkpoint_and_stays_a_pipe(somewhere: Path) -> None:
    pipe, read = somewhere / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert invoke([*SMALL, "--out", "pipe"]) == 0
    reader.join(30)
    (somewhere / "copy").write_bytes(read[0])
    assert checkpoints.read(somewhere / "copy").metadata is not None
    assert pipe.is_fifo()


def test_a_full_disk_is_one_line_and_the_network_stays_in_the_cache(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    assert invoke(SMALL) == 0
    capsys.readouterr()
    monkeypatch.setattr(checkpoints, "write_atomically", full)
    assert invoke([*SMALL, "--out", "elsewhere.safetensors"]) == 1
    shown = capsys.readouterr().err
    assert "taken from the cache" in shown
    assert shown.endswith("stitchtui: elsewhere.safetensors: can't be written: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--architecture", "resnet17"], "'resnet17' is not known; nearest: 'resnet1"),
        (["--data", "digitz"], "--data: 'digitz' is not known; nearest: 'digits'"),
        (["--width", "0"], "--width: expected a number above 0, got 0"),
        (["--learning-rate", "-1"], "--learning-rate: expected a number above 0"),
        (["--option", "patch"], "--option patch: expected KEY=VALUE"),
        (["--option", "patch=4"], "option 'patch' is not known; it takes no options"),
        (["--architecture", "vit", "--option", "depth=two"], "option depth: expected a positive integer, got 'two'"),
        (["--train-size", "99999"], "train_size"),
        (["--device", "abacus"], "--device abacus"),
        (["--epochs", "0"], "--epochs"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*SMALL, *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGTERM, signal.SIGHUP))]
)
def test_ctrl_c_or_an_ending_signal_saves_and_the_same_command_goes_on(somewhere: Path, number: int) -> None:
    call = [sys.executable, "-m", "stitchtui", *SMALL, "--epochs", "3000", "--train-size", "640"]
    root = Path(command.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(call, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    assert "step" in process.stderr.readline()  # it trains
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "The same command goes on from there" in err
    assert len(list((somewhere / "cache" / "networks").glob("*.partial"))) == 1


def test_options_are_read_as_numbers_truths_and_words() -> None:
    options = overrides.options(["patch=4", "mlp_ratio=2.5", "pool=token", "bias=false", "path=a=b"])
    assert options == {"patch": 4, "mlp_ratio": 2.5, "pool": "token", "bias": False, "path": "a=b"}


def test_a_file_is_named_after_the_class_and_the_folders_last_part() -> None:
    assert command._slug("nets/mine.py:Net") == "Net"
    assert command._slug("folder:/data/my images/") == "my-images"
    assert command._slug("torchvision:resnet50") == "resnet50"
    assert command._slug("???") == "network"


def test_progress_is_a_bar_on_a_terminal_and_its_text_is_never_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with command._progress("[bold]net\x1b[2J") as show:
        show(Reached(5, 10, 1.25, 40.0))
    shown = capsys.readouterr()
    assert "[bold]net?[2J" in shown.err
    assert "loss 1.250" in shown.err
    assert "50 %" in shown.err
    assert shown.out == ""


def test_lines_of_progress_are_few(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    show = command._lines("net")
    for step in range(1, 101):
        show(Reached(step, 100, 1.0, 50.0))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert "about" in lines[0]
    assert lines[-1] == "net: step 100 of 100, loss 1.000, accuracy 50.0 %"
