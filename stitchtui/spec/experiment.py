"""What a preset may say, with every default; reading and writing itself lives in `presets.py`. No torch here."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from stitchtui.base.errors import WrongKey, not_known
from stitchtui.spec.claims import ClaimSpec, check_claims
from stitchtui.spec.controls import RANDOM_BOTTOM, SELF_STITCH, UNSTITCHED, control_names
from stitchtui.spec.datasets import BY_PATH, CIFAR10, DATASETS, IN_MEMORY, dataset_not_known
from stitchtui.spec.families import AFFINE, ALL_RUNGS, AT_RANDOM, BEST, FAMILIES, LEAST_SQUARES, STARTS
from stitchtui.spec.length import may_converge, passes
from stitchtui.spec.objectives import DIRECT, OBJECTIVES, TASK
from stitchtui.spec.one_of import OneOf
from stitchtui.spec.pairing import Cuts, Meeting, Pairing, TopCuts
from stitchtui.spec.seed_names import MOST_SEEDS
from stitchtui.spec.settings import dotted

Augment = Literal["auto", "none", "crop", "crop_flip"]
Precision = Literal["auto", "float32", "bfloat16"]
Family = Annotated[str, OneOf(lambda: (*FAMILIES, ALL_RUNGS))]
Start = Annotated[str, OneOf(lambda: STARTS)]
Objective = Annotated[str, OneOf(lambda: OBJECTIVES)]
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

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def plain(self) -> dict[str, Any]:
        """This as TOML and JSON can hold it: every default written out, keys that are unset left out."""
        return self.model_dump(mode="json", exclude_none=True)


class Subset(Spec):
    """Which training images to use: an index range first, then a random `train_size` of those.

    With `shuffled` the range counts in an order drawn from `subset_seed`, for data that lies class by class.
    """

    shuffled: bool = False
    """Whether `train_range` counts in an order that `subset_seed` draws, for images that lie class by class."""
    train_range: tuple[int, int] | None = None
    """The first training image and the one after the last, counted from 0; unless said, all of them."""
    train_size: int | None = Field(None, ge=1)
    """How many training images are drawn at random from the range; unless said, all of them."""
    subset_seed: int = 0
    """What draws the order and the images."""

    @field_validator("train_range")
    @classmethod
    def _ordered(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(f"expected [first, end) with 0 <= first < end, got {list(value)}")
        return value


def _choose_a_dataset(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"enum": list(DATASETS)}, {"pattern": f"^({'|'.join((*BY_PATH, IN_MEMORY))})"}]


class DataSpec(Subset):
    """The images: a dataset's name, `folder:PATH` or `npz:PATH`, and which part of it."""

    name: str = Field(CIFAR10.name, json_schema_extra=_choose_a_dataset)
    """A dataset by name, `folder:PATH` or `npz:PATH`; `memory:NAME` where a Python program gave the images."""
    test_size: int | None = Field(None, ge=1)
    """How many test images are used; unless said, all of them."""
    test_fraction: float = Field(0.2, gt=0, lt=1)
    """The share of the images that tests, where they come in one part."""
    augment: Augment = "auto"
    """How training images are changed at random; `auto` as the networks were trained, else as is usual for the data."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DATASETS and not value.startswith((*BY_PATH, IN_MEMORY)):
            raise ValueError(dataset_not_known(value))
        return value


class LabelSpec(Spec):
    """Other labels: classes merged into groups first, then a share of the training labels moved."""

    groups: str | None = None
    """How classes are merged: `object_animal` (those of CIFAR-10) or `even_odd` (digits)."""
    noise: float = Field(0.0, ge=0, le=1)
    """The share of the training labels that is moved."""
    kind: Literal["different", "uniform"] = "different"
    """To another class (`different`), or to any, its own among them (`uniform`)."""
    seed: int = 0
    """What draws the labels that are moved, and where to."""


class TrainSpec(Spec):
    """The recipe of a base network: SGD with momentum, linear warm-up, then cosine or step decay.

    With `stop_epoch` it is left there, on the schedule of the whole.
    """

    epochs: int = Field(30, ge=1)
    """Passes over the training images that the schedule is laid out for."""
    stop_epoch: int | None = Field(None, ge=1)
    """After so many of them training ends; unless said, after all."""
    batch_size: int = Field(128, ge=1)
    """Images a step."""
    learning_rate: float = Field(0.1, gt=0)
    """The highest rate, after the warm-up."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD."""
    nesterov: bool = True
    """Whether the momentum is Nesterov's."""
    weight_decay: float = Field(5e-4, ge=0)
    """The L2 penalty on the weights."""
    warmup_epochs: float = Field(1.0, ge=0)
    """Epochs in which the rate rises linearly from 0."""
    schedule: Literal["cosine", "step"] = "cosine"
    """How the rate falls after the warm-up: along a cosine to 0, or in steps."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """With steps: the shares of training after which the rate falls."""
    decay: float = Field(0.2, gt=0, le=1)
    """With steps: what the rate is multiplied by at each."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """The share of a label that is spread over all classes."""
    precision: Precision = "auto"
    """What training computes in; `auto` is bfloat16 where the device is fast at it."""

    @model_validator(mode="after")
    def _stops_within(self) -> "TrainSpec":
        if self.stop_epoch is not None and self.stop_epoch > self.epochs:
            raise WrongKey(f"expected at most epochs, {self.epochs}, got {self.stop_epoch}", "stop_epoch")
        return self


class Normalisation(Spec):
    """What a network expects of its input: (pixel / 255 - mean) / std, per channel."""

    mean: tuple[float, ...]
    """Of each channel, where pixels lie from 0 to 1."""
    std: tuple[float, ...]
    """Of each channel, above 0."""

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
    """A file with its weights."""
    architecture: str | None = None
    """A name, `torchvision:NAME`, `timm:NAME`, `hf:REPO`, `hub:OWNER/REPO:ENTRY`, `FILE.py:Class` or
    `package.module:factory`.
    """
    width: float = Field(1.0, gt=0)
    """Multiplies the channels of every layer."""
    options: dict[str, bool | int | float | str] = {}
    """What else the architecture takes, by name."""
    weights: str | None = None
    """Published weights of the architecture, by name."""
    seed: int = 0
    """What draws its first weights and the order of its training images."""
    normalisation: Literal["auto", "data", "none", "imagenet"] | Normalisation = "auto"
    """What it expects of its input; `auto` is what its weights say, else `data`: the training images' mean and
    deviation; and `none` of images that are normalised already.
    """
    leaves: tuple[str, ...] = ()
    """Modules, by path or class, that are taken whole, without cuts inside."""
    head: str | None = None
    """For a backbone without a classifier: a file with a linear head, or `train`."""
    part: str | None = Field(None, min_length=1)
    """Which of several networks in the checkpoint."""
    trust_code: bool = False
    """Whether `hub:` may run its repository's code."""
    subset: Subset | None = None
    """The training images that it sees; unless said, those of `data`."""
    labels: LabelSpec | None = None
    """The labels that it is trained on; unless said, the data's own."""
    task: Literal["classify", "simclr", "rotation"] = "classify"
    """What it learns: the classes, or without them by SimCLR or by rotations before its linear head is trained."""
    temperature: float = Field(0.5, gt=0)
    """Of SimCLR's loss."""
    train: TrainSpec = TrainSpec()
    """The recipe of its training."""
    probe: TrainSpec = TrainSpec(epochs=20, weight_decay=0.0)
    """The recipe of its linear head, after another task than classes."""
    start_from: Name | None = None
    """Another network of this experiment, whose trained weights it begins with."""
    frozen: tuple[str, ...] = ()
    """Its layers, by path, that stay as in `start_from`."""
    untrained: bool = False
    """Whether it stays as it was drawn."""

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
        published = self.weights is not None or (self.architecture or "").startswith((*HUBS, IN_MEMORY))
        return self.checkpoint is None and not published

    @property
    def in_memory(self) -> bool:
        """Whether it was given as a module by a Python program, so that no other process can have it."""
        return (self.architecture or "").startswith(IN_MEMORY)

    @property
    def training(self) -> dict[str, Any]:
        """How it is trained here, as its checkpoint says it: the recipe, and what else isn't as usual."""
        return self.train.plain() | self.model_dump(mode="json", include=_SAID_OF_TRAINING, exclude_defaults=True)


Reference = str | tuple[str, ...] | None
"""Curves of the paper to be compared with, by their names in `stitchtui.spec.curves`."""


class PairSpec(Spec):
    """One direction of a comparison: whose lower layers, whose upper layers."""

    bottom: Name
    """The network whose lower layers are used."""
    top: Name
    """The network whose upper layers are used."""
    reference: Reference = None
    """Curves of the paper that the pair is compared with, by name."""


class StitchSpec(Spec):
    """The stitch, what it is fitted to, and the recipe that trains it.

    `cuts`, `top_cuts` and `pairing` say which cuts of bottom and top a column joins, see `pairing.Meeting`.
    """

    cuts: Cuts = "blocks"
    """Where both networks are cut: at the end of each block, at every cut, or at these; a table says of each bottom cut
    which cut of the top it meets.
    """
    top_cuts: TopCuts | None = None
    """Where the top is cut; unless said, as the bottom is."""
    pairing: Pairing = "auto"
    """Which cuts are joined: those of one name, or else each with the nearest in depth (`auto`), in order (`equal`), or
    every bottom cut with every top cut (`all`).
    """
    family: Family = AFFINE.name
    """What the stitch may be; `ladder` is one stitch of every rung."""
    rank: int = Field(8, ge=1)
    """Of a `low_rank` stitch."""
    objective: Objective = TASK.name
    """What the stitch is fitted to."""
    start: Start = BEST
    """Where training starts."""
    best_of: int = Field(1, ge=1)
    """How many random starts are trained, of which the one of lowest held-out loss counts."""
    l1: float = Field(0.0, ge=0)
    """The weight of an L1 penalty, which makes an affine stitch sparse."""
    train_size: int | None = Field(None, ge=1)
    """How many training images the stitch is fitted on; unless said, all of them."""
    train_on: Literal["all", "top"] = "all"
    """The training images of the data, or only those that the top was trained on."""
    held_out: int | None = Field(None, ge=0)
    """Training images that are held out of fitting to choose step and start by; unless said 5 %, at least 500 and at
    most 5,000, but no more than a fifth; 0: the last step counts.
    """
    ridge: float = Field(1e-6, ge=0)
    """The ridge of the closed forms, as a share of the features' mean variance."""
    length: Literal["converged", "fixed"] = "converged"
    """Until held-out loss falls no further, or `fixed`, as papers train."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the training images: at most, or exactly where the length is fixed; unless said 30 at most, or 4
    where it is fixed, as it also is with `l1`, two phases, no held-out images, and for a top that is trained.
    """
    steps: int | None = Field(None, ge=1)
    """In place of epochs."""
    batch_size: int = Field(128, ge=1)
    """Images a step."""
    learning_rate: float = Field(1e-2, gt=0)
    """The highest rate of Adam."""
    scaled_steps: bool = True
    """Whether steps are in units of how much the channels vary that a stitch reads and is to write; papers: false, with
    learning_rate 1e-3.
    """
    weight_decay: float = Field(0.0, ge=0)
    """The L2 penalty on the stitch's weights."""
    frozen_bn: Literal["eval", "batch"] = "eval"
    """BatchNorms of the frozen networks use their running statistics (`eval`), or the batch's (`batch`)."""
    precision: Precision = "auto"
    """What training computes in; errors are measured in float32 all the same."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Each draws the stitch's start, the order of the images and how they are changed."""
    views: SkipJsonSchema[int] = Field(0, ge=0, le=0, exclude=True)  # gone, but runs of earlier versions wrote it out

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
        if isinstance(self.cuts, dict) and self.top_cuts is not None:
            raise WrongKey("cuts says which cuts of the top are met; leave top_cuts out", "top_cuts", "cuts")
        if self.held_out == 1:
            raise WrongKey("a single image says too little; expected 0, or at least 2", "held_out")
        self._check_statistics(family is not None and family.normalises)
        if len(set(self.seeds)) != len(self.seeds):
            raise WrongKey(f"expected seeds that differ, got {list(self.seeds)}", "seeds")
        return self

    @property
    def meeting(self) -> Meeting:
        """What decides which cuts meet."""
        start = self.start if OBJECTIVES[self.objective].trains else LEAST_SQUARES
        return Meeting(self.cuts, self.top_cuts, self.pairing, self.family, start)

    @property
    def converges(self) -> bool:
        """Whether training ends once held-out loss falls no more, as long as there are held-out images."""
        return may_converge(self.objective, self.length, self.l1, self.held_out)

    def passes(self, converges: bool) -> float:
        """Passes over the training images, of what is trained until it has converged, or of a fixed length."""
        return passes(self.epochs, converges)

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
    """Some of the run's pairs; unless said, all of them."""
    stitch: StitchSpec
    """The stitch of these columns."""
    controls: tuple[ControlName, ...] = ()
    """The controls beside these columns."""


class Experiment(Spec):
    """Everything that determines a run's numbers, and what it is called."""

    name: Name
    """What its runs are called; unless said, as the file is."""
    scale: str | None = None
    """The scale of the preset that it was read from."""
    title: str = ""
    """What it asks, in a line."""
    description: str = ""
    """What it asks, at length."""
    data: DataSpec = DataSpec()
    """The images."""
    networks: dict[Name, NetworkSpec] = Field(min_length=1)
    """The networks, by name."""
    network_seeds: int = Field(1, ge=1, le=MOST_SEEDS)
    """How often each network that is trained here is trained, from seeds of its own."""
    pairs: tuple[PairSpec, ...] = Field(min_length=1)
    """The pairs that are measured."""
    stitch: StitchSpec = StitchSpec()
    """The stitch, and how it is trained."""
    controls: tuple[ControlName, ...] = (SELF_STITCH.name, UNSTITCHED.name, RANDOM_BOTTOM.name)
    """The controls beside each pair."""
    control_seed: int = 0
    """What controls draw from."""
    epsilon: float = Field(3.0, ge=0)
    """The margin at which pairs are judged, in points of test error."""
    cka: Literal["minibatch", "exact"] = "minibatch"
    """How CKA is estimated: from minibatches, or exactly, from `cka_images`."""
    cka_images: int = Field(10_000, ge=2)
    """Test images of exact CKA, which costs their square."""
    evaluation_batch: int = Field(500, ge=1)
    """Test images at a time."""
    reference: Reference = None
    """Curves of the paper that each pair is compared with, by name."""
    also: tuple[Request, ...] = ()
    """What was asked for later."""
    claims: tuple[ClaimSpec, ...] = ()
    """What should come out."""

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

    def turned(self, request: int) -> set[tuple[str, str]]:
        """The pairs of a request that are earlier ones of it the other way round, so that their cuts change places.

        A later request that says the same cuts as the run's own is about the run's own pairs.
        """
        asked = self.requests[request]
        same = (asked.stitch.cuts, asked.stitch.top_cuts) == (self.stitch.cuts, self.stitch.top_cuts)
        found: set[tuple[str, str]] = set()
        seen: set[tuple[str, str]] = set()
        for pair in (*(self.pairs if same else ()), *(asked.pairs or ())):
            ends = pair.bottom, pair.top
            (found if ends[::-1] in seen and pair.bottom != pair.top else seen).add(ends)
        return found
