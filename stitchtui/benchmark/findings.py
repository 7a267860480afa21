"""Everything that a benchmark finds, in the order in which it is measured."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from stitchtui import device as devices
from stitchtui.benchmark.answer import Answer, answer
from stitchtui.benchmark.first import FirstNumbers, Kept, first_numbers, kept_features
from stitchtui.benchmark.growth import Memory, Size, growth, memory
from stitchtui.benchmark.pair import Pair, load_pair
from stitchtui.benchmark.speed import Agreement, Speed, agreement, speed
from stitchtui.benchmark.subject import Options, random_subject
from stitchtui.benchmark.ways import Laboratory
from stitchtui.experiment import Experiment

Tell = Callable[[str], None]
"""Told what is about to be done, where that takes a while."""


@dataclass(frozen=True)
class Trained:
    """What was measured of two trained networks only."""

    bottom: str
    top: str
    errors: tuple[float, float]  # test errors of bottom and top, percent
    data: str
    training_images: int
    test_images: int
    first: FirstNumbers
    kept: Kept | None  # None where there was no memory for the bottom's features
    answer: Answer


@dataclass(frozen=True)
class Found:
    """Everything that was measured, and where."""

    architecture: str
    device: str
    precision: str
    batch_size: int
    rounds: int
    speed: Speed
    growth: list[Size]
    memory: Memory
    agreement: Agreement
    trained: Trained | None  # None for random weights, of which no penalty means anything


@dataclass(frozen=True)
class Plan:
    """How the time to the answer is measured."""

    lengths: list[int]  # epochs
    train_published: bool  # cell by cell, with the clock running


def findings(
    options: Options,
    experiment: Experiment | None,
    plan: Plan,
    *,
    device: torch.device,
    dtype: torch.dtype,
    tell: Tell,
) -> Found:
    """Measure the experiment's first pair, or without one two networks with random weights; `dtype` is a column's.

    Raises BadInput.
    """
    devices.compute_in_full_float32()
    pair = None if experiment is None else load_pair(experiment, options, device, dtype)
    subject = random_subject(options, device, dtype) if pair is None else pair.subject
    tell(f"{len(subject.cuts)} cuts, {options.rounds} rounds; keep the machine idle meanwhile")
    return Found(
        architecture=options.architecture if pair is None else _architecture(pair),
        device=devices.describe(device),
        precision=str(dtype).removeprefix("torch."),
        batch_size=len(subject.labels),
        rounds=options.rounds,
        speed=speed(subject),
        growth=growth(subject),
        memory=memory(subject),
        agreement=agreement(subject),
        trained=None if pair is None else _trained(pair, plan, tell),
    )


def _architecture(pair: Pair) -> str:
    return " > ".join(dict.fromkeys((pair.bottom.architecture, pair.top.architecture)))


def _trained(pair: Pair, plan: Plan, tell: Tell) -> Trained:
    laboratory = Laboratory(pair)
    tell("direct matching")
    first = first_numbers(laboratory)
    tell("a deep cell with kept features")
    kept = kept_features(laboratory)
    return Trained(
        bottom=pair.bottom.name,
        top=pair.top.name,
        errors=(pair.bottom.error, pair.top.error),
        data=pair.dataset.name,
        training_images=len(pair.dataset.train),
        test_images=len(pair.dataset.test),
        first=first,
        kept=kept,
        answer=answer(laboratory, plan.lengths, really=plan.train_published, tell=tell),
    )
