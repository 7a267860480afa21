"""What a preset may say, with every default; reading and writing itself lives in `presets.py`. No torch here."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from stitchtui.base.errors import WrongKey, not_known
from stitchtui.spec.claims import ClaimSpec, check_claims
from stitchtui.spec.controls import RANDOM_BOTTOM, SELF_STITCH, UNSTITCHED, control_names
from stitchtui.spec.datasets import BY_PATH, CIFAR10, DATASETS, dataset_not_known
from stitchtui.spec.families import AFFINE, ALL_RUNGS, AT_RANDOM, BEST, FAMILIES, STARTS
from stitchtui.spec.objectives import DIRECT, OBJECTIVES, TASK
from stitchtui.spec.one_of import OneOf
from stitchtui.spec.seed_names import MOST_SEEDS
from stitchtui.spec.settings import dotted

Augment = Literal["auto", "none", "crop", "crop_flip"]
Precision = Literal["auto", "float32", "bfloat16"]
Family = Annotated[str, OneOf(lambda: (*FAMILIES, ALL_RUNGS))]
Start = Annotated[str, OneOf(lambda: STARTS)]
Objective = Annotated[str, OneOf(lambda: OBJECTIVES)]
Pairing = Literal["equal", "all"]
ControlName = Annotated[str, OneOf(control_names)]


def _not_a_controls_name(name: str) -> str:
    if name.startswith(("random(", "noise(")):
        kind = name.partition("(")[0]
        raise ValueError(f"'{name}' is what the {kind} control of a network is called; choose another name")
    return name


HUBS = ("hf:", "hub:")  # what the name of a network begins with whose weights lie on a hub
# Any name from outside ends up in a table, a file name or a column heading: keep it short and printable.
# "random(a)" and "noise(as a)" are how controls of network a are called.
Name = Annotated[
    str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f>/\\]+$"), AfterValidator(_not_a_controls_name)
]


class Spec(BaseModel):
    """A part of an experiment: unknown keys are errors, values don't change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def plain(self) -> dict[str, Any]:
        """This as TOML and JSON can hold it: every default written out, keys that are unset left out."""
        return self.model_dump(mode="json", exclude_none=True)


class Subset(Spec):
    """Which training images to use: an index range first, then a random `train_size` of those.

    With `shuffled` the range counts in an order drawn from `subset_seed`, for data that lies class by class.
    """

    shuffled: bool = False
    train_range: tuple[int, int] | None = None
    train_size: int | None = Field(None, ge=1)
    subset_seed: int = 0

    @field_validator("train_range")
    @classmethod
    def _ordered(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(f"expected [first, end) with 0 <= first < end, got {list(value)}")
        return value


class DataSpec(Subset):
    """The images: a dataset's name, `folder:PATH` or `npz:PATH`, and which part of it."""

    name: str = CIFAR10.name
    test_size: int | None = Field(None, ge=1)
    test_fraction: float = Field(0.2, gt=0, lt=1)
    augment: Augment = "auto"

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DATASETS and not value.startswith(BY_PATH):
            raise ValueError(dataset_not_known(value))
        return value


class LabelSpec(Spec):
    """Other labels: classes merged into groups first, then a share of the training labels moved."""

    groups: str | None = None
    noise: float = Field(0.0, ge=0, le=1)
    kind: Literal["different", "uniform"] = "different"
    seed: int = 0


class TrainSpec(Spec):
    """The recipe of a base network: SGD with momentum, linear warm-up, then cosine or step decay.

    With `stop_epoch` it is left there, on the schedule of the whole.
    """

    epochs: int = Field(30, ge=1)
    stop_epoch: int | None = Field(None, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(5e-4, ge=0)
    warmup_epochs: float = Field(1.0, ge=0)
    schedule: Literal["cosine", "step"] = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = Field(0.2, gt=0, le=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    precision: Precision = "auto"

    @model_validator(mode="after")
    def _stops_within(self) -> "TrainSpec":
        if self.stop_epoch is not None and self.stop_epoch > self.epochs:
            raise WrongKey(f"expected at most epochs, {self.epochs}, got {self.stop_epoch}", "stop_epoch")
        return self


class Normalisation(Spec):
    """What a network expects of its input: (pixel / 255 - mean) / std, per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _fits(self) -> "Normalisation":
        if len(self.mean) != len(self.std) or min(self.std, default=0) <= 0:
            raise ValueError("expected as many positive `std` as `mean`, one per channel")
        return self


_SAID_OF_TRAINING = {"subset", "labels", "task", "temperature", "probe", "start_from", "frozen"}


class NetworkSpec(Spec):
    """A network: a checkpoint, a torchvision name with weights, or an architecture to train here.

    `task` is what it learns before its linear head does, by `probe`; with `start_from` training begins with another
    network's weights and leaves the layers called `frozen` as they are; an `untrained` one is never trained.
    """

    checkpoint: str | None = None
    architecture: str | None = None
    width: float = Field(1.0, gt=0)
    options: dict[str, bool | int | float | str] = {}
    weights: str | None = None
    seed: int = 0
    normalisation: Literal["auto", "data", "none", "imagenet"] | Normalisation = "auto"
    leaves: tuple[str, ...] = ()
    head: str | None = None
    part: str | None = Field(None, min_length=1)  # which of several networks in the checkpoint
    trust_code: bool = False  # that `hub:` may run its repository's code
    subset: Subset | None = None
    labels: LabelSpec | None = None
    task: Literal["classify", "simclr", "rotation"] = "classify"
    temperature: float = Field(0.5, gt=0)  # of simclr
    train: TrainSpec = TrainSpec()
    probe: TrainSpec = TrainSpec(epochs=20, weight_decay=0.0)
    start_from: Name | None = None
    frozen: tuple[str, ...] = ()
    untrained: bool = False

    @model_validator(mode="after")
    def _has_a_source(self) -> "NetworkSpec":
        if self.checkpoint is None and self.architecture is None:
            raise ValueError("expected a `checkpoint`, or an `architecture` to train or load")
        if self.checkpoint is not None and self.weights is not None:
            raise WrongKey("expected `checkpoint` or `weights`, not both", "checkpoint", "weights")
        if self.part is not None and self.checkpoint is None:
            raise WrongKey("expected a `checkpoint`, which it is a part of", "part")
        if self.frozen and self.start_from is None:
            raise WrongKey("expected `start_from`, the network whose layers are kept", "frozen")
        return self

    @property
    def made_here(self) -> bool:
        """Whether its weights come from its seed, by training or not, and neither from a file nor from a hub."""
        published = self.weights is not None or (self.architecture or "").startswith(HUBS)
        return self.checkpoint is None and not published

    @property
    def training(self) -> dict[str, Any]:
        """How it is trained here, as its checkpoint says it: the recipe, and what else isn't as usual."""
        return self.train.plain() | self.model_dump(mode="json", include=_SAID_OF_TRAINING, exclude_defaults=True)


Reference = str | tuple[str, ...] | None
"""Curves of the paper to be compared with, by their names in `stitchtui.spec.curves`."""


class PairSpec(Spec):
    """One direction of a comparison: whose lower layers, whose upper layers."""

    bottom: Name
    top: Name
    reference: Reference = None


Cuts = Literal["blocks", "all"] | tuple[str, ...]


class StitchSpec(Spec):
    """The stitch, what it is fitted to, and the recipe that trains it.

    With `pairing` "equal" a column joins the cuts of bottom and top in order; with "all" every one with every one.
    """

    cuts: Cuts = "blocks"
    top_cuts: Cuts | None = None  # of the top, where they aren't called as the bottom's
    pairing: Pairing = "equal"
    family: Family = AFFINE.name
    rank: int = Field(8, ge=1)  # of low_rank
    objective: Objective = TASK.name
    start: Start = BEST
    best_of: int = Field(1, ge=1)
    l1: float = Field(0.0, ge=0)
    train_size: int | None = Field(None, ge=1)
    train_on: Literal["all", "top"] = "all"
    held_out: int | None = Field(None, ge=0)  # of these images, to choose steps and starts by; None: see `holds_out`
    ridge: float = Field(1e-6, ge=0)
    length: Literal["converged", "fixed"] = "converged"  # until held-out loss falls no more; fixed: as papers train
    epochs: float = Field(4.0, gt=0)  # at most, or that many where the length is fixed
    steps: int | None = Field(None, ge=1)  # in place of epochs
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-2, gt=0)
    scaled_steps: bool = True  # in units of what a stitch reads and is to write; papers: false, learning_rate 1e-3
    weight_decay: float = Field(0.0, ge=0)
    frozen_bn: Literal["eval", "batch"] = "eval"
    precision: Precision = "auto"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    views: int = Field(0, ge=0, le=0, exclude=True)  # gone, but runs of earlier versions wrote it out

    @model_validator(mode="after")
    def _makes_sense(self) -> "StitchSpec":
        family, trains = FAMILIES.get(self.family), OBJECTIVES[self.objective].trains
        if not trains and family and not family.closed_form:
            raise WrongKey(
                f"objective '{self.objective}' has no closed form for family '{self.family}'; use '{AFFINE.name}'",
                *("objective", "family"),
            )
        if trains and family and not family.trainable and not family.changes_nothing:
            raise WrongKey(
                f"family '{self.family}' has nothing that a loss can train; use objective '{DIRECT.name}'",
                *("family", "objective"),
            )
        if self.l1 and not (family and family.sparse):
            raise WrongKey(f"l1 makes an affine stitch sparse; with family '{self.family}' expected 0", "l1", "family")
        if self.best_of > 1 and self.start != AT_RANDOM:
            raise WrongKey(
                f"best_of takes the best of several random starts; start '{self.start}' has only one",
                *("best_of", "start"),
            )
        if self.held_out == 1:
            raise WrongKey("a single image says too little; expected 0, or at least 2", "held_out")
        self._check_statistics(family is not None and family.normalises)
        if len(set(self.seeds)) != len(self.seeds):
            raise WrongKey(f"expected seeds that differ, got {list(self.seeds)}", "seeds")
        return self

    @property
    def converges(self) -> bool:
        """Whether training ends once held-out loss falls no more, as long as there are held-out images.

        An objective of two phases has a fixed length all the same, since its second phase begins at a share of it; and
        so has a stitch that `l1` makes sparse: what counts would be an average, which has no zeros.
        """
        objective = OBJECTIVES[self.objective]
        waits = objective.trains and not objective.phases and not self.l1
        return waits and self.length == "converged" and self.held_out != 0

    def holds_out(self, images: int, most: int) -> int:
        """How many of so many training images are held out of fitting, to choose each stitch's step and start by.

        Unless said, 5 %, at least 500 and at most 5,000, but never more than a fifth of them, nor than the `most` that
        leave every class an image. With 0, as papers train, the last step counts.
        """
        if self.held_out is not None:
            return self.held_out
        share = min(max(images // 20, 500), 5_000, images // 5, most)
        return share if share > 1 else 0

    def _check_statistics(self, normalises: bool) -> None:
        """Raise WrongKey where BatchNorm could not do with its batches what is asked of it."""
        if self.batch_size < 2 and normalises:
            raise WrongKey("batch_size 1 gives BatchNorm no variance; expected at least 2", "batch_size", "family")
        if self.frozen_bn != "batch":
            return
        if not OBJECTIVES[self.objective].trains:
            raise WrongKey(
                f"objective '{self.objective}' trains nothing, so frozen_bn = 'batch' can't apply; use 'eval'",
                *("objective", "frozen_bn"),
            )
        if self.objective != TASK.name:
            raise WrongKey(
                "the top's own pass for another objective would move its statistics; use frozen_bn 'eval'",
                *("objective", "frozen_bn"),
            )
        if self.batch_size < 2:
            raise WrongKey("batch_size 1 gives BatchNorm no variance; expected at least 2", "batch_size", "frozen_bn")
        if self.best_of > 1:
            raise WrongKey(
                "best_of trains several starts in one batch, which frozen_bn = 'batch' would mix; use 'eval'",
                *("best_of", "frozen_bn"),
            )


class Request(Spec):
    """More columns for a run that has some already: another stitch or recipe, for all of its pairs or for some."""

    pairs: tuple[PairSpec, ...] | None = None
    stitch: StitchSpec
    controls: tuple[ControlName, ...] = ()


class Experiment(Spec):
    """Everything that determines a run's numbers, and what it is called."""

    name: Name
    scale: str | None = None  # of the preset that it was read from; determines no number
    title: str = ""
    description: str = ""
    data: DataSpec = DataSpec()
    networks: dict[Name, NetworkSpec] = Field(min_length=1)
    network_seeds: int = Field(1, ge=1, le=MOST_SEEDS)  # how often each network that is trained here is trained
    pairs: tuple[PairSpec, ...] = Field(min_length=1)
    stitch: StitchSpec = StitchSpec()
    controls: tuple[ControlName, ...] = (SELF_STITCH.name, UNSTITCHED.name, RANDOM_BOTTOM.name)
    control_seed: int = 0
    epsilon: float = Field(3.0, ge=0)
    cka: Literal["minibatch", "exact"] = "minibatch"
    cka_images: int = Field(10_000, ge=2)  # of exact CKA, which costs their square
    evaluation_batch: int = Field(500, ge=1)
    reference: Reference = None
    also: tuple[Request, ...] = ()
    claims: tuple[ClaimSpec, ...] = ()

    @model_validator(mode="after")
    def _pairs_name_networks(self) -> "Experiment":
        self._check_pairs(self.pairs, "pairs")
        for index, request in enumerate(self.also):
            self._check_pairs(request.pairs or (), f"also.{index}.pairs")
        for name, network in self.networks.items():
            self._check_start(name, network.start_from)
        pairs = [(pair.bottom, pair.top) for request in self.requests for pair in request.pairs or ()]
        check_claims(self.claims, pairs, self.networks, StitchSpec)
        return self

    def _check_start(self, name: str, start: str | None) -> None:
        seen, key = [name], dotted(("networks", name, "start_from"))
        while start is not None:
            if start not in self.networks:
                raise WrongKey(not_known(start, self.networks), key)
            if start in seen:
                raise WrongKey("expected a network that doesn't start from this one", key)
            seen.append(start)
            start = self.networks[start].start_from

    def _check_pairs(self, pairs: tuple[PairSpec, ...], key: str) -> None:
        for index, pair in enumerate(pairs):
            for end in ("bottom", "top"):
                name = getattr(pair, end)
                if name not in self.networks:
                    raise WrongKey(not_known(name, self.networks), f"{key}.{index}.{end}")
        if len({(p.bottom, p.top) for p in pairs}) != len(pairs):
            raise WrongKey("each bottom and top may appear together once", key)

    @property
    def requests(self) -> "tuple[Request, ...]":
        """The run's own columns first, then what was asked for later; each with its pairs."""
        own = Request(pairs=self.pairs, stitch=self.stitch, controls=self.controls)
        return (own, *(r if r.pairs else r.model_copy(update={"pairs": self.pairs}) for r in self.also))
