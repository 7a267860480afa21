"""What is measured: two networks, pairs of cuts with stitches between them, and a batch that stays in place."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.errors import BadInput
from stitchtui.networks import architectures
from stitchtui.networks.network import freeze
from stitchtui.networks.trying import look
from stitchtui.stitching import fit, stitches
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.controls import recalibrate
from stitchtui.stitching.cuts import Cut, Traced, Untraceable
from stitchtui.stitching.reference import CellTrainer
from stitchtui.text import plain

CLASSES = 10
MANY_STEPS = 1_000_000
"""So that the learning rate hardly moves while steps are timed."""

CutPair = tuple[Cut, Cut]
"""Where the bottom ends and where the top goes on."""


@dataclass(frozen=True)
class Options:
    """What the user may choose."""

    architecture: str = "resnet20"
    width: float = 1.0
    shape: tuple[int, int, int] = (3, 32, 32)
    cuts: str | tuple[str, ...] = "blocks"
    batch_size: int = 128
    rounds: int = 5


class _Normalised(nn.Module):
    """A network that takes images in [0, 1]."""

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__()
        self.normalise, self.network = normalise, network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.normalise(images))


class Base:
    """One network of the pair: whole, as the published way has it, and traced, as a column has it.

    Our side has its channels last, as a run has; the published way keeps PyTorch's own order. Raises Untraceable.
    """

    def __init__(
        self, module: nn.Module, example: Tensor, normalise: Normalise | None = None, leaves: Sequence[str] = ()
    ) -> None:
        """`example`: images as `module` takes them; both ways `normalise` makes such of images in [0, 1]."""
        self.normalise = normalise
        self.whole = module if normalise is None else _Normalised(normalise, module).eval()
        self.traced = Traced(copy.deepcopy(module), example, leaves)
        self.traced.lay_out_channels_last()
        self._modules = {path for path, _ in self.whole.named_modules()}

    def path(self, cut: Cut) -> str:
        """What the whole network calls the module that ends at the cut."""
        return cut.name if self.normalise is None else f"network.{cut.name}"

    def hookable(self, cut: Cut) -> bool:
        """Whether a module ends there, which the published way needs for its hooks."""
        return self.path(cut) in self._modules

    def chain(self, cuts: Sequence[Cut]) -> Chain:
        """The network cut at `cuts`, from images in [0, 1]."""
        return Chain(self.traced, cuts, self.normalise)


class Subject:
    """Networks, cuts and one batch of a benchmark, on one device."""

    def __init__(
        self, options: Options, bottom: Base, top: Base, batch: tuple[Tensor, Tensor], dtype: torch.dtype
    ) -> None:
        """`batch`: images in [0, 1] and labels, on the device; `dtype` is what a column is trained in."""
        self.options, self.dtype = options, dtype
        self.bottom, self.top = bottom, top
        images, self.labels = batch
        self.device = images.device
        # Cloned: for one channel contiguous() would keep strides with the channels last, which a view() can't take.
        self.images = images.clone(memory_format=torch.contiguous_format)
        self.batch = images.contiguous(memory_format=torch.channels_last), self.labels
        self.cuts = self._hookable()

    def _hookable(self) -> list[CutPair]:
        """The pairs of cuts at which the published way can hook a module."""
        try:
            chosen = [base.traced.select(self.options.cuts) for base in (self.bottom, self.top)]
        except ValueError as error:
            raise BadInput(f"--{error}") from None
        if len(chosen[0]) != len(chosen[1]):
            counts = f"the bottom has {len(chosen[0])} and the top {len(chosen[1])}"
            raise BadInput(f"--cuts: {counts}; expected as many: name cuts that both have")
        pairs = zip(*chosen, strict=True)
        found = [(b, t) for b, t in pairs if self.bottom.hookable(b) and self.top.hookable(t)]
        if not found:
            raise BadInput("--cuts: none of these is where a module ends, which the published way needs for its hooks")
        return found

    def chains(self, cuts: Sequence[CutPair]) -> tuple[Chain, Chain]:
        """Bottom and top, cut at `cuts`."""
        return self.bottom.chain([b for b, _ in cuts]), self.top.chain([t for _, t in cuts])

    def cells(self, cuts: Sequence[CutPair]) -> list[fit.Cell]:
        """An affine stitch at each pair of cuts, started at random, the same at every call."""
        return [fit.Cell(k, k, self._stitch("affine", pair)) for k, pair in enumerate(cuts, 1)]

    def _stitch(self, family: str, pair: CutPair) -> nn.Module:
        stitch = stitches.build(family, *pair)
        stitches.start_at_random(stitch, torch.Generator().manual_seed(pair[0].channels))
        return stitch.to(self.device)

    def recipe(self, memory: int | None = None) -> fit.Recipe:
        """The recipe of a long training."""
        return fit.Recipe(MANY_STEPS, dtype=self.dtype, memory=memory)

    def published(self, family: str = "affine") -> list[CellTrainer]:
        """One trainer per cell, as papers train them; affine stitches start as those of `cells` do."""
        made = [self._stitch(family, pair) for pair in self.cuts]
        return [self.cell_trainer(pair, s, MANY_STEPS) for pair, s in zip(self.cuts, made, strict=True)]

    def cell_trainer(self, pair: CutPair, stitch: nn.Module, steps: int, learning_rate: float = 1e-3) -> CellTrainer:
        """The published way to train one cell."""
        ends = self.bottom.whole, self.top.whole
        return CellTrainer(*ends, self.hooks(pair), stitch, steps=steps, learning_rate=learning_rate)

    def hooks(self, pair: CutPair) -> tuple[str, str]:
        """The paths of the modules, of bottom and top, that the published way hooks into."""
        return self.bottom.path(pair[0]), self.top.path(pair[1])

    def plain_batch(self) -> tuple[Tensor, Tensor]:
        """The same batch in PyTorch's own order."""
        return self.images, self.labels


def random_subject(options: Options, device: torch.device, dtype: torch.dtype) -> Subject:
    """Two networks of one architecture with random weights, and random images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.batch_size, *options.shape, generator=generator).to(device)
    labels = torch.randint(CLASSES, (options.batch_size,), generator=generator).to(device)
    bottom, top = (_random(options, seed, images) for seed in (0, 1))
    return Subject(options, bottom, top, (images, labels), dtype)


def _random(options: Options, seed: int, images: Tensor) -> Base:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = architectures.build(options.architecture, CLASSES, options.shape, options.width).to(images.device)
    look(module, options.shape)
    recalibrate(module, [images])  # random weights alone let activations grow without bound
    try:
        return Base(freeze(module), images[:5])
    except Untraceable as error:
        raise BadInput(f"--architecture {plain(options.architecture)}: {error}") from None
