"""What the tasks of a run share: the data, the networks as traced graphs, and results that several tasks need."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.registry import load
from stitchtui.base.work import Pass, finish
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.labels import coarse
from stitchtui.data.loading import subset
from stitchtui.measuring.feed import in_order, pixels
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.material import Ends, Material, Noise, limited, most_held_out, parted
from stitchtui.networks.augmentation import of_stitches
from stitchtui.networks.network import Network, freeze, weight_digest
from stitchtui.spec.controls import control_named
from stitchtui.spec.datasets import Augmentation
from stitchtui.spec.experiment import Experiment, StitchSpec
from stitchtui.spec.pairing import Uneven, turned
from stitchtui.spec.plan import Task, taught_other_classes
from stitchtui.spec.settings import dotted
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.cuts import Cut, Traced, Untraceable
from stitchtui.stitching.evaluate import Scores, base_scores
from stitchtui.stitching.precision import in_float32
from stitchtui.stitching.reinitialise import NAMES_ITSELF, recalibrate, reinitialised, still_reads

EVALUATION_BYTES = 1 << 30
"""How much memory one layer's activations of a whole column may take while it is evaluated."""
CALIBRATION_IMAGES, CALIBRATION_BATCH = 2_000, 250
EXAMPLE_IMAGES = 5


@dataclass
class Session:
    """One run's data, networks and shared results, on one device."""

    experiment: Experiment
    device: torch.device
    dataset: Dataset
    stitches: Path | None = None  # the folder that trained stitches are kept in
    given: Mapping[str, nn.Module] = field(default_factory=dict)  # the networks that lie in memory, by name
    memory: int | None = None  # bytes that a step of training may take; None: a good part of what is free
    loaded: dict[str, Loaded] = field(default_factory=dict)
    augment: Augmentation = field(init=False)  # of the images that stitches are trained on
    _base: dict[str, Scores] = field(default_factory=dict)
    _parted: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.augment = of_stitches(self.experiment)

    def add(self, network: Network, origin: str | None = None) -> Loaded:
        """Trace `network` and keep it under its name. Raises BadInput if it can't be traced."""
        normalise = Normalise(network.mean, network.std).to(self.device)
        example = self._example(normalise)
        spec = self.experiment.networks[origin or network.name]
        try:
            traced = Traced(network.module, example, spec.leaves)
        except Untraceable as error:
            field = dotted(("networks", origin or network.name, "leaves"))
            raise BadInput(f"network '{network.name}': {error}", field) from None
        self._check_single_images(network, example)
        traced.lay_out_channels_last()
        self.loaded[network.name] = Loaded(network, traced, normalise, origin or network.name, spec.in_memory)
        return self.loaded[network.name]

    def _check_single_images(self, network: Network, example: torch.Tensor) -> None:
        """Raise BadInput where the network gives an image by itself other scores, and the run would ask for them."""
        sizes = {
            "evaluation_batch": min(self.experiment.evaluation_batch, len(self.dataset.test)),
            "stitch.batch_size": min(r.stitch.batch_size for r in self.experiment.requests),
            "train images": len(self.dataset.train),
        }
        single = next((name for name, size in sizes.items() if size == 1), None)
        if single is None:
            return
        with torch.no_grad():
            shapes = [network.module(example[:count].clone()).shape for count in (1, len(example))]
        if shapes[0] != (1, *shapes[1][1:]):
            raise BadInput(
                f"network '{network.name}': gives scores of shape {list(shapes[0])} for one image (a squeeze() may "
                f"take the batch's axis away), and {single} is 1; expected 2 or more"
            )

    def example(self, loaded: Loaded) -> torch.Tensor:
        """A few training images as the network takes them."""
        return self._example(loaded.normalise)

    def _example(self, normalise: Normalise) -> torch.Tensor:
        return normalise(pixels(self.dataset.train.images[:EXAMPLE_IMAGES])).contiguous()

    def ends(self, task: Task) -> Ends:
        """The networks that a task joins, with what its control puts in their places."""
        control = control_named(task.control)
        below = load(control.in_bottom)(self, task.bottom) if control.in_bottom else self.loaded[task.bottom]
        above = load(control.in_top)(self, task.top) if control.in_top else self.loaded[task.top]
        return Ends(self.loaded[task.bottom], above, below) if isinstance(below, Noise) else Ends(below, above)

    def material(self, task: Task, _ends: Ends) -> Material:
        """The images and labels that a task is fitted on. Raises BadInput for more images than there are."""
        stitch, digest = self.stitch_of(task), self.dataset.digest
        dataset = replace(self.dataset, augment=self.augment)
        spec = self.experiment.networks[task.top]
        if stitch.train_on == "top" and spec.subset is not None:
            dataset = subset(dataset, spec.subset, dotted(("networks", task.top, "subset")))
            digest = dataset.digest
        if stitch.train_size is not None:
            dataset, digest = limited(dataset, stitch.train_size, 0), f"{digest}, {stitch.train_size} images"
        images, control = len(dataset.train), control_named(task.control)
        held_out = stitch.holds_out(images, most_held_out(dataset.train.labels))
        kept = images - held_out
        if control.in_data:
            dataset, words = load(control.in_data)(dataset, self.experiment.control_seed)
            digest = f"{digest}, {words}"
            held_out = min(held_out * len(dataset.train) // images, most_held_out(dataset.train.labels))
            held_out -= held_out == 1  # for many a network squeezes the axis of a batch of one image away
        if held_out:
            digest = f"{digest}, {held_out} held out"
        if digest not in self._parted:
            self._parted[digest] = parted(dataset.train.labels, held_out)
        return Material(dataset, digest, *self._parted[digest], kept)

    def randomised(self, name: str) -> Loaded:
        """The network called `name` with nothing learnt left in it, made once; see the paper's random control."""
        random_name = f"random({name})"
        if random_name not in self.loaded:
            self.loaded[random_name] = self._randomised(self.loaded[name], random_name)
        return self.loaded[random_name]

    def _randomised(self, trained: Loaded, name: str) -> Loaded:
        # Not the seed alone: a network trained here from the same number started from just those weights.
        words = f"random control {self.experiment.control_seed} {trained.network.digest}"
        seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big")
        module = reinitialised(trained.network.module, seed).to(memory_format=torch.contiguous_format)
        if still_reads(module, trained.network.module, self.example(trained)):
            raise BadInput(
                f"network '{trained.network.name}': {NAMES_ITSELF}, so that it has no random control; write that as a "
                "method of the layer's class, or leave the control out with --controls",
                "controls",
            )
        recalibrate(module, (trained.normalise(pixels(i)).contiguous() for i in self._calibration_batches()))
        network = Network(
            name=name,
            module=freeze(module),
            mean=trained.network.mean,
            std=trained.network.std,
            digest=weight_digest(module),
            architecture=trained.network.architecture,
            error=0.0,
            source="random",
            classes=trained.network.classes,
        )
        loaded = self.add(network, trained.origin)
        error = finish(self.score(loaded)).error
        loaded.network = Network(**{**vars(network), "error": error})
        return loaded

    def _calibration_batches(self) -> list[torch.Tensor]:
        """Batches of one size, since each counts as much as the next; a single image has no variance to offer."""
        images = self.dataset.train.images[:CALIBRATION_IMAGES]
        size = min(CALIBRATION_BATCH, len(images))
        return list(images[: len(images) // size * size].split(size)) if size > 1 else []

    def stitch_of(self, task: Task) -> StitchSpec:
        """The stitch and recipe of the request that `task` belongs to."""
        return self.experiment.requests[task.request].stitch

    def column_cuts(self, task: Task) -> list[tuple[Cut, Cut]]:
        """The (bottom, top) cuts of a column, in order. Raises BadInput where they can't be paired."""
        if task.bottom != task.top:
            return self._joined(task.request, task.bottom, task.top)
        own = self._own_cuts(task)
        every = self.stitch_of(task).pairing == "all"
        return list(itertools.product(own, own)) if every else list(zip(own, own, strict=True))

    def _joined(self, request: int, bottom: str, top: str) -> list[tuple[Cut, Cut]]:
        """The cuts of a pair of a request; of an earlier one the other way round the same, turned."""
        meeting, low, high = self.experiment.requests[request].stitch.meeting, self._end(bottom), self._end(top)
        try:
            if (bottom, top) in self.experiment.turned(request):
                return turned(meeting.joined(high, low), high, low)
            return meeting.joined(low, high)
        except Misfit as reason:
            raise BadInput.at("stitch.cuts", f"{bottom} > {top}: {reason}") from None
        except Uneven as counts:
            raise BadInput.at(
                "stitch.cuts",
                f"{bottom} > {top}: {counts}; expected as many: name cuts that both have with --cuts (`stitchtui cuts` "
                "lists them), or join each with the nearest (--pairing auto) or with every one (--pairing all)",
            ) from None

    def _own_cuts(self, task: Task) -> list[Cut]:
        """Of a network that is stitched to itself: where it is cut as a top, if it is one, else as a bottom."""
        name = task.top
        pairs = [(pair.bottom, pair.top) for pair in self.experiment.requests[task.request].pairs or ()]
        as_top = [cut for pair in pairs if pair[1] == name for _, cut in self._joined(task.request, *pair)]
        used = as_top or [cut for pair in pairs if pair[0] == name for cut, _ in self._joined(task.request, *pair)]
        return [cut for cut in self.loaded[name].traced.cuts if cut in used]

    def cuts_of(self, loaded: Loaded) -> list[Cut]:
        """The cuts that this experiment may use of one network, in order; the other one need not be there yet."""
        name, end = loaded.origin, self._end(loaded.origin)
        used: set[Cut] = set()
        for index, request in enumerate(self.experiment.requests):
            changed = self.experiment.turned(index)
            for ends in ((pair.bottom, pair.top) for pair in request.pairs or ()):
                below, above = reversed(ends) if ends in changed else ends
                used.update(request.stitch.meeting.below(end) if below == name else ())
                used.update(request.stitch.meeting.above(end) if above == name else ())
        return [cut for cut in loaded.traced.cuts if cut in used]

    def _end(self, name: str) -> "_End":
        return _End(self, self.loaded[name])

    def has_own_classes(self, loaded: Loaded) -> bool:
        """Whether the network was taught other classes than the run's, so that its answers can't be compared."""
        return taught_other_classes(self.experiment.networks[loaded.origin])

    def chain(self, loaded: Loaded, cuts: Sequence[Cut]) -> Chain:
        """The network cut at `cuts`, from images as they are fed to class scores; float32 at every boundary."""
        chain = Chain(loaded.traced, cuts, loaded.normalise)
        names = ["input", *(cut.name for cut in cuts), "output"]
        if not loaded.dtypes.keys() >= set(names):
            with torch.no_grad():
                found = chain.features(pixels(self.dataset.train.images[:EXAMPLE_IMAGES]))
            loaded.dtypes |= {name: tensor.dtype for name, tensor in zip(names, found, strict=True)}
        return in_float32(chain, [loaded.dtypes[name] for name in names])

    def score(self, loaded: Loaded) -> Pass[Scores]:
        """The unstitched network's answers on the test part of its own labels, from now on known as its `base`."""
        name = loaded.network.name
        if name not in self._base:
            chain = self.chain(loaded, [])
            scores = yield from base_scores(chain, in_order(self._own_test(loaded), self.experiment.evaluation_batch))
            if not scores.finite:
                raise RunFailed(f"network '{name}': its class scores on the test images are not all finite numbers")
            self._base[name] = scores
        return self._base[name]

    def base(self, loaded: Loaded) -> Scores:
        """The answers of a network that was scored."""
        return self._base[loaded.network.name]

    def _own_test(self, loaded: Loaded) -> Part:
        labels = self.experiment.networks[loaded.origin].labels
        if labels is None or labels.groups is None:
            return self.dataset.test
        return coarse(self.dataset, labels.groups).test

    def evaluation_batch(self, cuts: Sequence[Cut], cells: int) -> int:
        """Images per batch, so that activations of so many cells at the largest cut stay within EVALUATION_BYTES."""
        per_image = 4 * max(torch.Size(c.shape).numel() for c in cuts) * cells
        return max(8, min(self.experiment.evaluation_batch, EVALUATION_BYTES // per_image))

    def verify_frozen(self, *networks: Loaded) -> None:
        """Raise RunFailed if any weight or buffer of these has changed since the network was loaded."""
        for loaded in networks:
            if weight_digest(loaded.network.module) != loaded.network.digest:
                name = loaded.network.name
                raise RunFailed(f"network '{name}' changed while it was frozen; the run's numbers can't be trusted")


@dataclass(frozen=True)
class _End:
    """A network as cuts are paired: its cuts, and how deep they lie."""

    session: Session
    loaded: Loaded

    def select(self, wanted: str | Sequence[str]) -> tuple[Cut, ...]:
        try:
            return self.loaded.traced.select(wanted)
        except ValueError as error:
            raise BadInput(f"network '{self.loaded.network.name}': {error}", "stitch.cuts") from None

    def knows(self, name: str) -> bool:
        return self.loaded.traced.knows(name)

    def depth(self, cut: Cut) -> float:
        depths, traced = self.loaded.depths, self.loaded.traced
        if not depths:
            facts = Chain(traced, traced.cuts).facts(self.session.example(self.loaded))
            depths |= {each.name: fact.depth for each, fact in zip(traced.cuts, facts, strict=True)}
        return depths[cut.name]
