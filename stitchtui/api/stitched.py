"""Stitched networks as modules of their own: the bottom up to its cut, the stitch, the top after its cut."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.base.work import finish
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.feed import pixels
from stitchtui.networks.in_memory import borrowed
from stitchtui.networks.linear_heads import TRAIN
from stitchtui.networks.network import freeze, weight_digest
from stitchtui.networks.obtain import at_hand, obtain
from stitchtui.run.records import Cell, TaskState
from stitchtui.run.state import RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.experiment import Experiment
from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.cuts import Cut, Traced, Untraceable
from stitchtui.stitching.precision import in_float32

_EXAMPLES = 5  # images that a network is traced with
_CPU = torch.device("cpu")


class StitchedNetwork(nn.Module):
    """The bottom's layers up to a cut, the stitch, and the top's layers after its cut; frozen, in eval mode."""

    def __init__(self, bottom: nn.Module, stitch: nn.Module, top: nn.Module) -> None:
        super().__init__()
        self.bottom, self.stitch, self.top = bottom, stitch, top

    def forward(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1], or floats as the run's images are, [batch, channels, height, width], to class scores.

        Each network's own normalisation is inside. Returns float32 [batch, classes].
        """
        scores: Tensor = self.top(self.stitch(self.bottom(images)))
        return scores


class Networks:
    """The networks of a run, each obtained and traced once, on the CPU."""

    def __init__(self, state: RunState, experiment: Experiment, given: Mapping[str, nn.Module]) -> None:
        self._state, self._experiment, self._given = state, experiment, given
        self._traced: dict[str, Traced] = {}
        self._data: Dataset | None = None

    def stitched(self, task: TaskState, cell: Cell, tensors: Mapping[str, Tensor] | None) -> StitchedNetwork:
        """The stitched network of a cell, which shares nothing with its networks.

        `tensors` are those of its stitch; None for one that has nothing to be set.

        Raises BadInput where its networks can't be had any more, or aren't those that the run stitched.
        """
        spec = self._experiment.requests[task.request].stitch
        control = control_named(task.control)
        if control.in_bottom or control.in_top or control.fits != "stitch":
            raise BadInput.at("pair", f"a {control.words}'s layers aren't kept; ask for a pair", task.column)
        if spec.frozen_bn == "batch":
            raise BadInput("stitch.frozen_bn = 'batch' moves the networks' statistics, which aren't kept", "cut")
        below, bottom = self._cut(task.bottom, cell.bottom_cut or cell.cut)
        above, top = self._cut(task.top, cell.top_cut or cell.cut)
        stitch = stitches.build(task.family, bottom, top, rank=spec.rank)
        if tensors is not None:
            stitch.load_state_dict(dict(tensors))
        made = copy.deepcopy(StitchedNetwork(below.upto(1), stitch, above.after(1)))
        freeze(made)
        return made

    def _cut(self, name: str, cut: str) -> tuple[Chain, Cut]:
        """The network called `name` in two, and the cut between."""
        if name not in self._traced:
            self._traced[name] = self._trace(name)
        traced, known = self._traced[name], self._state.networks[name]
        (place,) = traced.select([cut])
        chain = Chain(traced, [place], Normalise(known.mean, known.std))
        with torch.no_grad():
            found = chain.features(pixels(self._stand_in.test.images))
        return in_float32(chain, [tensor.dtype for tensor in found]), place

    def _trace(self, name: str) -> Traced:
        known, field = self._state.networks.get(name), f"networks.{plain(name)}"
        if known is None:
            raise BadInput.at("pair", "the run hasn't this network ready", name)
        example = Normalise(known.mean, known.std)(pixels(self._stand_in.test.images)).contiguous()
        module = borrowed(self._given[name], _CPU, example) if name in self._given else self._obtained(name, field)
        if weight_digest(module) != known.digest:
            raise BadInput(f"network '{plain(name)}': has other weights than when the run stitched it", field)
        try:
            return Traced(module, example, self._experiment.networks[name].leaves)
        except Untraceable as error:
            raise BadInput(f"network '{plain(name)}': {error}", field) from None

    def _obtained(self, name: str, field: str) -> nn.Module:
        networks, spec = self._experiment.networks, self._experiment.networks[name]
        if spec.in_memory:
            why = f"was in memory; give it: load(run, networks={{{plain(name)!r}: module}})"
            raise BadInput(f"network '{plain(name)}': {why}", field)
        own = (spec.head == TRAIN, spec.subset is not None, spec.labels is not None)
        data = self._all_data() if spec.made_here or any(own) else self._stand_in
        if not at_hand(name, networks, data, _CPU):
            why = "was trained for the run and isn't in the cache any more; `stitchtui resume` trains it again"
            raise BadInput(f"network '{plain(name)}': {why}", field)
        return finish(obtain(name, spec, data, _CPU, networks)).module

    def _all_data(self) -> Dataset:
        if self._data is None:
            self._data = load_dataset(self._experiment.data)
        return self._data

    @property
    def _stand_in(self) -> Dataset:
        """A few random images of the kind that the run has: a network that brings its weights asks for no others."""
        said = self._state.data or {}
        images = torch.randint(0, 256, (_EXAMPLES, *said["shape"]), generator=torch.Generator().manual_seed(0))
        part = Part(images.to(torch.uint8), torch.zeros(_EXAMPLES, dtype=torch.int64))
        facts = {name: tuple(said[name]) for name in ("classes", "mean", "std")}
        return Dataset(said["name"], part, part, augment="none", digest=said["digest"], **facts)
