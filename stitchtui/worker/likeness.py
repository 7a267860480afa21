"""CKA between the cuts of two networks of a run: each pair of cuts is computed once, for all the tasks that ask."""

from collections.abc import Callable, Sequence

import torch

from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.similarity import linear_cka
from stitchtui.worker.feed import pixels
from stitchtui.worker.places import Chains, chains
from stitchtui.worker.session import Loaded, Session

CKA_BYTES = 2 << 30
"""How much memory the features of two blocks of images may take."""

Ends = tuple[Loaded, Loaded]
Pairs = Sequence[tuple[Cut, Cut]]


class Likeness:
    """Linear CKA on test images at (bottom, top) cuts."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known: dict[tuple[str, ...], float] = {}

    def cka(self, ends: Ends, pairs: Pairs, ticking: Callable[[int], None]) -> list[float]:
        """CKA at each pair of cuts; those of one representation with itself are 1 and cost nothing."""
        missing = self._missing(ends, pairs)
        if missing:
            found = self.measured(chains(self.session, ends, missing), self.images, ticking)
            self._known.update(zip((_key(ends, p) for p in missing), found, strict=True))
        return [self._known.get(_key(ends, p), 1.0) for p in pairs]

    def visits(self, ends: Ends, pairs: Pairs) -> int:
        """How many images `cka` will say to its `ticking` for these pairs."""
        missing = self._missing(ends, pairs)
        if not missing:
            return 0
        both = chains(self.session, ends, missing)
        block = self._block(both)
        return 2 * self.images + sum(max(0, self.images - first - block) for first in range(0, self.images, block))

    @property
    def images(self) -> int:
        """How many test images CKA is taken over."""
        return min(len(self.session.dataset.test), self.session.experiment.cka_images)

    def _missing(self, ends: Ends, pairs: Pairs) -> Pairs:
        own = ends[0] is ends[1]  # there a representation with itself has CKA 1
        return [p for p in pairs if _key(ends, p) not in self._known and not (own and p[0].name == p[1].name)]

    def _block(self, both: Chains) -> int:
        cuts = both.bottom.cuts if both.bottom is both.top else (*both.bottom.cuts, *both.top.cuts)
        per_image = 4 * sum(torch.Size(c.shape).numel() for c in cuts)
        return max(2, min(self.images, CKA_BYTES // (2 * per_image)))

    @torch.no_grad()
    def measured(self, both: Chains, images: int, ticking: Callable[[int], None]) -> list[float]:
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


def _key(ends: Ends, pair: tuple[Cut, Cut]) -> tuple[str, ...]:
    """CKA is symmetric: both orders of two representations have one key."""
    one, other = ((loaded.network.name, cut.name) for loaded, cut in zip(ends, pair, strict=True))
    return (*one, *other) if one <= other else (*other, *one)
