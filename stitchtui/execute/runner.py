"""A whole run: data, networks, then every task of the plan, said to `emit` as events."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import safetensors.torch
import torch
from torch import nn

from stitchtui import __version__
from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.files import write_atomically
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.execute.reuse import Finished
from stitchtui.measure.checks import check_ends
from stitchtui.measure.classes import check_tops
from stitchtui.measure.column import Column
from stitchtui.measure.column_factory import Columns
from stitchtui.measure.feed import pixels
from stitchtui.measure.loaded import Loaded
from stitchtui.measure.recorder import Recorder, Stopped
from stitchtui.measure.session import Session
from stitchtui.measure.together import companions, train_together
from stitchtui.networks import training
from stitchtui.networks.obtain import obtain, training_order
from stitchtui.report.judging import judge_all
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import (
    Check,
    Claim,
    DataReady,
    NetworkCut,
    NetworkReady,
    PlannedTask,
    RunStarted,
    Step,
    Warned,
)
from stitchtui.run.process import describe_process
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.families import AFFINE
from stitchtui.spec.identity import NUMERICS
from stitchtui.spec.plan import Task, plan
from stitchtui.stitching.stitches import parameter_count


def versions() -> dict[str, str]:
    """What the numbers were computed with; `numerics` counts the changes to how."""
    return {"stitchtui": __version__, "torch": torch.__version__, "numerics": str(NUMERICS)}


class Runner:
    """Carries out an experiment in a run directory; what an earlier worker finished there is left as it is."""

    def __init__(self, directory: RunDirectory, experiment: Experiment, record: Recorder) -> None:
        self.directory, self.experiment, self.record = directory, experiment, record
        self.earlier = RunState.load(directory.events)
        self.reuse = Finished(directory)
        self._device = ""

    def announce(self, device: str, again: bool = False) -> None:
        """Say that the run starts, with all that its readers need to draw it; `device` in words.

        With `again` this worker has said so before, and is asked for more by now.
        """
        self._device = device
        self.record.emit(
            RunStarted(
                run=self.directory.name,
                experiment=self.experiment.plain(),
                tasks=[PlannedTask(**t.as_dict()) for t in plan(self.experiment)],
                device=device,
                versions=versions(),
                resumed=self.earlier.status != "empty",
                again=again,
                process=describe_process(),
            )
        )

    def run(self, device: torch.device, memory: int | None = None) -> None:
        """Everything, in order, and what is asked for meanwhile. Raises Stopped, BadInput or RunFailed.

        `memory` is what a step of training may take, in bytes.
        """
        check_tops(self.experiment)
        session = Session(self.experiment, device, self._data().to(device), memory)
        columns = Columns(session, self.record, reuse=self.reuse.find, keep=self._keep)
        self._networks(session)
        self._check_measurable(session, columns)
        done: set[str] = set()
        while tasks := [t for t in plan(self.experiment) if t.id not in done]:
            done |= self._first_of(tasks, columns)
            self._take_up(session)
        session.verify_frozen(*session.loaded.values())
        self.record.emit(Check(name="every network is unchanged after the run", passed=True))
        state = RunState.load(self.directory.events)
        for claim in judge_all(state):
            self.record.emit(Claim(**asdict(claim)))
        _check_measured(state)

    def _networks(self, session: Session) -> None:
        try:
            ends = (end for t in plan(self.experiment) for end in (t.bottom, t.top))
            for name in training_order(ends, self.experiment.networks):
                if name not in session.loaded:
                    self._network(session, name)
        except training.Stopped:
            raise Stopped from None

    def _check_measurable(self, session: Session, columns: Columns) -> None:
        """Raises BadInput where no cell of a pair can have a number, whatever is trained."""
        own, reasons = _own_tasks(RunState.load(self.directory.events)), Counter[str]()
        for column in (columns.column(task) for task in plan(self.experiment) if task.id in own):
            for place in column.places:
                if (reason := column.misfit(place)) is None:
                    return
                reasons[reason] += 1
        if reasons:
            raise BadInput(f"nothing to measure: no cuts of a pair can be joined: {reasons.most_common(1)[0][0]}")
        bare = next((name for name, loaded in session.loaded.items() if not loaded.traced.cuts), None)
        if bare is None:
            raise BadInput.at("stitch.cuts", "nothing to measure: expected a cut or more, got none")
        raise BadInput(f"nothing to measure: network '{bare}' has no place where one tensor carries everything")

    def _first_of(self, tasks: Sequence[Task], columns: Columns) -> set[str]:
        """Carry out the first of these tasks, and with it those that can be trained in one go; returns their ids."""
        column, task = columns.column(tasks[0]), tasks[0]
        if task.control == "" and (task.family, task.objective) == (AFFINE.name, "direct") and not task.place:
            check_ends(column.session, task, self.record)
        if self._finished(column):
            return {task.id}
        group = companions(column, tasks[1:], columns.column, self._finished)
        if group:
            train_together(group)
        else:
            column.run()
        return {task.id, *(other.task.id for other in group)}

    def _take_up(self, session: Session) -> None:
        """Go on with more columns, where the run was asked for some since it was last looked at."""
        wanted = self.directory.read_experiment() if self.directory.experiment.is_file() else self.experiment
        if wanted == self.experiment:
            return
        check_tops(wanted)
        self.experiment = session.experiment = wanted
        self.announce(self._device, again=True)
        before = list(session.loaded.values())
        self._networks(session)
        for loaded in before:
            if not loaded.network.name.startswith("random("):
                self._say_network(session, loaded)  # it may be cut in more places now

    def _data(self) -> Dataset:
        self.record.start("data", 1)

        def progress(done: int, total: int) -> None:
            self.record.step("data", done, max(1, total))

        dataset = load_dataset(self.experiment.data, progress)
        self.record.emit(
            DataReady(
                name=dataset.name,
                train=len(dataset.train),
                test=len(dataset.test),
                classes=list(dataset.classes),
                shape=list(dataset.shape),
                mean=list(dataset.mean),
                std=list(dataset.std),
                augment=dataset.augment,
                digest=dataset.digest,
            )
        )
        for note in dataset.notes:
            self.record.emit(Warned(text=f"data: {note}"))
        return dataset

    def _network(self, session: Session, name: str) -> None:
        spec, task = self.experiment.networks[name], f"network {name}"
        self.record.start(task, 1)

        def on_step(facts: dict[str, Any]) -> None:
            self.record.emit(Step(task=task, **facts))

        network = obtain(
            *(name, spec, session.dataset, session.device, on_step, self.record.stopping), self.experiment.networks
        )
        loaded = session.add(network)
        self._check_chain(session, loaded)
        self._say_network(session, loaded)
        for note in (*network.notes, *loaded.traced.notes):
            self.record.emit(Warned(text=f"{name}: {note}"))
        if not loaded.traced.cuts:
            text = f"{name} has no place where one tensor carries everything: nothing to stitch"
            self.record.emit(Warned(text=text))
        chance = 100 * (1 - 1 / network.classes)
        learned = network.source != "random" and (spec.labels is None or spec.labels.noise == 0)
        if learned and network.error > chance - 5:
            text = (
                f"{name} has a test error of {network.error:.1f} %, about chance ({chance:.1f} %): check that the "
                "checkpoint, its architecture, the order of the classes and the normalisation belong together"
            )
            self.record.emit(Warned(text=text))

    def _check_chain(self, session: Session, loaded: Loaded) -> None:
        """Raises RunFailed unless the network as a chain makes the same errors as the network itself."""
        network = loaded.network
        error = session.base(loaded, lambda _: self.record.check()).error
        images = len(session.dataset.test)
        if abs(error - network.error) > 100 * max(1, images // 1000) / images + 1e-9:  # ties may fall either way
            raise RunFailed(
                f"network '{network.name}': cut into a chain it has a test error of {error:.2f} %, whole one of "
                f"{network.error:.2f} %; its graph doesn't compute what the network does"
            )

    def _say_network(self, session: Session, loaded: Loaded) -> None:
        network = loaded.network
        cuts = session.cuts_of(loaded)
        facts = session.chain(loaded, cuts).facts(pixels(session.dataset.test.images[:2]))
        self.record.emit(
            NetworkReady(
                network=network.name,
                digest=network.digest,
                architecture=network.architecture,
                error=network.error,
                parameters=parameter_count(network.module),
                source=network.source,
                mean=list(network.mean),
                std=list(network.std),
                cuts=[
                    NetworkCut(name=c.name, shape=list(c.shape), depth=f.depth, parameters=f.parameters)
                    for c, f in zip(cuts, facts, strict=True)
                ],
            )
        )

    def _finished(self, column: Column) -> bool:
        """Whether the log holds every cell of the column as it would be measured now.

        A column with a gap, or with a cell of other weights or data, is trained again as a whole: only then is a
        resumed run's result equal to an undisturbed one's to the last bit. Cells that no stitch can join are no gap.
        """
        done = self.earlier.tasks.get(column.task.id)
        if done is None or done.status not in ("finished", "failed"):
            return False
        cells = [(place, self.earlier.cells.get((column.task.id, place.row))) for place in column.places]
        return all(
            cell is not None
            and (cell.identity == place.identity if cell.status == "finished" else column.misfit(place) is not None)
            for place, cell in cells
        )

    def _keep(self, task: Task, trained: dict[str, nn.Module]) -> None:
        tensors = {f"{cut}/{name}": value for cut, s in trained.items() for name, value in s.state_dict().items()}
        contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        path = self.directory.stitches / f"{_file_name(task)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        facts = {key: str(value) for key, value in task.as_dict().items()}
        write_atomically(path, safetensors.torch.save(contiguous, facts))


def _own_tasks(state: RunState) -> set[str]:
    """The tasks of the pairs' own columns: no controls, and no direct matching beside what was asked for."""
    columns = (*state.columns(), *state.crosses())
    return {task for column in columns if not column.control for task in column.task_ids}


def _check_measured(state: RunState) -> None:
    """Raises RunFailed where none of the pairs' own cells has a number."""
    own = _own_tasks(state)
    cells = [cell for cell in state.cells.values() if cell.task in own]
    if all(cell.status != "finished" for cell in cells):
        (reason, count), *_ = Counter(cell.reason or "no reason given" for cell in cells).most_common(1)
        raise RunFailed(f"no stitch that was asked for has a number: {reason} ({count} of {len(cells)} cells)")


def _file_name(task: Task) -> str:
    words = (task.control or "pair", task.bottom, "to", task.top, task.family, f"seed{task.seed}")
    readable = "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(words))
    return f"{readable}-{hashlib.sha256(task.id.encode()).hexdigest()[:6]}"  # "a b" and "a_b" are two networks
