"""Two networks on the command line: names with weights of their own, and keys that both have."""

from pathlib import Path

import pytest

from stitchtui.base.errors import BadInput
from stitchtui.spec import checks
from stitchtui.spec.presets import from_pair, pair_names


@pytest.mark.parametrize(
    ("source", "architecture", "weights", "name"),
    [
        ("timm:vit_tiny.dino", "timm:vit_tiny.dino", "pretrained", "vit_tiny.dino"),
        ("timm:resnet18@a1_in1k", "timm:resnet18", "a1_in1k", "resnet18-a1_in1k"),
        ("torchvision:resnet18", "torchvision:resnet18", "DEFAULT", "resnet18"),
        ("hf:someone/small@v2", "hf:someone/small@v2", None, "someone_small-v2"),
        ("hub:someone/small:main:entry", "hub:someone/small:main:entry", None, "someone_small:main:entry"),
    ],
)
def test_a_name_says_architecture_and_weights(source: str, architecture: str, weights: str | None, name: str) -> None:
    experiment = from_pair(source, "b.pt")
    spec = experiment.networks[name]
    assert (spec.architecture, spec.weights, spec.checkpoint) == (architecture, weights, None)


def test_leaves_head_and_trust_hold_for_both_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shared = {"leaves": ["Block"], "head": "head.pt", "trust_code": True}
    for spec in from_pair("a.pt", "b.pt", **shared).networks.values():
        assert (spec.leaves, spec.head, spec.trust_code) == (("Block",), str(tmp_path / "head.pt"), True)
    assert {spec.head for spec in from_pair("a.pt", "b.pt", head="train").networks.values()} == {"train"}
    assert not any(spec.trust_code or spec.leaves or spec.head for spec in from_pair("a.pt", "b.pt").networks.values())


def test_a_part_holds_for_checkpoints_and_not_for_what_is_published() -> None:
    networks = from_pair("a.pt", "timm:resnet18", part="teacher").networks
    assert {name: spec.part for name, spec in networks.items()} == {"a": "teacher", "resnet18": None}
    with pytest.raises(BadInput, match="--part: is for a checkpoint"):
        from_pair("timm:resnet18", "timm:resnet34", part="teacher")
    with pytest.raises(BadInput, match=r"--set networks\.resnet18\.part: expected a `checkpoint`"):
        from_pair("a.pt", "timm:resnet18", overrides=["networks.resnet18.part=teacher"])


def test_a_head_that_is_not_there_is_found_before_a_run_starts(tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    experiment = from_pair(str(tmp_path / "a.pt"), str(tmp_path / "a.pt"), head=str(tmp_path / "none.pt"))
    with pytest.raises(BadInput, match=r"networks\.a\.head: .*no such file; expected train, or the file of a linear"):
        checks.check_files(experiment)


def test_an_architecture_beside_a_name_is_refused() -> None:
    with pytest.raises(BadInput, match="'timm:resnet18' names its own; leave the flag out"):
        from_pair("timm:resnet18", "b.pt", architectures=["resnet20"])


def test_two_names_that_differ_in_their_weights_are_two_networks() -> None:
    assert pair_names("timm:resnet18@a1_in1k", "timm:resnet18@a2_in1k") == ("resnet18-a1_in1k", "resnet18-a2_in1k")
