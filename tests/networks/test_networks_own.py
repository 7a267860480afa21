"""Networks trained here by every recipe: other labels, other tasks, other beginnings and ends; kept and found again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import small_dataset
from told import Stopped, made

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset, Part
from stitchtui.networks import checkpoints, making
from stitchtui.networks.network import Network, error_percent
from stitchtui.networks.obtain import at_hand, cache_path, obtain
from stitchtui.spec.experiment import NetworkSpec
from stitchtui.spec.training_order import training_order

CPU = torch.device("cpu")
DATA = small_dataset()
TRAIN = {"epochs": 2, "batch_size": 16, "precision": "float32"}
PROBE = {"epochs": 2, "batch_size": 16, "learning_rate": 0.1, "weight_decay": 0.0, "precision": "float32"}
PLAIN = {"architecture": "digits_cnn", "width": 0.25, "train": TRAIN}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


def spec(**said: Any) -> NetworkSpec:
    return NetworkSpec.model_validate(PLAIN | said)


def until(epoch: int | None, epochs: int = 3) -> NetworkSpec:
    return spec(train={**TRAIN, "epochs": epochs, "stop_epoch": epoch})


def get(name: str = "a", dataset: Dataset = DATA, others: dict[str, NetworkSpec] | None = None, **said: Any) -> Network:
    steps, stop = said.pop("steps", []), said.pop("stop", lambda: False)
    networks = {name: said.pop("spec", None) or spec(**said), **(others or {})}
    return made(obtain(name, networks[name], dataset, CPU, networks), steps.append, stop)


def refusal(**said: Any) -> str:
    with pytest.raises(BadInput) as caught:
        get(**said)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# where a network is kept


def counted() -> Dataset:
    images = (torch.arange(4 * 64) % 251).to(torch.uint8).view(4, 1, 8, 8)
    part = Part(images, torch.tensor([0, 1, 2, 0]))
    return Dataset("counted", part, part, ("a", "b", "c"), (0.5,), (0.25,), "none", "counted")


@pytest.mark.parametrize(
    ("said", "identity"),
    [
        ({}, "65d1cf8ccc23edb80c81722109fc2710b8520071a6d9344661f2e7bf1af393c6"),
        (
            {"subset": {"train_range": (1, 4), "train_size": 2, "subset_seed": 5}},
            "aebbe10310ee77a58f47fcdb3531b28df642633fe5569f7b869f6afdd351f927",
        ),
        (
            {"architecture": "vit", "width": 1.0, "options": {"depth": 1}},
            "83147d35220db2bc7be0f8fd9a4c59505a74360d62ac8608ee2aefa7471753dd",
        ),
    ],
)
def test_a_plain_network_is_found_where_the_first_version_kept_it(said: dict, identity: str) -> None:
    train = {"epochs": 2, "batch_size": 2, "schedule": "step"}
    plain = NetworkSpec.model_validate({"architecture": "digits_cnn", "width": 0.5, "seed": 3, "train": train} | said)
    assert cache_path(plain, counted()).stem == identity


def test_every_recipe_has_a_place_of_its_own() -> None:
    start = get()
    specs = [
        spec(),
        spec(labels={"noise": 0.5}),
        spec(labels={"noise": 0.5, "seed": 1}),
        spec(labels={"noise": 0.5, "kind": "uniform"}),
        spec(task="rotation", probe=PROBE),
        spec(task="simclr", probe=PROBE),
        spec(task="simclr", probe={**PROBE, "epochs": 1}),
        spec(task="simclr", probe=PROBE, temperature=0.2),
        until(1, 2),
        until(2, 2),
    ]
    begun = [spec(start_from="a"), spec(start_from="a", frozen=("stem",)), spec(start_from="a", frozen=("block1",))]
    paths = [cache_path(one, DATA) for one in specs] + [cache_path(one, DATA, start) for one in begun]
    assert len(set(paths)) == len(paths)


def test_what_plays_no_part_in_a_training_doesnt_move_its_network() -> None:
    assert cache_path(spec(probe=PROBE, temperature=0.1), DATA) == cache_path(spec(), DATA)
    layers = [spec(start_from="a", frozen=names) for names in (("stem", "block1"), ("block1", "stem"))]
    assert len({cache_path(one, DATA, get()) for one in layers}) == 1


# labels


def test_noise_is_of_the_training_labels_alone() -> None:
    network = get(labels={"noise": 1.0})
    assert network.digest != get().digest
    assert network.error == error_percent(network.module, network.mean, network.std, DATA.test, 7)
    assert network.classes == 3


def test_merged_classes_are_the_networks_own_and_its_error_is_about_them() -> None:
    digits = small_dataset(classes=4)
    digits = Dataset(**{**vars(digits), "classes": ("0", "1", "2", "3")})
    network = get(dataset=digits, labels={"groups": "even_odd"})
    assert network.classes == 2
    parity = Part(digits.test.images, digits.test.labels % 2)
    assert network.error == error_percent(network.module, network.mean, network.std, parity, 7)
    assert get(dataset=digits, labels={"groups": "even_odd"}).source == "cached"
    metadata = checkpoints.read(cache_path(spec(labels={"groups": "even_odd"}), digits)).metadata
    assert metadata is not None
    assert (metadata.classes, metadata.class_names, metadata.error) == (2, ("even", "odd"), network.error)
    assert metadata.recipe["labels"] == {"groups": "even_odd"}


def test_the_share_of_noise_is_exact_within_the_networks_own_images() -> None:
    data = making.own_data(spec(subset={"train_range": (0, 20)}, labels={"noise": 0.5}), DATA)
    assert int((data.train.labels != DATA.train.labels[:20]).sum()) == 10


def test_classes_without_a_group_are_refused() -> None:
    assert refusal(labels={"groups": "even_odd"}).startswith("network a: labels.groups: even_odd has no place for")


# other tasks


@pytest.mark.parametrize("task", ["simclr", "rotation"])
def test_a_network_that_learned_without_labels_is_kept_and_found_with_its_head(cache: Path, task: str) -> None:
    steps: list[dict] = []
    first = get(task=task, probe=PROBE, steps=steps)
    again = get(task=task, probe=PROBE)
    assert (first.source, again.source, first.digest) == ("trained", "cached", again.digest)
    assert steps[-1]["step"] == steps[-1]["steps"] == 2 * 3 + 2 * 3
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]
    assert first.classes == 3


def test_a_stopped_training_without_labels_goes_on_to_the_same_network() -> None:
    undisturbed = get(task="simclr", probe=PROBE).digest
    cache_path(spec(task="simclr", probe=PROBE), DATA).unlink()
    calls = iter(range(100))
    with pytest.raises(Stopped):
        get(task="simclr", probe=PROBE, stop=lambda: next(calls) >= 7)  # within the head's training
    assert get(task="simclr", probe=PROBE).digest == undisturbed


# stopped at an epoch


def test_epochs_of_one_training_share_what_was_reached() -> None:
    steps: list[dict] = []
    alone = get(spec=until(None)).digest
    cache_path(until(None), DATA).unlink()
    shorter = get(spec=until(1), steps=steps)
    assert steps[-1]["step"] == 3
    steps.clear()
    longer = get(spec=until(None), steps=steps)
    assert (longer.digest, steps[0]["step"] > 3) == (alone, True)
    assert get(spec=until(1)).digest == shorter.digest != alone


# begun with another network


def test_a_network_begins_with_anothers_weights_and_keeps_its_frozen_layers() -> None:
    others = {"first": spec(seed=1)}
    network = get(others=others, start_from="first", frozen=("stem", "block1"))
    first = get("first", spec=others["first"])
    assert first.source == "cached"  # it was trained on the way
    own, given = network.module.state_dict(), first.module.state_dict()
    same = {name.split(".")[0] for name in own if torch.equal(own[name], given[name])}
    assert {"stem", "block1"} <= same
    assert not torch.equal(own["linear.weight"], given["linear.weight"])
    assert get(others=others, start_from="first", frozen=("stem", "block1")).source == "cached"


def test_another_beginning_is_another_network() -> None:
    one, other = (get(others={"first": spec(seed=seed)}, start_from="first") for seed in (1, 2))
    assert other.source == "trained"
    assert one.digest != other.digest


def test_a_beginning_that_doesnt_fit_or_isnt_there_is_one_line() -> None:
    assert "start_from: 'first' is built otherwise" in refusal(others={"first": spec(width=0.5)}, start_from="first")
    assert "start_from: 'frist' is not known; nearest: 'first'" in refusal(others={"first": spec()}, start_from="frist")
    assert "frozen layer 'stme' is not known" in refusal(others={"b": spec()}, start_from="b", frozen=("stme",))


def test_a_network_in_front_of_which_another_fails_names_the_one_that_fails() -> None:
    assert refusal(others={"b": spec(labels={"groups": "even_odd"})}, start_from="b").startswith("network b: labels")


# never trained


def test_an_untrained_network_follows_from_its_seed_and_is_kept_nowhere(cache: Path) -> None:
    one, again, other = get(untrained=True), get(untrained=True), get(untrained=True, seed=1)
    assert (one.source, one.digest) == ("random", again.digest)
    assert one.digest != other.digest
    assert not cache.exists()
    assert one.error == error_percent(one.module, one.mean, one.std, DATA.test, 7)


def test_an_untrained_networks_batchnorms_know_their_activations() -> None:
    network = get(untrained=True, architecture="resnet20", width=0.25)
    norms = [layer for layer in network.module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert all(not torch.equal(layer.running_var, torch.ones_like(layer.running_var)) for layer in norms)
    assert not any(layer.training for layer in norms)


# keys that contradict each other


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"untrained": True, "task": "simclr"}, "untrained: leaves the network as its seed made it"),
        ({"weights": "DEFAULT", "task": "simclr"}, "task: is for a network that is trained here"),
        ({"checkpoint": "a.pt", "start_from": "b"}, "start_from: is for a network that is trained here"),
        ({"checkpoint": "a.pt", "untrained": True}, "untrained: is for a network that is trained here"),
        ({"head": "train"}, "head: is for a checkpoint or published weights"),
    ],
)
def test_keys_that_contradict_each_other_are_one_line_before_anything_is_trained(said: dict, expected: str) -> None:
    assert refusal(others={"b": spec()}, **said).startswith(f"network a: {expected}")
    assert not cache_path(spec(), DATA).exists()


# which first


def test_networks_are_trained_after_what_their_training_goes_on_from() -> None:
    networks = {
        "last": until(None),
        "mid": until(2),
        "first": until(1),
        "more": spec(start_from="base"),
        "base": spec(),
    }
    assert training_order(["last", "mid", "first"], networks) == ["first", "mid", "last"]
    assert training_order(["more", "last"], networks) == ["base", "more", "last"]
    assert training_order(["base", "last"], networks) == ["base", "last"]


def test_a_network_is_at_hand_once_it_and_what_it_begins_with_are_kept() -> None:
    networks = {"a": spec(start_from="b"), "b": spec(), "c": spec(untrained=True)}

    def known(name: str) -> bool:
        return at_hand(name, networks, DATA, CPU)

    assert (known("a"), known("b"), known("c")) == (False, False, True)
    get("b", spec=networks["b"])
    assert (known("a"), known("b")) == (False, True)
    get(others=networks, spec=networks["a"])
    assert known("a")
