"""What is measured: a pair of networks with random weights, stitches at their cuts, and a batch that stays in place."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.errors import BadInput
from stitchtui.networks import architectures
from stitchtui.networks.network import freeze
from stitchtui.stitching import fit, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.controls import recalibrate
from stitchtui.stitching.cuts import Cut, Traced, Untraceable
from stitchtui.stitching.reference import CellTrainer
from stitchtui.text import plain

CLASSES = 10
MANY_STEPS = 1_000_000
"""So that the learning rate hardly moves while steps are timed."""


@dataclass(frozen=True)
class Options:
    """What the user may choose."""

    architecture: str = "resnet20"
    width: float = 1.0
    shape: tuple[int, int, int] = (3, 32, 32)
    cuts: str | tuple[str, ...] = "blocks"
    batch_size: int = 128
    rounds: int = 5


class Subject:
    """Networks, cuts and data of one benchmark, on one device."""

    def __init__(self, options: Options, device: torch.device, dtype: torch.dtype) -> None:
        self.options, self.device, self.dtype = options, device, dtype
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(options.batch_size, *options.shape, generator=generator)
        self.images = images.to(device)
        self.labels = torch.randint(CLASSES, (options.batch_size,), generator=generator).to(device)
        self.networks = [self._network(seed) for seed in (0, 1)]
        # Our side has its channels last, as a run has; the published way keeps PyTorch's own order.
        self.traced = [self._traced(copy.deepcopy(n)) for n in self.networks]
        self.cuts = self._hookable()
        self.batch = self.images.contiguous(memory_format=torch.channels_last), self.labels

    def _network(self, seed: int) -> nn.Module:
        o = self.options
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            module = architectures.build(o.architecture, CLASSES, o.shape, o.width).to(self.device)
        recalibrate(module, [self.images])  # random weights alone let activations grow without bound
        return freeze(module)

    def _traced(self, module: nn.Module) -> Traced:
        try:
            traced = Traced(module, self.images[:5])
        except Untraceable as error:
            raise BadInput(f"--architecture {plain(self.options.architecture)}: {error}") from None
        module.to(memory_format=torch.channels_last)
        return traced

    def _hookable(self) -> list[Cut]:
        """The cuts at which the published way can hook a module."""
        try:
            chosen = self.traced[0].select(self.options.cuts)
        except ValueError as error:
            raise BadInput(f"--{error}") from None
        paths = {path for path, _ in self.networks[0].named_modules()}
        found = [c for c in chosen if c.name in paths]
        if not found:
            raise BadInput("--cuts: none of these is where a module ends, which the published way needs for its hooks")
        return found

    def chains(self, cuts: Sequence[Cut]) -> tuple[Chain, Chain]:
        """Bottom and top, cut at `cuts`."""
        bottom, top = (Chain(traced, cuts) for traced in self.traced)
        return bottom, top

    def cells(self, cuts: Sequence[Cut]) -> list[fit.Cell]:
        """An affine stitch at each cut, started at random, the same at every call."""
        return [fit.Cell(k, k, self._stitch(cut)) for k, cut in enumerate(cuts, 1)]

    def _stitch(self, cut: Cut) -> nn.Module:
        stitch = stitches.build("affine", cut, cut)
        stitches.start_at_random(stitch, torch.Generator().manual_seed(cut.channels))
        return stitch.to(self.device)

    def recipe(self, memory: int | None = None) -> fit.Recipe:
        """The recipe of a long training."""
        return fit.Recipe(MANY_STEPS, dtype=self.dtype, memory=memory)

    def published(self) -> list[CellTrainer]:
        """One trainer per cut, as papers train them; their stitches start as those of `cells` do."""
        bottom, top = self.networks
        places = [(cut.name, cut.name) for cut in self.cuts]
        made = [self._stitch(cut) for cut in self.cuts]
        return [CellTrainer(bottom, top, place, s, steps=MANY_STEPS) for place, s in zip(places, made, strict=True)]

    def plain_batch(self) -> tuple[Tensor, Tensor]:
        """The same batch in PyTorch's own order."""
        return self.images, self.labels
