"""What the tasks of a run share: the data, the networks as traced graphs, and results that several tasks need."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from stitchtui.data.dataset import Dataset
from stitchtui.errors import BadInput, RunFailed
from stitchtui.experiment import Experiment
from stitchtui.networks.network import Network, freeze, weight_digest
from stitchtui.run.plan import Task
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.controls import recalibrate, reinitialised
from stitchtui.stitching.cuts import Cut, Traced, Untraceable
from stitchtui.stitching.direct import AffineMap
from stitchtui.stitching.evaluate import Scores, base_scores
from stitchtui.stitching.similarity import linear_cka
from stitchtui.worker.feed import in_order, pixels

CKA_BYTES = 2 << 30
"""How much memory the features of two blocks of images may take while CKA is computed."""
EVALUATION_BYTES = 1 << 30
"""How much memory one layer's activations of a whole column may take while it is evaluated."""
CALIBRATION_IMAGES, CALIBRATION_BATCH = 2_000, 250
EXAMPLE_IMAGES = 5


@dataclass
class Loaded:
    """A network of this run with its graph."""

    network: Network
    traced: Traced
    normalise: Normalise


@dataclass
class Session:
    """One run's data, networks and shared results, on one device."""

    experiment: Experiment
    device: torch.device
    dataset: Dataset
    loaded: dict[str, Loaded] = field(default_factory=dict)
    maps: dict[tuple[str, ...], AffineMap | str] = field(default_factory=dict)
    """Least-squares maps by (bottom network, its cut, top network, its cut), or why there is none."""
    starts: dict[tuple[str, ...], Scores] = field(default_factory=dict)
    """What an affine stitch scores that computes just that map, by the same key."""
    _base: dict[str, Scores] = field(default_factory=dict)
    _cka: dict[tuple[str, str, str, str], float] = field(default_factory=dict)

    def add(self, network: Network) -> Loaded:
        """Trace `network` and keep it under its name. Raises BadInput if it can't be traced."""
        normalise = Normalise(network.mean, network.std).to(self.device)
        example = normalise(pixels(self.dataset.train.images[:EXAMPLE_IMAGES])).contiguous()
        try:
            traced = Traced(network.module, example)
        except Untraceable as error:
            raise BadInput(f"network '{network.name}': {error}") from None
        # The same numbers in another order, which convolutions are faster in; only the traced graph, whose views are
        # reshapes, can be trusted with it.
        network.module.to(memory_format=torch.channels_last)
        self.loaded[network.name] = Loaded(network, traced, normalise)
        return self.loaded[network.name]

    def random_bottom(self, name: str) -> Loaded:
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
        loaded = self.add(network)
        error = self.base(loaded, lambda _: None).error
        loaded.network = Network(**{**vars(network), "error": error})
        return loaded

    def _calibration_batches(self) -> list[torch.Tensor]:
        """Batches of one size, since each counts as much as the next; a single image has no variance to offer."""
        images = self.dataset.train.images[:CALIBRATION_IMAGES]
        size = min(CALIBRATION_BATCH, len(images))
        return list(images[: len(images) // size * size].split(size)) if size > 1 else []

    def column_cuts(self, task: Task) -> list[tuple[Cut, Cut]]:
        """The (bottom, top) cuts of a column, in order. Raises BadInput where they can't be paired."""
        wanted = self.experiment.stitch.cuts
        ends = [self._cuts(name, wanted) for name in (task.bottom, task.top)]
        if len(ends[0]) != len(ends[1]):
            raise BadInput(
                f"stitch.cuts: {task.bottom} has {len(ends[0])} cuts and {task.top} has {len(ends[1])}; expected as "
                f"many: name cuts that both have with --cuts (`stitchtui cuts` lists them)"
            )
        return list(zip(*ends, strict=True))

    def cuts_of(self, loaded: Loaded) -> list[Cut]:
        """The cuts that this experiment uses of one network."""
        return list(self._cuts(loaded.network.name, self.experiment.stitch.cuts))

    def _cuts(self, name: str, wanted: str | tuple[str, ...]) -> tuple[Cut, ...]:
        try:
            return self.loaded[name].traced.select(wanted)
        except ValueError as error:
            raise BadInput(f"network '{name}': {error}") from None

    def chain(self, loaded: Loaded, cuts: Sequence[Cut]) -> Chain:
        """The network cut at `cuts`, from pixels in [0, 1] to class scores."""
        return Chain(loaded.traced, cuts, loaded.normalise)

    def base(self, loaded: Loaded, ticking: Callable[[int], None]) -> Scores:
        """The unstitched network's answers on the test part, computed once."""
        name = loaded.network.name
        if name not in self._base:
            chain = self.chain(loaded, [])
            batches = in_order(self.dataset.test, self.experiment.evaluation_batch, ticking)
            scores = base_scores(chain, batches)
            if not scores.finite:
                raise RunFailed(f"network '{name}': its class scores on the test images are not all finite numbers")
            self._base[name] = scores
        return self._base[name]

    def evaluation_batch(self, cuts: Sequence[Cut]) -> int:
        """Images per batch, so that a whole column's activations at its largest cut stay within EVALUATION_BYTES."""
        per_image = 4 * max(torch.Size(c.shape).numel() for c in cuts) * len(cuts)
        return max(8, min(self.experiment.evaluation_batch, EVALUATION_BYTES // per_image))

    def cka(
        self, ends: tuple[Loaded, Loaded], pairs: Sequence[tuple[Cut, Cut]], ticking: Callable[[int], None]
    ) -> list[float]:
        """Linear CKA on test images at each (bottom, top) cut; every pair of networks is computed once."""
        missing = self._cka_missing(ends, pairs)
        if missing:
            bottom = self.chain(ends[0], [b for b, _ in missing])
            top = self.chain(ends[1], [t for _, t in missing])
            found = self.diagonal_cka(bottom, top, self._cka_images, ticking)
            self._cka.update(zip((_cka_key(ends, p) for p in missing), found, strict=True))
        return [self._cka.get(_cka_key(ends, p), 1.0) for p in pairs]

    def cka_visits(self, ends: tuple[Loaded, Loaded], pairs: Sequence[tuple[Cut, Cut]]) -> int:
        """How many images `cka` will say to its `ticking` for these pairs."""
        missing = self._cka_missing(ends, pairs)
        if not missing:
            return 0
        images, block = self._cka_images, self._cka_block([c for pair in missing for c in pair])
        return 2 * images + sum(max(0, images - first - block) for first in range(0, images, block))

    @property
    def _cka_images(self) -> int:
        return min(len(self.dataset.test), self.experiment.cka_images)

    def _cka_missing(self, ends: tuple[Loaded, Loaded], pairs: Sequence[tuple[Cut, Cut]]) -> list[tuple[Cut, Cut]]:
        if ends[0] is ends[1]:  # each representation with itself: 1
            return []
        return [p for p in pairs if _cka_key(ends, p) not in self._cka]

    def _cka_block(self, cuts: Sequence[Cut]) -> int:
        per_image = 4 * sum(torch.Size(c.shape).numel() for c in cuts)
        return max(2, min(self._cka_images, CKA_BYTES // (2 * per_image)))

    @torch.no_grad()
    def diagonal_cka(self, bottom: Chain, top: Chain, images: int, ticking: Callable[[int], None]) -> list[float]:
        """Linear CKA at each cut that the two chains have in the same place, over `images` of the test images."""
        n = len(bottom.cuts)
        # Test parts may come class by class: a few of their images are a random few.
        chosen = torch.randperm(len(self.dataset.test), generator=torch.Generator().manual_seed(0))[:images]
        test = self.dataset.test.images[chosen.sort().values.to(self.device)]

        def features(first: int, end: int) -> list[torch.Tensor]:
            ticking(end - first)
            batch = pixels(test[first:end])
            return bottom.features(batch, n)[1:] + top.features(batch, n)[1:]

        block = min(images, self._cka_block([*bottom.cuts, *top.cuts]))
        return linear_cka(features, images, [(k, n + k) for k in range(n)], block)

    def verify_frozen(self, *networks: Loaded) -> None:
        """Raises RunFailed if any weight or buffer of these has changed since the network was loaded."""
        for loaded in networks:
            if weight_digest(loaded.network.module) != loaded.network.digest:
                name = loaded.network.name
                raise RunFailed(f"network '{name}' changed while it was frozen; the run's numbers can't be trusted")


def _cka_key(ends: tuple[Loaded, Loaded], pair: tuple[Cut, Cut]) -> tuple[str, str, str, str]:
    """CKA is symmetric: both orders of two representations have one key."""
    one, other = ((loaded.network.name, cut.name) for loaded, cut in zip(ends, pair, strict=True))
    return (*one, *other) if one <= other else (*other, *one)
