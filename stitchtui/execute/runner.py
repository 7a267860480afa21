"""A whole run: data, networks, then every unit of the plan, its events written as they come."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field

import msgspec
import torch
from torch import nn

from stitchtui import __version__
from stitchtui.base.device import held_memory
from stitchtui.base.errors import RunFailed
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import class_count, load_dataset
from stitchtui.data.raw import Raw
from stitchtui.execute.estimate import check_cuts
from stitchtui.execute.reuse import finished_elsewhere
from stitchtui.measuring.history import History
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.ready_networks import network_event
from stitchtui.measuring.saying import Pace
from stitchtui.measuring.session import Session
from stitchtui.networks.augmentation import of_stitches
from stitchtui.networks.obtain import check_classes
from stitchtui.report.claim_judging import judge_all
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import (
    Check,
    Claim,
    DataReady,
    Event,
    PairJudged,
    PlannedTask,
    RunStarted,
    Step,
    TaskFinished,
    TaskStarted,
    Warned,
)
from stitchtui.run.process import describe_process
from stitchtui.run.state import RunState
from stitchtui.spec.identity import NUMERICS
from stitchtui.spec.plan import Plan, resolve, taught_other_classes
from stitchtui.stats.rules import RULES


class Stopped(Exception):
    """The run was asked to stop."""


@dataclass(frozen=True)
class Given:
    """What a program has in memory, in place of what an experiment would have read."""

    networks: Mapping[str, nn.Module] = field(default_factory=dict)  # by their names in the experiment
    data: Raw | None = None


def versions() -> dict[str, str]:
    """What the numbers were computed with; `numerics` counts the changes to how."""
    return {"stitchtui": __version__, "torch": str(torch.__version__), "numerics": str(NUMERICS)}


class Runner:
    """Carries out a plan in a run directory; what an earlier worker finished there is left as it is."""

    def __init__(
        self,
        directory: RunDirectory,
        plan: Plan,
        write: Callable[[Event], Event],
        stopping: Callable[[], bool] = lambda: False,
        given: Given | None = None,
    ) -> None:
        self.directory, self.plan, self.stopping, self.given = directory, plan, stopping, given or Given()
        self.earlier = RunState.load(directory.events)
        self._write, self._warned, self._device = write, set[str](), ""
        self._memory: Callable[[], int] | None = None

    def announce(self, device: str, again: bool = False) -> Event:
        """Say that the run starts, with all that its readers need to draw it; `device` in words.

        With `again` this worker has said so before, and is asked for more by now.
        """
        self._device = device
        return self._write(
            RunStarted(
                run=self.directory.name,
                experiment=self.plan.experiment.plain(),
                tasks=[PlannedTask(**task.as_dict()) for task in self.plan.tasks],
                device=device,
                versions=versions(),
                resumed=self.earlier.status != "empty",
                again=again,
                process=describe_process(),
            )
        )

    def say(self, event: Event) -> Iterator[Event]:
        """Write an event, and yield it as written; a warning once, and a step with the bytes that the run holds."""
        if isinstance(event, Warned):
            if event.text in self._warned:
                return
            self._warned.add(event.text)
        if isinstance(event, Step) and self._memory is not None:
            event = msgspec.structs.replace(event, memory=self._memory())
        yield self._write(event)

    def run(self, device: torch.device, memory: int | None = None) -> Iterator[Event]:
        """Do everything, in order, and what is asked for meanwhile; each event is yielded once it is written.

        `memory` is what a step of training may take, in bytes. Raises Stopped, BadInput or RunFailed.
        """
        self._memory = lambda: held_memory(device)
        self._check_classes()
        dataset = yield from self._data()
        check_cuts(self.plan, dataset)
        session = Session(
            self.plan.experiment, device, dataset.to(device), self.directory.stitches, self.given.networks, memory
        )
        measurer = Measurer(session, History(finished_elsewhere(self.directory), _ended(self.earlier)))
        yield from self._networks(measurer)
        own = _own_tasks(RunState.load(self.directory.events))
        measurer.check_measurable([task for task in self.plan.tasks if task.id in own])
        done = set[str]()
        while unit := next((u for u in self.plan.units if not done >= {task.id for task in u.tasks}), None):
            yield from self._drive(measurer.measure(unit))
            done |= {task.id for task in unit.tasks}
            yield from self._take_up(measurer)
        session.verify_frozen(*session.loaded.values())
        yield from self.say(Check(name="every network is unchanged after the run", passed=True))
        state = RunState.load(self.directory.events)
        for event in _judged(state):
            yield from self.say(event)
        _check_measured(state)

    def _drive(self, work: Generator[Event | None, None, None]) -> Iterator[Event]:
        """Go through `work` and write what it says. Raises Stopped, once it has let go, when the run is to end."""
        with closing(work):
            for event in work:
                if event is not None:
                    yield from self.say(event)
                if isinstance(event, TaskFinished):
                    yield from self._announce_more()
                if self.stopping():
                    raise Stopped

    def _networks(self, measurer: Measurer) -> Iterator[Event]:
        for unit in self.plan.networks:
            yield from self._drive(measurer.measure(unit))

    def _announce_more(self) -> Iterator[Event]:
        """Say so where the run was asked for more columns; they come after the unit that is at work."""
        if not self.directory.experiment.is_file():
            return
        wanted = resolve(self.directory.read_experiment())
        if wanted != self.plan:
            self.plan = wanted
            yield self.announce(self._device, again=True)

    def _take_up(self, measurer: Measurer) -> Iterator[Event]:
        """Go on with more columns, where the run was asked for some."""
        session = measurer.session
        yield from self._announce_more()
        if session.experiment == self.plan.experiment:
            return
        session.experiment = self.plan.experiment
        before = list(session.loaded.values())
        yield from self._networks(measurer)
        for loaded in before:
            if loaded.network.name in session.experiment.networks:
                yield from self.say(network_event(session, loaded))  # it may be cut in more places now

    def _check_classes(self) -> None:
        """Refuse networks for other classes before images are decoded, where data and checkpoint say their number."""
        networks = self.plan.experiment.networks
        used = {unit.network: networks[unit.network] for unit in self.plan.networks}
        classes = class_count(self.plan.experiment.data.name)
        if classes is not None:
            check_classes({name: spec for name, spec in used.items() if not taught_other_classes(spec)}, classes)

    def _data(self) -> Generator[Event, None, Dataset]:
        yield from self.say(TaskStarted(task="data", steps=1, cuts=[]))
        pace, steps = Pace(), list[Event]()

        def progress(done: int, total: int) -> None:
            if self.stopping():
                raise Stopped
            if pace.due(last=done >= total):
                steps.extend(self.say(Step(task="data", step=done, steps=max(1, total))))

        dataset = load_dataset(self.plan.experiment.data, progress, self.given.data)
        yield from steps
        yield from self.say(
            DataReady(
                name=dataset.name,
                train=len(dataset.train),
                test=len(dataset.test),
                classes=list(dataset.classes),
                shape=list(dataset.shape),
                mean=list(dataset.mean),
                std=list(dataset.std),
                augment=of_stitches(self.plan.experiment),
                digest=dataset.digest,
            )
        )
        for note in dataset.notes:
            yield from self.say(Warned(text=f"data: {note}"))
        return dataset


def _ended(earlier: RunState) -> dict[str, dict[str, str | None]]:
    """Every row's identity of each task that ended in this run before; None for a cell without a number."""
    found: dict[str, dict[str, str | None]] = {
        task.id: {} for task in earlier.tasks.values() if task.status in ("finished", "failed")
    }
    for (task, row), cell in earlier.cells.items():
        if task in found and cell.status in ("finished", "failed"):
            found[task][row] = cell.identity if cell.status == "finished" else None
    return found


def _own_tasks(state: RunState) -> set[str]:
    """The tasks of the pairs' own columns: no controls, and no direct matching beside what was asked for.

    Where each network is stitched to itself alone, the self-stitches are what was asked for.
    """
    columns = (*state.columns(), *state.crosses())
    own = [column for column in columns if not column.control] or columns
    return {task for column in own for task in column.task_ids}


def _judged(state: RunState) -> Iterator[Event]:
    """Each pair's verdict, then each claim's."""
    for column in state.columns():
        if verdict := state.verdict(column):
            yield PairJudged(
                column=column.heading,
                tasks=list(column.task_ids),
                verdict=verdict,
                epsilon=state.epsilon,
                connected_from=state.connected_from(column),
                rules=RULES,
            )
    for claim in judge_all(state):
        yield Claim(**{**asdict(claim), "numbers": list(claim.numbers)})


def _check_measured(state: RunState) -> None:
    """Raise RunFailed where none of the pairs' own cells has a number."""
    own = _own_tasks(state)
    cells = [cell for cell in state.cells.values() if cell.task in own]
    if all(cell.status != "finished" for cell in cells):
        (reason, count), *_ = Counter(cell.reason or "no reason given" for cell in cells).most_common(1)
        raise RunFailed(f"no stitch that was asked for has a number: {reason} ({count} of {len(cells)} cells)")
