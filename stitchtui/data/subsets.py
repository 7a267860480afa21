"""Which images: index ranges, seeded random subsets and stratified splits, as sorted indices."""

import hashlib

import torch
from torch import Tensor

from stitchtui.base.errors import BadInput
from stitchtui.spec.experiment import Subset


def generator(purpose: str, seed: int) -> torch.Generator:
    """A CPU generator for any whole number as seed; two purposes never share their draws."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def random_subset(n: int, size: int, draws: torch.Generator) -> Tensor:
    """`size` distinct indices below `n`, ascending; of one seed, a smaller subset lies within a larger one."""
    return torch.randperm(n, generator=draws)[:size].sort().values


def indices_for_training(n: int, subset: Subset, key: str) -> Tensor:
    """The indices that `subset` keeps of `n` training images: its range, then a random `train_size` of that.

    Raises BadInput naming `key`.train_range or `key`.train_size where there are not so many images.
    """
    first, end = subset.train_range or (0, n)
    if end > n:
        raise BadInput.at(
            f"{key}.train_range",
            f"[{first}, {end}] goes beyond the {n} training images there are; expected an end of at most {n}",
        )
    size = end - first if subset.train_size is None else subset.train_size
    if size > end - first:
        where = f"{key}.train_range leaves" if subset.train_range else "there are"
        raise BadInput.at(
            f"{key}.train_size",
            f"{size} asked for, but {where} {end - first} training images; expected at most {end - first}",
        )
    order = torch.arange(n)
    if subset.shuffled:
        order = torch.randperm(n, generator=generator("shuffled", subset.subset_seed))
    chosen = random_subset(end - first, size, generator("train_size", subset.subset_seed))
    return order[first:end][chosen].sort().values


def indices_for_testing(n: int, size: int | None, seed: int) -> Tensor:
    """A seeded random subset of `size` of `n` test images, or all of them; BadInput names data.test_size."""
    if size is None:
        return torch.arange(n)
    if size > n:
        raise BadInput.at("data.test_size", f"{size} asked for, but there are {n} test images; expected at most {n}")
    return random_subset(n, size, generator("test_size", seed))


def stratified_split(labels: Tensor, test_total: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Training and test indices, ascending, with every class in about the proportion it has in `labels`.

    Each class gives the test part its share of `test_total` rounded down or up, and keeps at least one training
    image; where that leaves no room, the test part is smaller than asked for.
    """
    counts = torch.bincount(labels)
    quotas = _quotas(counts.tolist(), test_total)
    in_test = torch.zeros(len(labels), dtype=torch.bool)
    for label, quota in enumerate(quotas):
        members = (labels == label).nonzero().flatten()
        in_test[members[torch.randperm(len(members), generator=draws)[:quota]]] = True
    return (~in_test).nonzero().flatten(), in_test.nonzero().flatten()


def _quotas(counts: list[int], total: int) -> list[int]:
    n = sum(counts)
    quotas = [count * total // n for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda label: -(counts[label] * total % n))
    for label in by_remainder:
        if sum(quotas) < total and quotas[label] + 1 < counts[label]:
            quotas[label] += 1
    return quotas
