"""Likeness of two networks' representations without any stitch, each pair of cuts computed once for all tasks."""

from collections.abc import Callable, Iterable

import torch

from stitchtui.stitching.outlying import OwnActivations, own_activations
from stitchtui.stitching.similarity import Alignment, alignments, linear_cka
from stitchtui.stitching.streamed import channel_axis, pooled
from stitchtui.worker.feed import in_order, pixels
from stitchtui.worker.material import Ends
from stitchtui.worker.places import Chains, Pairs, chains
from stitchtui.worker.session import Loaded, Session

CKA_BYTES = 2 << 30
"""How much memory the features of two blocks of images may take."""

Ticking = Callable[[int], None]
Key = tuple[str, ...]


class Likeness:
    """Linear CKA, Procrustes distance and CCA at (bottom, top) cuts on test images; a top's own activations."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._cka: dict[Key, float] = {}
        self._aligned: dict[Key, Alignment] = {}
        self._own: dict[Key, OwnActivations | None] = {}

    def cka(self, ends: Ends, pairs: Pairs, ticking: Ticking) -> list[float | None]:
        """CKA at each pair of cuts; None for noise. A representation with itself has 1 and costs nothing."""
        if ends.noise is not None:
            return [None] * len(pairs)
        missing = _missing(self._cka, ends, pairs)
        if missing:
            found = self.measured(chains(self.session, ends, missing), self.images, ticking)
            self._cka.update(zip((_key(ends, p) for p in missing), found, strict=True))
        return [self._cka.get(_key(ends, p), 1.0) for p in pairs]

    def aligned(self, ends: Ends, pairs: Pairs, ticking: Ticking) -> list[Alignment | None]:
        """Procrustes distance and mean CCA of each pair's features, averaged over positions; None for noise."""
        if ends.noise is not None:
            return [None] * len(pairs)
        missing = _missing(self._aligned, ends, pairs)
        if missing:
            both = chains(self.session, ends, missing)
            shift = 0 if both.bottom is both.top else len(both.bottom.cuts)
            places = [(low - 1, shift + high - 1) for low, high in both.ends]
            found = alignments(self._pooled(both, ticking), places)
            self._aligned.update(zip((_key(ends, p) for p in missing), found, strict=True))
        return [self._aligned.get(_key(ends, p), Alignment(0.0, 1.0, 1.0)) for p in pairs]

    def own(self, top: Loaded, pairs: Pairs, ticking: Ticking) -> list[OwnActivations | None]:
        """What the top itself has on training images at each pair's top cut."""
        name = top.network.name
        missing = [cut for cut in top.traced.cuts if cut in {t for _, t in pairs} and (name, cut.name) not in self._own]
        if missing:
            chain = self.session.chain(top, missing)
            images = self.session.dataset.train
            batches = (batch for batch, _ in in_order(images, self.session.evaluation_batch(missing, 1), ticking))
            found = own_activations(chain, range(1, len(missing) + 1), batches)
            self._own.update(zip(((name, cut.name) for cut in missing), found, strict=True))
        return [self._own[name, t.name] for _, t in pairs]

    def visits(self, ends: Ends, pairs: Pairs) -> int:
        """How many images these three will say to their `ticking` for these pairs."""
        name = ends.top.network.name
        own = any((name, t.name) not in self._own for _, t in pairs)
        count = len(self.session.dataset.train) if own else 0
        if ends.noise is not None:
            return count
        if _missing(self._aligned, ends, pairs):
            count += len(self.session.dataset.test)
        if missing := _missing(self._cka, ends, pairs):
            block = self._block(chains(self.session, ends, missing))
            count += 2 * self.images
            count += sum(max(0, self.images - first - block) for first in range(0, self.images, block))
        return count

    @property
    def images(self) -> int:
        """How many test images CKA is taken over."""
        return min(len(self.session.dataset.test), self.session.experiment.cka_images)

    def _pooled(self, both: Chains, ticking: Ticking) -> Iterable[list[torch.Tensor]]:
        """Batches of each cut's features [images, channels], the bottom's first; once if both are one network."""
        sides = [both.bottom] if both.bottom is both.top else [both.bottom, both.top]
        size = self.session.evaluation_batch([cut for side in sides for cut in side.cuts], len(sides))
        for images, _ in in_order(self.session.dataset.test, size, ticking):
            with torch.no_grad():
                found = [side.features(images, len(side.cuts)) for side in sides]
            yield [
                pooled(features[k], channel_axis(side, k))
                for side, features in zip(sides, found, strict=True)
                for k in range(1, len(side.cuts) + 1)
            ]

    def _block(self, both: Chains) -> int:
        cuts = both.bottom.cuts if both.bottom is both.top else (*both.bottom.cuts, *both.top.cuts)
        per_image = 4 * sum(torch.Size(c.shape).numel() for c in cuts)
        return max(2, min(self.images, CKA_BYTES // (2 * per_image)))

    @torch.no_grad()
    def measured(self, both: Chains, images: int, ticking: Ticking) -> list[float]:
        """Linear CKA at each of the chains' ends, over `images` of the test images."""
        bottom, top = both.bottom, both.top
        n = len(bottom.cuts)
        # Test parts may come class by class: a few of their images are a random few.
        dataset, device = self.session.dataset, self.session.device
        chosen = torch.randperm(len(dataset.test), generator=torch.Generator().manual_seed(0))[:images]
        test = dataset.test.images[chosen.sort().values.to(device)]

        def features(first: int, end: int) -> list[torch.Tensor]:
            ticking(end - first)
            batch = pixels(test[first:end])
            own = bottom.features(batch, n)[1:]
            return own if bottom is top else own + top.features(batch, len(top.cuts))[1:]

        shift = 0 if bottom is top else n
        pairs = [(low - 1, shift + high - 1) for low, high in both.ends]
        return linear_cka(features, images, pairs, min(images, self._block(both)))


def _missing(known: dict[Key, float] | dict[Key, Alignment], ends: Ends, pairs: Pairs) -> Pairs:
    same = ends.bottom is ends.top  # there a representation with itself needs no measuring
    return [p for p in pairs if _key(ends, p) not in known and not (same and p[0].name == p[1].name)]


def _key(ends: Ends, pair: tuple[object, object]) -> Key:
    """All of these are symmetric: both orders of two representations have one key."""
    one, other = ((name, cut.name) for name, cut in zip(ends.names, pair, strict=True))  # type: ignore[attr-defined]
    return (*one, *other) if one <= other else (*other, *one)
