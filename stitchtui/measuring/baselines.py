"""Tasks that put something else in a stitch's place: a linear probe, or the top's own layers trained further."""

import copy
import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from stitchtui.base.device import is_out_of_memory, training_dtype
from stitchtui.base.work import Pass
from stitchtui.measuring.feed import in_order, pixels
from stitchtui.measuring.planned_cells import Chains, PlannedCell, chains, cuts_of
from stitchtui.measuring.saying import Saying
from stitchtui.measuring.task_work import MEMORY_RAN_OUT, TaskWork
from stitchtui.run.events import Event, Step, Warned
from stitchtui.spec.families import AFFINE, IDENTITY
from stitchtui.spec.measures import SECONDS, STEPS, STITCH_PARAMETERS
from stitchtui.stitching import adapters, stitches
from stitchtui.stitching.evaluate import Scores, scores_of
from stitchtui.stitching.modes import training_difference
from stitchtui.stitching.probe import linear_probes
from stitchtui.stitching.reinitialise import NAMES_ITSELF, still_reads
from stitchtui.stitching.stitches import parameter_count
from stitchtui.stitching.tails import Tail, TailRecipe, tail_of, train_tails
from stitchtui.stitching.unreached import IMAGES, what_stops


class ProbeWork(TaskWork):
    """A linear classifier on the bottom's features at each cut; the top has no part in it."""

    trains = False

    def amount(self) -> int:
        """The images of both parts, once."""
        return len(self.material.fitted) + len(self.session.dataset.test)

    def measure(self, cells: Sequence[PlannedCell]) -> Saying[None]:
        """Fit the classifiers together; a bottom cut that several cells share has one."""
        started = time.monotonic()
        both = chains(self.session, self.ends, cuts_of(cells))
        boundaries = sorted({low for low, _ in both.ends})
        batch = self.session.evaluation_batch(both.bottom.cuts, len(boundaries))
        probes = linear_probes(
            both.bottom,
            boundaries,
            self.material.once(batch, both.bottom),
            in_order(self.session.dataset.test, batch),
            classes=len(self.session.dataset.classes),
        )
        found = yield from self.counted(probes)
        self.session.verify_frozen(self.ends.bottom)
        scores = dict(zip(boundaries, found, strict=True))
        seconds = (time.monotonic() - started) / len(cells)
        for cell, (low, _) in zip(cells, both.ends, strict=True):
            if not scores[low].finite:
                yield self.failed(cell, "the bottom's features at the cut are not finite")
                continue
            size = (cell.bottom.channels + 1) * len(self.session.dataset.classes)
            facts = {STITCH_PARAMETERS.name: size, SECONDS.name: seconds}
            yield self.finished(cell, self.compared(scores[low]) | facts, wrong=scores[low].wrong_text)


class TailWork(TaskWork):
    """The top's layers after each cut trained on the bottom's features, from where they are."""

    anew = False

    def remark(self) -> Iterator[Event]:
        """Warn where the layers compute something else in training than in the eval mode that they are traced in."""
        top = self.ends.top
        example = self.session.example(top)
        leaves = self.session.experiment.networks[top.origin].leaves
        if difference := training_difference(copy.deepcopy(top.network.module), example, leaves):
            text = f"{self.task.column}: {top.network.name}'s layers are trained as in eval mode; {difference}"
            yield Warned(text=text)

    def adapter(self, cell: PlannedCell) -> str:
        """What leads to the top's layers."""
        return adapters.adapter(cell.bottom, cell.top).name

    def amount(self) -> int:
        """Steps of training: every cell's tail is trained by itself, since their sizes differ most."""
        return self.steps * len(self.cells)

    def misfit(self, cell: PlannedCell) -> str | None:
        """Why the bottom's tensor can't be fed to the top; None if it can."""
        try:
            self._entrance(cell)
        except stitches.Misfit as misfit:
            return str(misfit)
        return None

    def groups(self, cells: Sequence[PlannedCell]) -> list[Sequence[PlannedCell]]:
        """Measure the cells one by one."""
        return [[cell] for cell in cells]

    def measure(self, cells: Sequence[PlannedCell]) -> Saying[None]:
        """Train and measure one cell's tail."""
        (cell,) = cells
        try:
            yield from self._measure(cell)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        yield self.failed(cell, MEMORY_RAN_OUT)

    def _measure(self, cell: PlannedCell) -> Saying[None]:
        started = time.monotonic()
        both = chains(self.session, self.ends, cuts_of([cell]))
        ((_, high),) = both.ends
        with torch.no_grad():
            x = both.top.features(pixels(self.session.dataset.train.images[:IMAGES]), high)[-1]
        if what := what_stops(both.top.segments[high:], x):
            yield self.failed(cell, f"no gradient reaches the layers after the cut: {what} lets none through")
            return
        tail = self.tail(both, cell)
        if still_reads(tail.layers[-1], both.top.after(high), x):  # type: ignore[index]
            yield self.failed(cell, f"{NAMES_ITSELF}, so that {self.ends.top.network.name} can't be trained further")
            return
        yield from self._train(both, tail)
        scores = yield from self.counted(self._scores(both, tail))
        self.session.verify_frozen(self.ends.bottom, self.ends.top)
        if not scores.finite:
            yield self.failed(cell, "its training diverged; try a lower stitch.learning_rate")
            return
        facts: dict[str, float] = {STITCH_PARAMETERS.name: parameter_count(tail.layers), STEPS.name: self.steps}
        facts[SECONDS.name] = time.monotonic() - started
        yield self.finished(cell, self.compared(scores) | facts, wrong=scores.wrong_text)

    def _entrance(self, cell: PlannedCell) -> nn.Module:
        """What leads from the bottom's tensor to the top: nothing where the shapes agree, else an affine map."""
        if cell.bottom.shape == cell.top.shape and cell.bottom.channel_axis == cell.top.channel_axis:
            return stitches.build(IDENTITY.name, cell.bottom, cell.top)
        entrance = stitches.build(AFFINE.name, cell.bottom, cell.top)
        stitches.start_at_random(entrance, torch.Generator().manual_seed(self.task.seed))
        return entrance

    def tail(self, both: Chains, cell: PlannedCell) -> Tail:
        """The cell's tail, untrained."""
        ((low, high),) = both.ends
        entrance = self._entrance(cell).to(self.session.device)
        layers = tail_of(low, both.top.after(high), restart=self.task.seed if self.anew else None).layers
        return Tail(low, nn.Sequential(entrance.requires_grad_(True), layers).eval())

    def _train(self, both: Chains, tail: Tail) -> Saying[None]:
        dtype = training_dtype(self.stitch.precision, self.session.device)
        batches = self.material.training(self.stitch.batch_size, self.task.seed, both.bottom)
        for number, losses in train_tails(both.bottom, [tail], batches, TailRecipe(self.steps, dtype=dtype)):
            step, steps = self._done + number, self._total or self.steps
            due = self.pace.due(last=step >= steps)
            yield Step(task=self.task.id, step=step, steps=steps, loss=float(losses.mean())) if due else None
        self._done += self.steps

    def _scores(self, both: Chains, tail: Tail) -> Pass[Scores]:
        def outputs(images: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = tail.layers(both.bottom.features(images, tail.bottom)[-1])
            return answer

        batch = self.session.evaluation_batch([*both.bottom.cuts, *both.top.cuts], 1)
        return scores_of(outputs, in_order(self.session.dataset.test, batch))


class NewTailWork(TailWork):
    """The top's layers after each cut, started anew and trained on the bottom's features."""

    anew = True
