"""A whole run: data, networks, then every task of the plan, said to `emit` as events."""

from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from stitchtui import __version__
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.device import describe
from stitchtui.experiment import Experiment
from stitchtui.networks import training
from stitchtui.networks.obtain import obtain
from stitchtui.run.directory import RunDirectory
from stitchtui.run.plan import Task, plan
from stitchtui.run.state import RunState
from stitchtui.worker.checks import check_ends
from stitchtui.worker.columns import Column
from stitchtui.worker.feed import pixels
from stitchtui.worker.recorder import Recorder, Stopped
from stitchtui.worker.reuse import Finished
from stitchtui.worker.session import Loaded, Session


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    return {"stitchtui": __version__, "torch": torch.__version__}


class Runner:
    """Carries out an experiment in a run directory; what an earlier worker finished there is left as it is."""

    def __init__(self, directory: RunDirectory, experiment: Experiment, device: torch.device, record: Recorder) -> None:
        self.directory, self.experiment, self.device, self.record = directory, experiment, device, record
        self.earlier = RunState.load(directory.events)
        self.reuse = Finished(directory)

    def run(self) -> None:
        """Everything, in order. Raises Stopped, BadInput or RunFailed."""
        tasks = plan(self.experiment)
        self.record.emit(
            "run_started",
            run=self.directory.name,
            experiment=self.experiment.plain(),
            tasks=[t.as_dict() for t in tasks],
            device=describe(self.device),
            versions=versions(),
            resumed=self.earlier.status != "empty",
        )
        session = Session(self.experiment, self.device, self._data())
        try:
            for name in dict.fromkeys(end for t in tasks for end in (t.bottom, t.top)):
                self._network(session, name)
        except training.Stopped:
            raise Stopped from None
        for task in tasks:
            if task.control == "" and task.objective == "direct":
                check_ends(session, task, self.record)
            if not self._finished(session, task):
                Column(session, task, self.record, reuse=self.reuse.find, keep=self._keep).run()
                session.verify_frozen()
        self.record.emit("check", name="both networks of every pair are unchanged after the run", passed=True)

    def _data(self) -> Dataset:
        self.record.start("data", 1)

        def progress(done: int, total: int) -> None:
            self.record.step("data", done, max(1, total))

        dataset = load_dataset(self.experiment.data, progress)
        self.record.emit(
            "data_ready",
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
        return dataset.to(self.device)

    def _network(self, session: Session, name: str) -> None:
        spec, task = self.experiment.networks[name], f"network {name}"
        self.record.start(task, 1)

        def on_step(facts: dict[str, Any]) -> None:
            self.record.emit("step", task=task, **facts)

        network = obtain(name, spec, session.dataset, self.device, on_step, self.record.stopping)
        loaded = session.add(network)
        self._say_network(session, loaded)
        chance = 100 * (1 - 1 / network.classes)
        if network.error > chance - 5:
            self.record.emit(
                "warning",
                text=f"{name} has a test error of {network.error:.1f} %, about chance ({chance:.1f} %): check that the "
                "checkpoint, its architecture, the order of the classes and the normalisation belong together",
            )

    def _say_network(self, session: Session, loaded: Loaded) -> None:
        network = loaded.network
        cuts = session.cuts_of(loaded)
        facts = session.chain(loaded, cuts).facts(pixels(session.dataset.test.images[:1]))
        self.record.emit(
            "network_ready",
            network=network.name,
            digest=network.digest,
            architecture=network.architecture,
            error=network.error,
            parameters=sum(p.numel() for p in network.module.parameters()),
            source=network.source,
            cuts=[
                {"name": c.name, "shape": list(c.shape), "depth": f.depth, "parameters": f.parameters}
                for c, f in zip(cuts, facts, strict=True)
            ],
        )

    def _finished(self, session: Session, task: Task) -> bool:
        """Whether every cell of `task` is in the log: a column with a gap is trained again as a whole.

        Only then is a resumed run's result equal to an undisturbed one's to the last bit.
        """
        done = self.earlier.tasks.get(task.id)
        if done is None or done.status not in ("finished", "failed"):
            return False
        cells = [c for (name, _), c in self.earlier.cells.items() if name == task.id]
        return len(cells) == len(session.column_cuts(task)) and all(c.status in ("finished", "failed") for c in cells)

    def _keep(self, task: Task, trained: dict[str, nn.Module]) -> None:
        tensors = {f"{cut}/{name}": value for cut, s in trained.items() for name, value in s.state_dict().items()}
        contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        path = self.directory.stitches / f"{_file_name(task)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        facts = {key: str(value) for key, value in task.as_dict().items()}
        save_file(contiguous, path, metadata=facts)


def _file_name(task: Task) -> str:
    words = (task.control or "pair", task.bottom, "to", task.top, task.family, f"seed{task.seed}")
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(words))
