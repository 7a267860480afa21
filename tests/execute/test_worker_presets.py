"""Every preset that is shipped: its networks, cuts and controls fit together, found without training or real images."""

import pytest
import torch
from small_runs import TRAIN, experiment

from stitchtui.base.errors import BadInput
from stitchtui.data import facts
from stitchtui.data.dataset import Dataset, Part
from stitchtui.execute import estimate as estimation
from stitchtui.execute.calibration import Calibration, Line, Speed
from stitchtui.execute.estimate import estimate
from stitchtui.execute.task_costs import TaskCosts
from stitchtui.measuring import session
from stitchtui.networks import own
from stitchtui.spec.experiment import DataSpec, Experiment
from stitchtui.spec.plan import Task, resolve
from stitchtui.spec.presets import list_presets, load_preset

pytestmark = pytest.mark.slow  # minutes: every preset is built

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ELSEWHERE = {"quickstart", "ssl-imagenet"}  # the one is run as it is by other tests, the other needs files


@pytest.fixture(autouse=True)
def nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(estimation, "load_dataset", blank)
    monkeypatch.setattr(TaskCosts, "of", some_cell_can_be_measured)
    monkeypatch.setattr(Calibration, "speed", lambda *_: Speed(Line(0.0, 1.0), Line(0.0, 2.0)))
    for module in (session, own):
        monkeypatch.setattr(module, "CALIBRATION_IMAGES", 4)
    monkeypatch.setattr(facts, "digest", lambda *_: "blank")
    monkeypatch.setattr(own, "part_digest", lambda *_: "blank")


def some_cell_can_be_measured(costs: TaskCosts, task: Task) -> tuple[int, bool, float, int]:
    work = costs.measurer.work(task)
    assert any(work.misfit(cell) is None for cell in work.cells), task.id
    return len(work.cells), False, 0.0, 0


def narrow(wanted: Experiment) -> Experiment:
    """The same with networks of an eighth of their width, which have the same cuts."""
    networks = {k: n.model_copy(update={"width": n.width / 8}) for k, n in wanted.networks.items()}
    return wanted.model_copy(update={"networks": networks})


def blank(spec: DataSpec) -> Dataset:
    """As many images as CIFAR-10 has, or as the preset takes of them, all of one grey."""

    def part(count: int) -> Part:
        return Part(
            torch.full((1, 3, 32, 32), 99, dtype=torch.uint8).expand(count, -1, -1, -1), torch.arange(count) % 10
        )

    return Dataset(
        "cifar10", part(spec.train_size or 50_000), part(8), CLASSES, (0.4,) * 3, (0.2,) * 3, "none", "blank"
    )


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("name", [preset.name for preset in list_presets() if preset.name not in ELSEWHERE])
def test_the_networks_cuts_and_controls_of_a_preset_fit_together(name: str, scale: str) -> None:
    wanted = narrow(load_preset(name, scale))
    rows = {row["task"]: row for row in estimate(wanted, "cpu")}
    assert all(rows[task.id]["cells"] > 0 for task in resolve(wanted).tasks)
    assert {f"network {end}" for task in resolve(wanted).tasks for end in (task.bottom, task.top)} <= rows.keys()


def test_a_preset_for_files_that_arent_there_is_one_line() -> None:
    with pytest.raises(BadInput, match="no such file"):
        estimate(load_preset("ssl-imagenet", "paper"), "cpu")


def test_a_network_stitched_to_itself_is_cut_where_it_is_as_a_top_or_else_as_a_bottom() -> None:
    plain = {"architecture": "digits_cnn", "width": 0.25, "train": TRAIN}
    wanted = experiment(
        networks={"a": plain, "b": plain | {"seed": 1}},
        pairs=[{"bottom": "a", "top": "b"}],
        stitch={"cuts": ["stem", "block1"], "top_cuts": ["block3"], "pairing": "all", "objective": "direct"},
        controls=["self_stitch", "self_stitch_bottom"],
        data={"name": "cifar10", "train_size": 100},
    )
    assert [row["cells"] for row in estimate(wanted, "cpu")] == [0, 0, 2, 1, 4]
