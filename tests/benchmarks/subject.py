"""What is measured: two networks, pairs of cuts with stitches between them, and a batch that stays in place."""

import copy
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from reference import CellTrainer
from torch import Tensor, nn

from stitchtui.base import device as devices
from stitchtui.base.errors import BadInput
from stitchtui.networks import by_name
from stitchtui.networks.network import freeze
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.reinitialise import recalibrate

CLASSES = 10
MANY_STEPS = 1_000_000
"""So that the learning rate hardly moves while steps are timed."""

CutPair = tuple[Cut, Cut]
"""Where the bottom ends and where the top goes on."""


@dataclass(frozen=True)
class Options:
    """How to measure, whatever the networks are; `precision` is what a column is trained in."""

    cuts: str | Sequence[str] = "blocks"
    batch_size: int = 128
    rounds: int = 5
    device: str = "auto"
    precision: str = "auto"


def parser(description: str | None) -> ArgumentParser:
    """A command line with what all benchmarks can be told."""
    made = ArgumentParser(description=description, formatter_class=ArgumentDefaultsHelpFormatter)
    made.add_argument("--cuts", default="blocks", help="blocks, all, or names of cuts with commas between them")
    made.add_argument("--batch-size", type=int, default=128, help="images in a step")
    made.add_argument("--rounds", type=int, default=5, help="how often everything is timed, by turns")
    made.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N")
    made.add_argument("--precision", default="auto", help="of a column's training: auto, float32 or bfloat16")
    made.add_argument("--threads", type=int, default=torch.get_num_threads(), help="how many CPU threads to use")
    return made


def prepared(told: Namespace) -> Options:
    """What the command line says, with torch set up as a run sets it up."""
    devices.compute_in_full_float32()
    torch.set_num_threads(told.threads)
    cuts = told.cuts if told.cuts in ("blocks", "all") else told.cuts.split(",")
    return Options(cuts, told.batch_size, told.rounds, told.device, told.precision)


class _Normalised(nn.Module):
    """A network that takes images in [0, 1]."""

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__()
        self.normalise, self.network = normalise, network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.normalise(images))


class Base:
    """One network of the pair: whole, as the published way has it, and traced, as a column has it.

    Our side has its channels last, as a run has; the published way keeps PyTorch's own order.
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

    def __init__(self, options: Options, bottom: Base, top: Base, batch: tuple[Tensor, Tensor]) -> None:
        """`batch`: images in [0, 1] and labels, on the device."""
        self.options = options
        self.bottom, self.top = bottom, top
        images, self.labels = batch
        self.device = images.device
        self.dtype = devices.training_dtype(options.precision, self.device)
        # Cloned: for one channel contiguous() would keep strides with the channels last, which a view() can't take.
        self.images = images.clone(memory_format=torch.contiguous_format)
        self.batch = images.contiguous(memory_format=torch.channels_last), self.labels
        self.cuts = self._hookable()

    def __str__(self) -> str:
        where = f"{devices.describe(self.device)}, {self.options.rounds} rounds by turns"
        precision = str(self.dtype).removeprefix("torch.")
        return f"{len(self.cuts)} cuts, batches of {len(self.labels)}, {precision}, {where}"

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

    def cells(self, cuts: Sequence[CutPair]) -> list[column_trainer.Seam]:
        """An affine stitch at each pair of cuts, started at random, the same at every call."""
        return [column_trainer.Seam(k, k, self._stitch("affine", pair)) for k, pair in enumerate(cuts, 1)]

    def _stitch(self, family: str, pair: CutPair) -> nn.Module:
        stitch = stitches.build(family, *pair)
        stitches.start_at_random(stitch, torch.Generator().manual_seed(pair[0].channels))
        return stitch.to(self.device)

    def recipe(self, memory: int | None = None) -> column_trainer.Recipe:
        """The recipe of a long training."""
        return column_trainer.Recipe(MANY_STEPS, dtype=self.dtype, memory=memory)

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


def random_subject(
    options: Options, architecture: str = "resnet20", width: float = 1.0, shape: tuple[int, ...] = (3, 32, 32)
) -> Subject:
    """Two networks of one architecture with random weights, and random images [channels, height, width]."""
    device = devices.pick(options.device)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.batch_size, *shape, generator=generator).to(device)
    labels = torch.randint(CLASSES, (options.batch_size,), generator=generator).to(device)
    bases = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        module = by_name.build(architecture, CLASSES, shape, width).to(device)
        recalibrate(module, [images])  # random weights alone let activations grow without bound
        bases.append(Base(freeze(module), images[:5]))
    return Subject(options, *bases, (images, labels))


def random_subject_told(description: str | None) -> Subject:
    """The networks with random weights that the command line asks for."""
    made = parser(description)
    made.add_argument("--architecture", default="resnet20", help="what both networks are")
    made.add_argument("--width", type=float, default=1.0, help="multiplies the channels of every layer")
    made.add_argument("--shape", default="3,32,32", help="one image's channels,height,width")
    told = made.parse_args()
    shape = tuple(int(size) for size in told.shape.split(","))
    return random_subject(prepared(told), told.architecture, told.width, shape)
