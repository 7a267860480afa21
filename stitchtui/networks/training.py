"""Trains a base network: SGD with momentum, warm-up and decay, resumable at any step with the same result."""

import copy
import hashlib
import io
import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stitchtui.base.device import draw_on, drawn, is_out_of_memory, training_dtype
from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.data import batches
from stitchtui.data.dataset import Part
from stitchtui.networks.checkpoints import keep
from stitchtui.networks.frozen import frozen
from stitchtui.networks.network import normalise
from stitchtui.networks.objectives import Batch, TrainingObjective, supervised
from stitchtui.spec.datasets import Augmentation
from stitchtui.spec.experiment import Normalisation, TrainSpec

T = TypeVar("T")
REPORT_SECONDS = 0.25
EPOCH_SAVE_SECONDS = 10.0
STEP_SAVE_SECONDS = 60.0  # within an epoch, which a large network can take many minutes for
_STATE = ".state"


@dataclass(frozen=True)
class Reached:
    """How far a training is: its mean loss, and the accuracy in percent, since it was last said."""

    step: int
    steps: int
    loss: float
    accuracy: float
    epoch: int = 0  # the pass over its images that it is in, from 1; 0 where it isn't told
    epochs: int = 0


Training = Generator[Reached, None, T]
"""Says how far it is at most four times a second. Closed before its end, it keeps what it had reached."""


@dataclass(frozen=True)
class Job:
    """What a training needs besides the network itself.

    With `last_epoch` it ends there, where a training of all the recipe's epochs would be by then. `states` is a
    folder for the states in which such shorter trainings end; a longer one of the same identity goes on from them.
    """

    recipe: TrainSpec
    part: Part  # on the device
    scale: Normalisation
    augment: Augmentation
    seed: int
    objective: TrainingObjective = supervised
    frozen: tuple[str, ...] = ()  # layers that stay as they are
    last_epoch: int | None = None
    states: Path | None = None
    keep_end: bool = False  # leave the state reached in `partial`, for what is trained next
    memory_format: torch.memory_format = torch.contiguous_format  # of the images; `train` chooses it

    @property
    def epoch_steps(self) -> int:
        """Whole batches in an epoch; what is left over changes with every epoch's order."""
        return max(1, len(self.part) // self.recipe.batch_size)

    @property
    def steps(self) -> int:
        """Steps in the whole training, up to `last_epoch` if there is one."""
        return self.epochs * self.epoch_steps

    @property
    def epochs(self) -> int:
        """Epochs in the whole training, up to `last_epoch` if there is one."""
        return min(self.recipe.epochs, self.last_epoch or self.recipe.epochs)


@dataclass
class _Window:
    """Loss and hits since the last report, kept on the device so that a step waits for nothing."""

    loss: Tensor
    hits: Tensor
    images: int = 0
    steps: int = 0
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def on(cls, device: torch.device) -> "_Window":
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        self.loss += loss.detach()
        self.hits += (scores.detach().argmax(1) == labels).sum()
        self.images += len(labels)
        self.steps += 1

    @property
    def due(self) -> bool:
        return time.monotonic() - self.since >= REPORT_SECONDS


def train(module: nn.Module, job: Job, partial: Path | None) -> Training[None]:
    """Train `module` in place; `partial` holds the state reached, so that a killed training goes on from it.

    Without it nothing is kept.

    Draws from torch's global generators (dropout does): go through it in `seeded`.
    Raises RunFailed if the loss is no longer finite or memory runs out.
    Raises BadInput for a module without parameters.
    """
    if next(module.parameters(), None) is None:
        raise BadInput("has no parameters to train")
    try:
        job = replace(job, memory_format=_memory_format(module, job))
        module.to(memory_format=job.memory_format)
        yield from _train(module, job, partial)
        module.to(memory_format=torch.contiguous_format)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        batch = job.recipe.batch_size
        raise RunFailed(f"out of memory in training with batch_size {batch}; use a smaller one") from None


def learning_rate(recipe: TrainSpec, step: int, epoch_steps: int) -> float:
    """The learning rate of step `step` (from 0): linear warm-up, then cosine to zero or decay at the milestones."""
    steps, warmup = recipe.epochs * epoch_steps, recipe.warmup_epochs * epoch_steps
    if step < warmup:
        return recipe.learning_rate * min(1.0, (step + 1) / warmup)
    if recipe.schedule == "cosine":
        progress = (step - warmup) / max(1.0, steps - warmup)
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    passed = sum(step >= milestone * steps for milestone in recipe.milestones)
    return recipe.learning_rate * recipe.decay**passed


def _train(module: nn.Module, job: Job, partial: Path | None) -> Training[None]:
    module.train()
    with frozen(module, job.frozen):
        optimiser = yield from _go_through(module, job, partial)
    if job.keep_end:
        _save(partial, module, optimiser, job.steps, job.part.images.device)
    if job.states is not None and job.last_epoch is not None:
        _save(job.states / f"{job.steps}{_STATE}", module, optimiser, job.steps, job.part.images.device)


def _go_through(module: nn.Module, job: Job, partial: Path | None) -> Training[torch.optim.SGD]:
    device = job.part.images.device
    optimiser = torch.optim.SGD(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=job.recipe.learning_rate,
        momentum=job.recipe.momentum,
        nesterov=job.recipe.nesterov and job.recipe.momentum > 0,
        weight_decay=job.recipe.weight_decay,
    )
    first = _furthest(partial, job, module, optimiser)
    order = _order(job, first // job.epoch_steps)
    window, saved = _Window.on(device), time.monotonic()
    for step in range(first, job.steps):
        epoch, index = divmod(step, job.epoch_steps)
        order = _order(job, epoch) if index == 0 else order
        window.add(*_step(module, optimiser, job, step, order))
        if window.due or step + 1 == job.steps:
            reached = _report(window, job, step + 1)
            try:
                yield reached
            except GeneratorExit:
                _save(partial, module, optimiser, step + 1, device)
                raise
            window = _Window.on(device)
        waited = time.monotonic() - saved
        if waited > (EPOCH_SAVE_SECONDS if index + 1 == job.epoch_steps else STEP_SAVE_SECONDS):
            _save(partial, module, optimiser, step + 1, device)
            saved = time.monotonic()
    return optimiser


def _step(
    module: nn.Module, optimiser: torch.optim.SGD, job: Job, step: int, order: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    size, device = job.recipe.batch_size, job.part.images.device
    index = step % job.epoch_steps
    chosen = order[index * size : (index + 1) * size]
    draws = _generator(job.seed, "augment", step)
    images, labels = job.part.images[chosen], job.part.labels[chosen]
    batch = Batch(images, labels, job.scale, job.augment, draws, job.memory_format)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(job.recipe, step, job.epoch_steps)
    dtype = training_dtype(job.recipe.precision, device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        scores, targets = job.objective(module, batch)
    loss = F.cross_entropy(scores.float(), targets, label_smoothing=job.recipe.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss, scores, targets


def _memory_format(module: nn.Module, job: Job) -> torch.memory_format:
    """How images lie in memory: channels last, where convolutions run about a fifth faster, if the network takes it."""
    images = job.part.images[:2]
    if images.device.type == "mps":
        return torch.contiguous_format
    inputs = normalise(images, job.scale.mean, job.scale.std).contiguous(memory_format=torch.channels_last)
    trial = copy.deepcopy(module).to(memory_format=torch.channels_last).eval()
    try:
        with torch.no_grad():
            trial(inputs)
    except RuntimeError:  # a view() of a user's own that counts on the usual order
        return torch.contiguous_format
    return torch.channels_last


def _order(job: Job, epoch: int) -> Tensor:
    return batches.order(len(job.part), _generator(job.seed, "order", epoch)).to(job.part.images.device)


def _generator(seed: int, purpose: str, index: int) -> torch.Generator:
    # One generator per purpose and index: where a training goes on, nothing has to be replayed.
    digest = hashlib.blake2b(f"{seed}:{purpose}:{index}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def _report(window: _Window, job: Job, step: int) -> Reached:
    loss = window.loss.item() / window.steps
    if not math.isfinite(loss):
        rate = job.recipe.learning_rate
        raise RunFailed(
            f"training diverged: the loss is {loss} at step {step} of {job.steps};"
            f" use a learning_rate below {rate:g} or more warmup_epochs"
        )
    accuracy = 100.0 * window.hits.item() / window.images
    return Reached(step, job.steps, loss, accuracy, -(-step // job.epoch_steps), job.epochs)


def _save(partial: Path | None, module: nn.Module, optimiser: torch.optim.SGD, step: int, device: torch.device) -> None:
    if partial is None:
        return
    state = {
        "step": step,
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "device": device.type,
        **drawn(device),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    keep(partial, buffer.getvalue())


def _furthest(partial: Path | None, job: Job, module: nn.Module, optimiser: torch.optim.SGD) -> int:
    """The step to go on with, from the furthest state that is kept and not beyond this training's end."""
    device = job.part.images.device
    reached = 0 if partial is None else _restore(partial, module, optimiser, device, job.steps)
    for step, path in sorted(_kept_states(job), reverse=True):
        if reached < step <= job.steps and _restore(path, module, optimiser, device, job.steps) == step:
            return step
    return reached


def _kept_states(job: Job) -> list[tuple[int, Path]]:
    if job.states is None or not job.states.is_dir():
        return []
    return [(int(path.stem), path) for path in job.states.glob(f"*{_STATE}") if path.stem.isdigit()]


def _restore(partial: Path, module: nn.Module, optimiser: torch.optim.SGD, device: torch.device, end: int) -> int:
    """The step to go on with: 0 if nothing was saved, or if what was saved can't be used."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        state = torch.load(partial, map_location="cpu", weights_only=True)
        if state["device"] != device.type:  # its numbers would mix two devices' arithmetic under one identity
            return 0
        if state["step"] > end:
            return 0
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        draw_on(state, device)
        return int(state["step"])
    except Exception:  # not there yet, or damaged, which makes torch raise whatever its bytes lead to
        module.load_state_dict(before)
        return 0
