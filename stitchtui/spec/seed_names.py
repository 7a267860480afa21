"""What the networks of an experiment are called in each of its network seeds."""

from collections.abc import Collection, Mapping

MOST_SEEDS = 100


def name_in(name: str, seed: int) -> str:
    """What a network is called in the first, second, third seed: `a`, `a#2`, `a#3`."""
    return name if seed == 1 else f"{name}#{seed}"


def in_each(name: str, seeds: int, known: Collection[str]) -> list[str]:
    """What the network is called in every seed; one that isn't trained here is the same in each."""
    return [name_in(name, seed) if name_in(name, seed) in known else name for seed in range(1, seeds + 1)]


def first_names(names: Collection[str], seeds: int) -> dict[str, str]:
    """The name in the first seed of each network of a later one."""
    return {name_in(name, seed): name for name in names for seed in range(2, seeds + 1) if name_in(name, seed) in names}


def said_in(experiment: Mapping[str, object]) -> int:
    """How many network seeds an experiment has, as a log holds it, which may be anything."""
    said = experiment.get("network_seeds")
    return said if isinstance(said, int) and 1 <= said <= MOST_SEEDS else 1
