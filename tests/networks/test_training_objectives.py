"""What networks are trained on: labels, quarter turns, and views that belong together."""

import contextlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_data import small_dataset
from told import Stopped, made
from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.data.dataset import Part
from stitchtui.data.named import load_digits
from stitchtui.networks import heads, simclr
from stitchtui.networks.by_name import build
from stitchtui.networks.frozen import all_but, frozen, start_from
from stitchtui.networks.network import error_percent, weight_digest
from stitchtui.networks.objectives import Batch, rotation, turned
from stitchtui.networks.self_supervised import train_self_supervised
from stitchtui.networks.training import Job, train
from stitchtui.spec.experiment import Normalisation, TrainSpec

DATA = small_dataset(train=64)
SCALE = Normalisation(mean=DATA.mean, std=DATA.std)
RECIPE = TrainSpec(epochs=3, batch_size=16, learning_rate=0.05, precision="float32")
HEAD = TrainSpec(epochs=2, batch_size=16, learning_rate=0.1, weight_decay=0, precision="float32")


def batch(images: torch.Tensor, seed: int = 0, augment: str = "none") -> Batch:
    scale = Normalisation(mean=(0.3,) * images.shape[1], std=(0.25,) * images.shape[1])
    draws = torch.Generator().manual_seed(seed)
    return Batch(images, torch.zeros(len(images), dtype=torch.int64), scale, augment, draws)  # type: ignore[arg-type]


def network(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build("digits_cnn", classes, DATA.shape, 0.5)


def job(**changes: object) -> Job:
    return replace(Job(RECIPE, DATA.train, SCALE, "none", 0), **changes)


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def own_generator():
    with torch.random.fork_rng(devices=[]):
        yield


# SimCLR


@given(st.integers(1, 5), st.integers(1, 4), st.floats(0.1, 2), st.integers(0, 1000))
def test_the_loss_is_nt_xent_as_it_is_written_down(images, width, temperature, seed):
    z = torch.randn(2 * images, width, generator=torch.Generator().manual_seed(seed))
    total = 0.0
    for i in range(2 * images):
        partner = i + images if i < images else i - images
        alike = [math.exp(float(nn.functional.cosine_similarity(z[i], z[k], 0)) / temperature) for k in range(len(z))]
        total -= math.log(alike[partner] / (sum(alike) - alike[i]))
    scores, targets = simclr.similarities(z, temperature)
    assert scores.shape == (2 * images, 2 * images - 1)
    assert float(nn.functional.cross_entropy(scores, targets)) == pytest.approx(total / len(z), rel=1e-4, abs=1e-5)


def test_a_view_keeps_shape_and_order_and_follows_from_its_generator():
    images = torch.arange(40, dtype=torch.uint8).mul(6).view(40, 1, 1, 1).expand(40, 3, 8, 8).contiguous()
    first, again, other = (simclr.view(batch(images, seed, "crop_flip")) for seed in (0, 0, 1))
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # each image is of one grey, so whatever is cut out of it, it stays near its own place among the others
    brightness = first.float().mean((1, 2, 3))
    assert torch.corrcoef(torch.stack([brightness, images[:, 0, 0, 0].float()]))[0, 1] > 0.7


def test_views_leave_torchs_global_generator_and_the_images_alone():
    images = torch.randint(0, 255, (20, 1, 8, 8), dtype=torch.uint8)
    kept, before = images.clone(), torch.get_rng_state()
    simclr.view(batch(images))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images, kept)


def test_images_are_mirrored_only_where_the_data_says_so():
    ramp = torch.arange(16, dtype=torch.uint8).mul(16).expand(64, 1, 16, 16).contiguous()  # brighter to the right

    def falls(augment: str) -> int:
        views = simclr.view(batch(ramp, augment=augment)).float()
        return int((views[..., 0] - views[..., -1]).mean((1, 2)).gt(0).sum())

    assert falls("crop") == 0
    assert falls("crop_flip") > 5


def test_contrast_is_learned_on_digits_within_a_few_steps(tmp_path: Path):
    raw = load_digits()
    digits = Part(raw.train.images[:512], raw.train.labels[:512])
    torch.manual_seed(0)
    module = build("digits_cnn", 10, (1, 8, 8), 0.5)
    heads.put(module, "linear", simclr.projection_head(heads.linear(module, "linear").in_features, 32))
    recipe = RECIPE.model_copy(update={"epochs": 6, "batch_size": 64, "learning_rate": 0.1, "warmup_epochs": 0.0})
    objective, said = simclr.objective(0.5), []

    def loss_now() -> float:
        with torch.no_grad():
            scores, targets = objective(module.eval(), batch(digits.images[:128], seed=5))
        return float(nn.functional.cross_entropy(scores, targets))

    before = loss_now()
    this = Job(recipe, digits, Normalisation(mean=(0.3,), std=(0.25,)), "none", 0, objective=objective)
    made(train(module, this, tmp_path / "a"), said.append)
    assert loss_now() < before - 0.15
    assert said[-1]["accuracy"] > 2  # of finding the partner among 127 views; chance is 0.8


# rotation


def test_each_image_is_turned_by_its_own_number_of_quarter_turns():
    images = torch.arange(4 * 9, dtype=torch.uint8).view(4, 1, 3, 3)
    result = turned(images, torch.tensor([0, 1, 2, 3]))
    for index in range(4):
        assert torch.equal(result[index], images[index].rot90(index, (1, 2)))


def test_the_turns_are_the_targets_and_all_four_occur():
    seen: list[torch.Tensor] = []

    class Sees(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.flatten(1)[:, :4]

    images = torch.randint(0, 255, (64, 1, 4, 4), dtype=torch.uint8)
    scores, turns = rotation(Sees(), batch(images))
    assert scores.shape == (64, 4)
    assert set(turns.tolist()) == {0, 1, 2, 3}
    expected = batch(images).scores(nn.Flatten(), turned(images, turns))
    assert torch.equal(seen[0].flatten(1), expected)


def test_images_that_are_not_square_can_not_be_turned(tmp_path: Path):
    part = Part(torch.zeros(4, 1, 8, 6, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(BadInput, match="square"):
        finish(train_self_supervised(network(), job(part=part), tmp_path / "a", task="rotation", head=HEAD))


# a task without labels, then a linear head


@pytest.mark.parametrize("task", ["simclr", "rotation"])
def test_a_network_trained_without_labels_classifies_once_it_has_a_head(tmp_path: Path, task):
    module, said, digits = network(10), [], load_digits()
    part = Part(digits.train.images[:256], digits.train.labels[:256])
    partial = tmp_path / "a.partial"
    head = HEAD.model_copy(update={"epochs": 8})
    made(train_self_supervised(module, job(part=part), partial, task=task, head=head), said.append)
    assert isinstance(module.get_submodule("linear"), nn.Linear)
    assert error_percent(module, DATA.mean, DATA.std, digits.test, 100) < 75  # chance is 90
    assert said[-1]["step"] == said[-1]["steps"] == (3 + 8) * 16
    assert [facts["step"] for facts in said] == sorted(facts["step"] for facts in said)


@pytest.mark.parametrize("steps", [2, 11, 12, 14])
def test_a_training_stopped_in_either_part_and_gone_on_with_equals_an_undisturbed_one(tmp_path: Path, steps):
    def trained(name: str, stop) -> nn.Module:
        module = network()
        made(train_self_supervised(module, job(), tmp_path / name, task="simclr", head=HEAD), stop=stop)
        return module

    counted = iter(range(100))
    whole = trained("a.partial", never)
    with pytest.raises(Stopped):
        trained("b.partial", lambda: next(counted) >= steps)
    assert weight_digest(trained("b.partial", never)) == weight_digest(whole)
    assert not (tmp_path / "b.head.partial").exists()


def test_the_head_learns_on_features_that_stay_as_they_are(tmp_path: Path):
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    this = job(frozen=all_but(module, "linear"))
    finish(train(module, this, tmp_path / "a"))
    changed = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"linear.weight", "linear.bias"}
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_a_network_without_a_linear_layer_has_no_place_for_a_head():
    with pytest.raises(BadInput, match="no linear layer"):
        heads.last_linear(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten()))


def test_everything_but_a_nested_layer_is_named_without_touching_its_parents():
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)))
    assert all_but(module, "1.1") == ("0", "1.0")
    assert heads.last_linear(module) == "1.1"


# freeze training


def test_frozen_layers_keep_parameters_and_buffers_while_the_rest_is_trained(tmp_path: Path):
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    finish(train(module, job(frozen=("stem", "block3")), tmp_path / "a"))
    changed = {
        name.split(".")[0] for name, value in module.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"block1", "block2", "block4", "linear"}


def test_a_frozen_training_stopped_and_gone_on_with_equals_an_undisturbed_one(tmp_path: Path):
    def trained(name: str, stop) -> str:
        module = network()
        made(train(module, job(frozen=("stem",)), tmp_path / name), stop=stop)
        return weight_digest(module)

    counted = iter(range(100))
    with pytest.raises(Stopped):
        trained("b", lambda: next(counted) >= 5)
    assert trained("b", never) == trained("a", never)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("stem", "block9"), "frozen layer 'block9' is not known; nearest: 'block"),
        (("stem", "block1", "block2", "block3", "block4", "linear"), "nothing would be left to train"),
    ],
)
def test_layers_that_can_not_be_frozen_are_refused(names, expected):
    with pytest.raises(BadInput, match=expected), frozen(network(), names):
        pass


def test_weights_of_another_network_are_taken_over_and_only_where_they_fit():
    source, target = build("digits_cnn", 3, DATA.shape, 0.5), network()
    start_from(target, source, "small")
    assert weight_digest(target) == weight_digest(source)
    with pytest.raises(BadInput, match="start_from: 'small' is built otherwise"):
        start_from(target, build("digits_cnn", 3, DATA.shape, 1.0), "small")


# a run of training that is stopped at one of its epochs


def ended(tmp_path: Path, name: str, last_epoch: int | None, states: str) -> tuple[str, list[dict]]:
    module, said = network(), []
    made(train(module, job(last_epoch=last_epoch, states=tmp_path / states), tmp_path / name), said.append)
    return weight_digest(module), said


def test_a_training_to_an_earlier_epoch_follows_the_schedule_of_the_whole(tmp_path: Path):
    weights: list[str] = []
    for step in (4, 8, 12):
        module = network()
        counted = iter(range(100))
        with contextlib.suppress(Stopped):  # the whole training isn't
            made(train(module, job(), tmp_path / f"{step}"), stop=lambda: next(counted) >= step)  # noqa: B023
        weights.append(weight_digest(module))
    shorter = [ended(tmp_path, f"s{epoch}", epoch, f"own{epoch}")[0] for epoch in (1, 2, 3)]
    assert shorter == weights


def test_a_longer_training_goes_on_from_where_a_shorter_one_ended(tmp_path: Path):
    alone, _ = ended(tmp_path, "alone", None, "none")
    _, first = ended(tmp_path, "a", 1, "shared")
    second, then = ended(tmp_path, "b", 2, "shared")
    whole, last = ended(tmp_path, "c", None, "shared")
    assert (first[-1]["step"], then[0]["step"] > 4, last[0]["step"] > 8) == (4, True, True)
    assert whole == alone
    assert second != whole


def test_a_shorter_training_never_starts_beyond_its_end(tmp_path: Path):
    alone, _ = ended(tmp_path, "alone", 1, "none")
    ended(tmp_path, "a", 2, "shared")
    assert ended(tmp_path, "b", 1, "shared")[0] == alone


def test_a_damaged_state_of_a_shorter_training_is_passed_over(tmp_path: Path):
    alone, _ = ended(tmp_path, "alone", None, "none")
    ended(tmp_path, "a", 1, "shared")
    (tmp_path / "shared" / "8.state").write_bytes(b"garbage")
    (tmp_path / "shared" / "notes.state").write_bytes(b"garbage")
    assert ended(tmp_path, "c", None, "shared")[0] == alone
