"""`network_seeds`: every network that is trained here once for each seed, and every pair of them."""

from stitchtui.base.errors import BadInput
from stitchtui.spec.experiment import Experiment, NetworkSpec, PairSpec
from stitchtui.spec.seed_names import name_in

SEED_STEP = 1000
"""What lies between the seeds of one network, so that those that a preset tells apart by small numbers stay apart."""


def in_every_seed(experiment: Experiment) -> Experiment:
    """The experiment with each network and pair written out once for each of its `network_seeds`.

    The same again where that was done already. A network that isn't trained here is the same in each. Raises BadInput
    where no network is trained here, or something else has a name that is needed.
    """
    if experiment.network_seeds == 1:
        return experiment
    mine = _first_seeds(experiment)
    if not mine:
        raise BadInput.at(
            "network_seeds",
            f"expected 1, got {experiment.network_seeds}: no network of this experiment is trained here; for more than"
            " one stitch use stitch.seeds",
        )
    seeds = range(1, experiment.network_seeds + 1)
    networks = dict(experiment.networks)
    for seed in seeds[1:]:
        for name in mine:
            wanted = _reseeded(experiment.networks[name], seed, mine)
            if networks.setdefault(name_in(name, seed), wanted) != wanted:
                raise BadInput.at(
                    f"networks.{name_in(name, seed)}",
                    f"network_seeds = {experiment.network_seeds} gives this name to '{name}' trained from another seed;"
                    " choose another name, or network_seeds = 1",
                )
    also = tuple(
        request if request.pairs is None else request.model_copy(update={"pairs": _pairs(request.pairs, mine, seeds)})
        for request in experiment.also
    )
    changed = {"networks": networks, "pairs": _pairs(experiment.pairs, mine, seeds), "also": also}
    return experiment.model_copy(update=changed)


def _first_seeds(experiment: Experiment) -> list[str]:
    """The networks that are trained here, without those that are one of them from a later seed."""
    trained = {name: spec for name, spec in experiment.networks.items() if spec.made_here}
    later = {name_in(name, seed) for name in trained for seed in range(2, experiment.network_seeds + 1)}
    return [name for name in trained if name not in later]


def _reseeded(spec: NetworkSpec, seed: int, mine: list[str]) -> NetworkSpec:
    start = spec.start_from
    start = name_in(start, seed) if start in mine else start
    return spec.model_copy(update={"seed": spec.seed + SEED_STEP * (seed - 1), "start_from": start})


def _pairs(pairs: tuple[PairSpec, ...], mine: list[str], seeds: range) -> tuple[PairSpec, ...]:
    """The pairs of the first seed, then those of the second; of all seeds the paper's curve is beside the first."""
    found = {(pair.bottom, pair.top): pair for pair in pairs}
    for seed in seeds[1:]:
        for pair in pairs:
            bottom, top = (name_in(end, seed) if end in mine else end for end in (pair.bottom, pair.top))
            again = pair.model_copy(update={"bottom": bottom, "top": top, "reference": None})
            if (pair.bottom in mine or pair.top in mine) and _first(pair, mine):
                found.setdefault((bottom, top), again)
    return tuple(found.values())


def _first(pair: PairSpec, mine: list[str]) -> bool:
    """Whether the pair is none that a later seed brought."""
    return not any(end.rpartition("#")[0] in mine for end in (pair.bottom, pair.top) if end not in mine)
