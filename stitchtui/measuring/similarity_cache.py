"""How similar two networks are without any stitch, each pair of cuts compared once for all tasks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchtui.base.work import Pass
from stitchtui.data.batches import split
from stitchtui.measuring.feed import in_order, pixels
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.material import Ends
from stitchtui.measuring.planned_cells import Chains, Pairs, chains
from stitchtui.measuring.session import Session
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.outlying import OwnActivations, own_activations
from stitchtui.stitching.similarity import Alignment, Alignments, MinibatchCka, linear_cka
from stitchtui.stitching.streamed import channel_axis, pooled

CKA_BATCH = 256
"""Images whose Gram matrices are compared at a time: more say a little more, and cost as much more."""
PASS_BYTES = 1 << 30
"""How much memory the features of one batch may take; the same on every machine, since CKA depends on the batches."""
EXACT_BYTES = 2 << 30
"""How much memory the two blocks of images that exact CKA holds may take."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Similarity:
    """How similar two representations are; CKA is None where one of them does not vary."""

    cka: float | None
    alignment: Alignment


_ITSELF = Similarity(1.0, Alignment(0.0, 1.0, 1.0))


class SimilarityCache:
    """Linear CKA, Procrustes distance and CCA at (bottom, top) cuts on test images; a top's own activations."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._similarities: dict[Key, Similarity] = {}
        self._own: dict[Key, OwnActivations | None] = {}

    def similarities(self, ends: Ends, pairs: Pairs) -> Pass[list[Similarity | None]]:
        """How similar each pair of cuts is; None for noise. A representation with itself costs nothing."""
        if ends.noise is not None:
            return [None] * len(pairs)
        missing = self._missing(ends, pairs)
        if missing:
            # The same way round whoever asks, to the last bit: a run may be stopped and resumed between the two.
            turned = ends.names[0] > ends.names[1]
            one, cuts = (Ends(ends.top, ends.bottom), [(t, b) for b, t in missing]) if turned else (ends, missing)
            found = yield from self.measured(chains(self.session, one, cuts), len(self.session.dataset.test))
            self._similarities.update(zip((_key(ends, p) for p in missing), found, strict=True))
        return [self._similarities.get(_key(ends, p), _ITSELF) for p in pairs]

    def own(self, top: Loaded, pairs: Pairs) -> Pass[list[OwnActivations | None]]:
        """The top's own activations on training images at each pair's top cut."""
        name = top.network.name
        missing = [cut for cut in top.traced.cuts if cut in {t for _, t in pairs} and (name, cut.name) not in self._own]
        if missing:
            chain = self.session.chain(top, missing)
            images = self.session.dataset.train
            batches = (batch for batch, _ in in_order(images, self.session.evaluation_batch(missing, 1)))
            found = yield from own_activations(chain, range(1, len(missing) + 1), batches)
            self._own.update(zip(((name, cut.name) for cut in missing), found, strict=True))
        return [self._own[name, t.name] for _, t in pairs]

    def visits(self, ends: Ends, pairs: Pairs) -> int:
        """How many images the passes of these two will see for these pairs."""
        name = ends.top.network.name
        own = any((name, t.name) not in self._own for _, t in pairs)
        count = len(self.session.dataset.train) if own else 0
        if ends.noise is not None or not (missing := self._missing(ends, pairs)):
            return count
        count += len(self.session.dataset.test)
        if (images := self._exact_images) is not None:
            block = self._block(chains(self.session, ends, missing), EXACT_BYTES // 2)
            count += 2 * images + sum(max(0, images - first - block) for first in range(0, images, block))
        return count

    @property
    def _exact_images(self) -> int | None:
        """How many test images exact CKA is taken over; None where CKA comes from minibatches."""
        experiment = self.session.experiment
        return min(len(self.session.dataset.test), experiment.cka_images) if experiment.cka == "exact" else None

    def _missing(self, ends: Ends, pairs: Pairs) -> Pairs:
        same = ends.bottom is ends.top  # there a representation with itself needs no measuring
        return [p for p in pairs if _key(ends, p) not in self._similarities and not (same and p[0].name == p[1].name)]

    @torch.no_grad()
    def measured(self, both: Chains, images: int) -> Pass[list[Similarity]]:
        """Compare each of the chains' ends over so many of the test images, in one pass; exact CKA takes more."""
        shift = 0 if both.bottom is both.top else len(both.bottom.cuts)
        pairs = [(low - 1, shift + high - 1) for low, high in both.ends]
        axes = [channel_axis(side, k) for side in _sides(both) for k in range(1, len(side.cuts) + 1)]
        cka, alignments, exact = MinibatchCka(pairs), Alignments(pairs), self._exact_images
        for features in self._features(both, images):
            if exact is None:
                cka.add(features)
            alignments.add([pooled(f, axis) for f, axis in zip(features, axes, strict=True)])
            yield len(features[0])
        values = cka.values() if exact is None else (yield from self._exact(both, pairs, min(images, exact)))
        finite = [value if math.isfinite(value) else None for value in values]
        return [Similarity(*found) for found in zip(finite, alignments.values(), strict=True)]

    def _features(self, both: Chains, images: int) -> Iterator[list[Tensor]]:
        """Batches of each cut's features, the bottom's first; once if both are one network."""
        test = self._shuffled(images)
        for batch in split(test, min(CKA_BATCH, self._block(both, PASS_BYTES))):
            yield _at_cuts(both, batch)

    def _shuffled(self, images: int) -> Tensor:
        # Test parts may come class by class: a few of their images are a random few, a batch has all classes.
        dataset = self.session.dataset
        chosen = torch.randperm(len(dataset.test), generator=torch.Generator().manual_seed(0))[:images]
        return dataset.test.images[chosen.to(self.session.device)]

    def _block(self, both: Chains, most: int) -> int:
        """Images whose features at the cuts of both take so many bytes."""
        per_image = 4 * sum(torch.Size(c.shape).numel() for side in _sides(both) for c in side.cuts)
        return max(4, most // per_image)

    def _exact(self, both: Chains, pairs: list[tuple[int, int]], images: int) -> Pass[list[float]]:
        test = self._shuffled(images)

        def features(first: int, end: int) -> list[Tensor]:
            return _at_cuts(both, test[first:end])

        return (yield from linear_cka(features, images, pairs, min(images, self._block(both, EXACT_BYTES // 2))))


def _sides(both: Chains) -> list[Chain]:
    return [both.bottom] if both.bottom is both.top else [both.bottom, both.top]


def _at_cuts(both: Chains, images: Tensor) -> list[Tensor]:
    batch = pixels(images)
    return [f for side in _sides(both) for f in side.features(batch, len(side.cuts))[1:]]


def _key(ends: Ends, pair: tuple[object, object]) -> Key:
    """All of these are symmetric: both orders of two representations have one key."""
    one, other = ((name, cut.name) for name, cut in zip(ends.names, pair, strict=True))  # type: ignore[attr-defined]
    return (*one, *other) if one <= other else (*other, *one)
