"""Training follows its recipe, can be stopped anywhere without changing its result, and leaves global state alone."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import small_dataset
from told import Stopped, made
from torch import nn

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.work import finish
from stitchtui.networks import training
from stitchtui.networks.by_name import build
from stitchtui.networks.network import weight_digest
from stitchtui.networks.training import Job, learning_rate, train
from stitchtui.spec.experiment import Normalisation, TrainSpec

RECIPE = TrainSpec(epochs=3, batch_size=16, learning_rate=0.05, precision="float32")
DATA = small_dataset(train=50)  # not a multiple of the batch size
SCALE = Normalisation(mean=DATA.mean, std=DATA.std)


class WithDropout(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Flatten(), nn.Linear(144, 3))


def job(recipe: TrainSpec = RECIPE, seed: int = 0) -> Job:
    return Job(recipe, DATA.train, SCALE, "crop_flip", seed)


def trained(partial: Path, this: Job | None = None, stop: Callable[[], bool] = lambda: False) -> tuple[nn.Module, list]:
    said: list[dict] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = WithDropout()
        made(train(module, this or job(), partial), said.append, stop)
    return module, said


def after(calls: int) -> Callable[[], bool]:
    """True from the call with that number on, counted from 0."""
    counted = iter(range(10**6))
    return lambda: next(counted) >= calls


def test_training_twice_is_the_same_and_another_seed_is_another_network(tmp_path: Path) -> None:
    first, _ = trained(tmp_path / "a")
    assert weight_digest(first) == weight_digest(trained(tmp_path / "b")[0])
    assert weight_digest(first) != weight_digest(trained(tmp_path / "c", job(seed=1))[0])


@pytest.mark.parametrize("steps", [0, 1, 3, 5, 8])
def test_a_training_stopped_at_any_step_and_gone_on_with_equals_an_undisturbed_one(tmp_path: Path, steps: int) -> None:
    undisturbed, _ = trained(tmp_path / "a")
    with pytest.raises(Stopped):
        trained(tmp_path / "b", stop=after(steps))
    resumed, said = trained(tmp_path / "b")
    assert weight_digest(resumed) == weight_digest(undisturbed)
    assert said[0]["step"] > steps


def test_a_training_killed_between_saves_repeats_only_what_came_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, _ = trained(tmp_path / "a")
    monkeypatch.setattr(training, "EPOCH_SAVE_SECONDS", 0.0)

    step = training._step

    def killed(*arguments: Any) -> Any:
        if (tmp_path / "b").exists():
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b")
    monkeypatch.setattr(training, "_step", step)
    resumed, said = trained(tmp_path / "b")
    assert weight_digest(resumed) == weight_digest(undisturbed)
    assert len(said) == 2 * job().epoch_steps  # the first epoch was saved


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", b"\x80\x02."])
def test_a_damaged_saved_state_means_starting_over(tmp_path: Path, content: bytes) -> None:
    undisturbed, _ = trained(tmp_path / "a")
    (tmp_path / "b").write_bytes(content)
    assert weight_digest(trained(tmp_path / "b")[0]) == weight_digest(undisturbed)


def test_a_saved_state_that_fits_only_in_part_leaves_no_trace(tmp_path: Path) -> None:
    undisturbed, _ = trained(tmp_path / "a")
    with pytest.raises(Stopped):
        trained(tmp_path / "b", stop=after(4))
    state = torch.load(tmp_path / "b", weights_only=True)
    state["optimiser"] = {"state": {}, "param_groups": []}
    torch.save(state, tmp_path / "b")
    assert weight_digest(trained(tmp_path / "b")[0]) == weight_digest(undisturbed)


def test_what_is_told_of_training_ends_with_its_last_step(tmp_path: Path) -> None:
    module, said = trained(tmp_path / "a", job(RECIPE.model_copy(update={"epochs": 15})))
    last = said[-1]
    assert (last["step"], last["steps"]) == (45, 45)
    assert 0 <= last["accuracy"] <= 100
    assert last["loss"] > 0
    assert not any(p.isnan().any() for p in module.parameters())


def test_training_leaves_torchs_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    trained(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_not_finite_fails_with_what_to_do(tmp_path: Path) -> None:
    wild = TrainSpec(epochs=10, batch_size=16, learning_rate=1e30, warmup_epochs=0, precision="float32")
    with pytest.raises(RunFailed, match=r"training diverged: .* use a learning_rate below 1e\+30"):
        trained(tmp_path / "a", job(wild))


def test_a_module_without_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no parameters"):
        finish(train(nn.Flatten(), job(), tmp_path / "a"))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory")]
)
def test_running_out_of_memory_says_to_use_a_smaller_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_args: object) -> None:
        raise error

    monkeypatch.setattr(training, "_step", full)
    with pytest.raises(RunFailed, match="batch_size 16; use a smaller one"):
        trained(tmp_path / "a")


def test_a_batch_larger_than_the_data_is_all_of_it(tmp_path: Path) -> None:
    big = job(RECIPE.model_copy(update={"batch_size": 1000}))
    assert big.epoch_steps == 1
    _, said = trained(tmp_path / "a", big)
    assert said[-1]["step"] == 3


def test_bfloat16_label_smoothing_and_plain_momentum_train(tmp_path: Path) -> None:
    recipe = TrainSpec(epochs=1, batch_size=16, precision="bfloat16", label_smoothing=0.1, nesterov=True, momentum=0)
    module, _ = trained(tmp_path / "a", job(recipe))
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in module.parameters())


def test_outputs_of_auxiliary_classifiers_are_left_aside(tmp_path: Path) -> None:
    class Two(WithDropout):
        def forward(self, input: torch.Tensor) -> object:
            scores = super().forward(input)
            return (scores, scores) if self.training else scores

    with torch.random.fork_rng(devices=[]):
        finish(train(Two(), job(), tmp_path / "a"))


def test_warm_up_is_linear_and_cosine_ends_near_zero() -> None:
    recipe = TrainSpec(epochs=10, learning_rate=0.4, warmup_epochs=2)
    rates = [learning_rate(recipe, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.04 * (step + 1) for step in range(10)])
    assert max(rates) == pytest.approx(0.4)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.001


def test_step_decay_falls_at_each_milestone() -> None:
    recipe = TrainSpec(epochs=10, learning_rate=1.0, warmup_epochs=0, schedule="step", milestones=(0.5, 0.8), decay=0.2)
    rates = [round(learning_rate(recipe, step, 1), 6) for step in range(10)]
    assert rates == [1.0] * 5 + [0.2] * 3 + [0.04] * 2


def test_a_training_shorter_than_its_warm_up_keeps_rising() -> None:
    recipe = TrainSpec(epochs=1, learning_rate=1.0, warmup_epochs=5)
    assert [learning_rate(recipe, step, 4) for step in range(4)] == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_an_own_architecture_learns_an_easy_task(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build("digits_cnn", 3, DATA.shape, 0.5)
        recipe = RECIPE.model_copy(update={"epochs": 8})
        finish(train(module, Job(recipe, DATA.train, SCALE, "none", 0), tmp_path / "a"))
    from stitchtui.networks.network import error_percent

    assert error_percent(module, DATA.mean, DATA.std, DATA.test, 100) < 5
