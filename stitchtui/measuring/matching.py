"""Direct matching for the tasks of a run: maps in closed form, and what stitches that start as them score.

Families that are fitted on the same moments share the pass over the images; a trained column starts from the maps
that its direct-matching column has found.
"""

from stitchtui.base.work import Pass
from stitchtui.measuring.material import Ends, Material
from stitchtui.measuring.planned_cells import Chains, Pairs
from stitchtui.measuring.session import Session
from stitchtui.spec.experiment import StitchSpec
from stitchtui.spec.families import FAMILIES, may_scale, start_family
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.direct import AffineMap, Moments, at_variance_of, fit_direct, moments
from stitchtui.stitching.evaluate import Scores

Key = tuple[object, ...]


class Matching:
    """The maps of a session, by what they were fitted on."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.scores: dict[Key, Scores] = {}
        """What a stitch scores that computes just a map, by the map's key."""
        self._maps: dict[Key, AffineMap | str] = {}
        self._scaled: dict[Key, AffineMap] = {}
        self._moments: tuple[Key, list[Moments]] | None = None

    def key(self, ends: Ends, pair: tuple[str, str], family: str, stitch: StitchSpec, material: Material) -> Key:
        """What the map between two cuts is known by."""
        rank = stitch.rank if FAMILIES[family].takes_rank else None
        return (*ends.names, *pair, family, rank, stitch.ridge, material.digest)

    def maps(
        self,
        ends: Ends,
        both: Chains,
        pairs: Pairs,
        *,
        family: str,
        stitch: StitchSpec,
        material: Material,
    ) -> Pass[list[AffineMap | str]]:
        """The closed-form map that a stitch of `family` starts from at each pair of cuts, or why there is none."""
        family = start_family(family)
        keys = [self.key(ends, (b.name, t.name), family, stitch, material) for b, t in pairs]
        if any(key not in self._maps for key in keys):
            kernel = FAMILIES[family].kernel
            wanted = _moments_key(ends, pairs, kernel, material)
            found = yield from self._measured(wanted, both, material, kernel)
            for key, m in zip(keys, found, strict=True):
                self._maps[key] = fitted = _fitted(family, m, stitch)
                if may_scale(family) and isinstance(fitted, AffineMap):
                    self._scaled[key] = at_variance_of(m, fitted)
        return [self._maps[key] for key in keys]

    def scaled(self, key: Key) -> AffineMap | None:
        """The map that `maps` found for this key at the top's variance; None of a family that can't be scaled."""
        return self._scaled.get(key)

    def knows(self, ends: Ends, pairs: Pairs, family: str, stitch: StitchSpec, material: Material) -> bool:
        """Whether `maps` needs no pass over the images for these."""
        name = start_family(family)
        keys = [self.key(ends, (b.name, t.name), name, stitch, material) for b, t in pairs]
        kept = self._moments is not None and self._moments[0] == _moments_key(
            ends, pairs, FAMILIES[name].kernel, material
        )
        return kept or all(key in self._maps for key in keys)

    def _measured(self, key: Key, both: Chains, material: Material, kernel: int) -> Pass[list[Moments]]:
        if self._moments is None or self._moments[0] != key:  # the last only: they are large
            self._moments = None
            batch = self.session.evaluation_batch([*both.bottom.cuts, *both.top.cuts], len(both.ends))
            batches = (images for images, _ in material.once(batch, both.bottom))
            self._moments = key, (yield from moments(both.bottom, both.top, list(both.ends), batches, kernel))
        return self._moments[1]


def _moments_key(ends: Ends, pairs: Pairs, kernel: int, material: Material) -> Key:
    return (*ends.names, tuple((b.name, t.name) for b, t in pairs), kernel, material.digest)


def _fitted(family: str, m: Moments, stitch: StitchSpec) -> AffineMap | str:
    try:
        return fit_direct(family, m, ridge=stitch.ridge, rank=stitch.rank)
    except (FloatingPointError, Misfit) as error:
        return str(error)
