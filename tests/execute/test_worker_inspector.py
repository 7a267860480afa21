import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stitchtui.base.errors import BadInput
from stitchtui.execute import network_facts
from stitchtui.execute.inspector import Inspector
from stitchtui.execute.network_facts import NetworkQuestion
from stitchtui.networks import by_name, checkpoints
from stitchtui.networks.checkpoints import Metadata
from stitchtui.stitching.cuts import Traced

ROOT = Path(__file__).parents[2]
SHAPE = (1, 8, 8)


def own_checkpoint(path, architecture="digits_cnn"):
    module = by_name.build("digits_cnn", 10, SHAPE, 0.5)
    metadata = Metadata(
        architecture=architecture, width=0.5, classes=10, shape=SHAPE, mean=(0.5,), std=(0.5,), error=2.5, data="digits"
    )
    checkpoints.save(path, module, metadata)
    return path


def said(*questions):
    out = io.StringIO()
    Inspector(out).serve(json.dumps(q) if isinstance(q, dict) else q for q in questions)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_checkpoint_of_ours_says_its_cuts_shape_data_and_error_without_being_told_anything(tmp_path):
    answer = network_facts.cuts(NetworkQuestion("cifar10", str(own_checkpoint(tmp_path / "a.safetensors"))))
    assert answer["shape"] == [1, 8, 8]
    assert (answer["classes"], answer["data"], answer["test_error"]) == (10, "digits", 2.5)
    assert answer["architecture"] == "digits_cnn"
    depths = [cut["depth"] for cut in answer["cuts"]]
    assert depths == sorted(depths)
    assert 0 < sum(cut["block"] for cut in answer["cuts"]) < len(answer["cuts"])


def test_every_other_name_that_a_run_takes_for_a_cut_is_said_with_it():
    network = by_name.build("resnet20", 10, (3, 32, 32), 0.25).eval()
    rows, _ = network_facts.cut_rows(network, (3, 32, 32))
    traced = Traced(network, torch.rand(2, 3, 32, 32))
    for row in rows:
        assert {cut.name for name in row["aliases"] for cut in traced.select([name])} <= {row["name"]}
    said = {name for row in rows for name in (row["name"], *row["aliases"])}
    assert len(said) == sum(1 + len(row["aliases"]) for row in rows), "no name means two cuts"
    paths = {name for name, _ in network.named_modules()}
    assert {name for name in paths if is_cut(traced, name)} <= said
    assert any(row["aliases"] for row in rows)


def is_cut(traced, name):
    try:
        return bool(traced.select([name]))
    except ValueError:
        return False


def test_data_that_a_checkpoint_can_not_be_used_on_is_said(tmp_path):
    path = str(own_checkpoint(tmp_path / "a.safetensors"))
    assert "misfit" not in network_facts.cuts(NetworkQuestion("mnist", path))
    assert "3 channels and 10 classes" in network_facts.cuts(NetworkQuestion("cifar10", path))["misfit"]


def test_data_of_other_classes_than_a_checkpoint_of_ours_is_refused_before_an_image_is_read(tmp_path):
    path = str(own_checkpoint(tmp_path / "a.safetensors"))
    for name in "abc":
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"no image")
    labels = np.array(["x", "y", "z"])
    np.savez(tmp_path / "images.npz", x_train=np.zeros(1), y_train=labels, x_test=np.zeros(1), y_test=labels)
    for data in (f"folder:{tmp_path / 'images'}", f"npz:{tmp_path / 'images.npz'}"):
        answer = network_facts.cuts(NetworkQuestion(data, path))
        assert answer["misfit"].startswith("it was trained for 10 classes, the data has 3: choose data with 10, or")
        assert answer["field"] == "head", "which is where it can be mended"
        assert "misfit" not in network_facts.cuts(NetworkQuestion(data, path, head="train"))


def test_a_foreign_checkpoint_needs_an_architecture_and_is_inspected_with_one(tmp_path):
    path = tmp_path / "foreign.pt"
    torch.save(by_name.build("digits_cnn", 10, SHAPE).state_dict(), path)
    with pytest.raises(BadInput, match="architecture"):
        network_facts.cuts(NetworkQuestion("digits", str(path)))
    answer = network_facts.cuts(NetworkQuestion("digits", str(path), "digits_cnn"))
    assert answer["shape"] == [1, 8, 8]


def test_a_file_may_not_choose_which_code_runs(tmp_path):
    path = own_checkpoint(tmp_path / "a.safetensors", architecture="evil.py:Class")
    with pytest.raises(BadInput, match="class of your own"):
        network_facts.cuts(NetworkQuestion("digits", str(path)))


def test_published_weights_for_other_classes_than_the_datas_are_refused():
    with pytest.raises(BadInput, match="1000 classes, the data has 10"):
        network_facts.cuts(NetworkQuestion("cifar10", architecture="torchvision:resnet18", weights="DEFAULT"))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04torn"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    [answer] = said({"id": 7, "ask": "cuts", "source": {"checkpoint": str(path)}, "data": "digits"})
    assert answer["id"] == 7
    assert "bad.pt" in answer["error"]
    assert "\n" not in answer["error"]


def test_a_question_that_makes_no_sense_breaks_nothing():
    given = said("garbage", "[1]", {"ask": "names"}, {"id": 1, "ask": "what"}, {"id": 2, "ask": "cuts"})
    assert [answer["id"] for answer in given] == [1, 2]
    assert all("error" in answer for answer in given)


def test_answers_are_kept_until_the_file_changes(tmp_path, monkeypatch):
    path = own_checkpoint(tmp_path / "a.safetensors")
    asked = []
    monkeypatch.setattr(network_facts, "cuts", lambda source: asked.append(source) or {"cuts": []})
    inspector = Inspector(io.StringIO())
    question = {"id": 1, "ask": "cuts", "source": {"checkpoint": str(path)}, "data": "digits"}
    inspector.answer(question)
    inspector.answer(question)
    assert len(asked) == 1
    os.utime(path, ns=(1, 1))
    inspector.answer(question)
    assert len(asked) == 2


def test_data_that_is_not_in_the_cache_is_not_downloaded_for_an_estimate():
    assert network_facts.has_arrived("digits")
    assert not network_facts.has_arrived("cifar10")


def test_the_process_answers_and_ends_with_its_stdin(tmp_path):
    path = own_checkpoint(tmp_path / "a.safetensors")
    experiment = {
        "name": "x",
        "data": {"name": "digits", "train_size": 100, "test_size": 50},
        "networks": {"a": {"checkpoint": str(path)}},
        "pairs": [{"bottom": "a", "top": "a"}],
        "stitch": {"epochs": 1.0},
        "controls": [],
    }
    with subprocess.Popen(
        [sys.executable, "-m", "stitchtui.execute.inspector"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked = {"id": 1, "ask": "estimate", "experiment": experiment, "device": "cpu"}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert answer["rows"][-1]["cells"] > 0
        assert answer["rows"][-1]["bytes"] > 0
        process.stdin.close()
        assert process.wait(120) == 0


def test_an_error_says_which_key_to_change(tmp_path):
    own, foreign = own_checkpoint(tmp_path / "own.safetensors", "mine.py:Net"), tmp_path / "foreign.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), foreign)
    asked = [
        ({"checkpoint": str(tmp_path / "missing.pt")}, "digits", "checkpoint"),
        ({"checkpoint": str(foreign)}, "digits", "architecture"),
        ({"checkpoint": str(own)}, "digits", "architecture"),
        ({"architecture": "digits_cnn", "leaves": ["nowhere"]}, "digits", "leaves"),
        ({"architecture": "digits_cnn", "options": {"depth": 3}}, "digits", "options"),
        ({"architecture": "hub:owner/repo:entry"}, "digits", "trust_code"),
        ({"architecture": "digits_cnn"}, "digit", "data.name"),
    ]
    given = said(
        *({"id": i, "ask": "cuts", "source": source, "data": data} for i, (source, data, _) in enumerate(asked))
    )
    assert [answer.get("field") for answer in given] == [field for _, _, field in asked]
