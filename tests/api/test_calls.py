"""`stitch` and `measure`: the numbers of `stitchtui run`, from what is in memory, which stays as it was."""

import copy
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from small_runs import TRAIN, experiment, new_run
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import stitchtui
from stitchtui.api.asking import asked
from stitchtui.base.errors import BadInput
from stitchtui.networks.network import weight_digest
from stitchtui.run.events import CellFinished, RunFinished, RunStarted
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Normalisation

FEW = {"objective": "direct", "controls": (), "device": "cpu", "progress": False, "threads": 1}


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


@pytest.fixture(scope="module")
def images() -> tuple[Any, ...]:
    digits = load_digits()
    x, y = (digits.images * 15.9375).astype(np.uint8), digits.target
    return x[:400], y[:400], x[400:600], y[400:600]


def told(module: nn.Module) -> list[Any]:
    modes = [layer.training for layer in module.modules()]
    flags = [(p.requires_grad, p.data_ptr(), p.grad is None) for p in module.parameters()]
    return [weight_digest(module), modes, flags, [list(layer._forward_hooks) for layer in module.modules()]]


def test_two_modules_are_stitched_and_left_as_they_were(images: tuple[Any, ...]) -> None:
    bottom, top = network(0), network(1)
    bottom[0].weight.requires_grad_(False)
    bottom[2].register_forward_hook(lambda *_: None)
    top.eval()
    before = told(bottom), told(top)
    found = stitchtui.stitch(bottom, top, images, **{**FEW, "controls": ("self_stitch", "random_bottom")}, cuts="all")
    assert (told(bottom), told(top)) == before
    assert list(found.penalties)[:2] == ["0", "1"]
    assert found.verdict in ("connected", "not connected", "undecided")


def test_the_numbers_are_those_of_a_run_of_the_same(tmp_path: Path) -> None:
    wanted = experiment(controls=["self_stitch"], stitch={"steps": 5})
    _, state = new_run(wanted, tmp_path / "runs")
    networks = {name: spec.plain() for name, spec in wanted.networks.items()}
    found = stitchtui.stitch(
        networks["seed0"], networks["seed1"], "digits", names=("seed0", "seed1"), both=True, controls=["self_stitch"],
        device="cpu", threads=1, progress=False, out=tmp_path / "here",
        **{"data.train_size": 200, "data.test_size": 100}, **wanted.stitch.model_dump(exclude_unset=True),
    )  # fmt: skip
    here = RunState.load(tmp_path / "here" / "events.jsonl")
    assert found.experiment.plain() | {"name": "", "title": ""} == wanted.plain() | {"name": "", "title": ""}
    assert {key: (c.identity, c.measures["penalty"]) for key, c in here.cells.items()} == {
        key: (c.identity, c.measures["penalty"]) for key, c in state.cells.items()
    }


def test_every_form_of_the_same_images_gives_the_same_number(images: tuple[Any, ...]) -> None:
    tensors = [torch.from_numpy(a).unsqueeze(1) if a.ndim == 3 else torch.from_numpy(a) for a in images]
    sets = TensorDataset(*tensors[:2]), TensorDataset(*tensors[2:])
    forms = [images, tuple(tensors), sets, tuple(DataLoader(s, batch_size=64) for s in sets)]
    found = [stitchtui.stitch(network(0), network(1), data, cuts=["2"], **FEW) for data in forms]
    assert len({i.value for result in found for i in result.penalties["2"].values()}) == 1


def test_a_cell_is_measured_anew_once_its_module_computes_something_else(
    images: tuple[Any, ...], tmp_path: Path
) -> None:
    class Gain:
        value = 1.0

        def __call__(self, _: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
            return self.value * output.flip(1)

    gain, top = Gain(), network(1)
    top[3].register_forward_hook(gain)
    told = {**FEW, "cuts": ["2"], "controls": ["random_top"]}
    found = [stitchtui.stitch(network(0), top, images, out=tmp_path / name, **told) for name in ("one", "two")]
    gain.value = -1.0
    found.append(stitchtui.stitch(network(0), top, images, out=tmp_path / "three", **told))
    assert [{cell.reused_from for cell in result.cells} for result in found] == [{None}, {"one"}, {None}]


def test_a_result_makes_the_stitched_network_that_was_measured(images: tuple[Any, ...]) -> None:
    class Scaled(nn.Sequential):
        scale = 1.0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(self.scale * images)

    bottom = Scaled(*network(0))
    found = stitchtui.stitch(bottom, network(1), images, cuts=["2"], **FEW)
    pixels = torch.rand(4, 1, 8, 8)
    before = found.stitched("2")(pixels)
    bottom.scale = -1.0
    del found.__dict__["_loaded"]
    assert torch.equal(found.stitched("2")(pixels), before)


def test_a_guessed_normalisation_is_said(images: tuple[Any, ...]) -> None:
    floats = images[0] / 255, images[1], images[2] / 255, images[3]
    for data, said in ((images, None), (images, "none"), (floats, None)):
        found = stitchtui.stitch(network(0), network(1), data, cuts=["2"], normalisation=said, **FEW)
        guessed = {line.partition(":")[0] for line in found.warnings if "normalisation=" in line}
        assert guessed == ({"bottom", "top"} if data is images and said is None else set())


def test_arrays_are_taken_where_a_preset_has_lists(images: tuple[Any, ...]) -> None:
    said = {"mean": np.array([0.25]), "std": torch.tensor([0.5])}
    wanted = asked(network(0), network(1), images, normalisation=said, seeds=np.arange(2))
    assert wanted.experiment.networks["top"].normalisation == Normalisation(mean=(0.25,), std=(0.5,))
    assert wanted.experiment.stitch.seeds == (0, 1)


def test_measure_yields_each_event_and_closing_it_stops_the_run(images: tuple[Any, ...], tmp_path: Path) -> None:
    out = tmp_path / "run"
    asked = {key: value for key, value in FEW.items() if key != "progress"}
    work = stitchtui.measure(network(0), network(1), images, out=out, **asked)
    assert isinstance(next(work), RunStarted)
    assert isinstance(next(event for event in work if isinstance(event, CellFinished)).measures["penalty"], float)
    work.close()
    assert RunState.load(out / "events.jsonl").status == "stopped"
    said = list(stitchtui.measure(network(0), network(1), images, out=out, **asked))
    assert RunState.load(out / "events.jsonl").status == "done" and not isinstance(said[-1], RunFinished)


def test_another_run_is_never_written_over(images: tuple[Any, ...], tmp_path: Path) -> None:
    stitchtui.stitch(network(0), network(1), images, out=tmp_path / "run", cuts=["2"], **FEW)
    with pytest.raises(BadInput, match="asks for something else") as raised:
        stitchtui.stitch(network(0), network(1), images, out=tmp_path / "run", cuts=["4"], **FEW)
    assert raised.value.field == "out"
    for other in ({"top": network(2)}, {"data": (*images[:2], *(part[:150] for part in images[2:]))}):
        asked = {"bottom": network(0), "top": network(1), "data": images, **other}
        with pytest.raises(BadInput, match="holds a run o") as raised:
            stitchtui.stitch(**asked, out=tmp_path / "run", cuts=["2"], **FEW)
        assert raised.value.field == "out"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(BadInput, match="no run"):
        stitchtui.stitch(network(0), network(1), images, out=tmp_path / "mine", cuts=["2"], **FEW)


def test_what_was_wrong_does_not_stand_in_the_way_of_what_is_right(images: tuple[Any, ...], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing"):
        stitchtui.stitch(network(0), network(1), images, out=tmp_path / "run", cuts=["nothing"], **FEW)
    assert len(stitchtui.stitch(network(0), network(1), images, out=tmp_path / "run", cuts="2:2", **FEW).penalties) == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"bottom": 3}, "bottom"),
        ({"bottom": network(0).state_dict()}, "bottom"),
        ({"bottom": {"state_dict": network(0).state_dict()}}, "bottom"),
        ({"top": None}, "top"),
        ({"data": None}, "data"),
        ({"data": "nothing"}, "data"),
        ({"family": "nothing"}, "family"),
        ({"cuts": ["nothing"]}, "stitch.cuts"),
        ({"cuts": "1:2:3"}, "cuts"),
        ({"head": "train"}, "networks.bottom.head"),
        ({"epsilon": -1}, "epsilon"),
        ({"epoch": 3}, "epoch"),
        ({"memory": "much"}, "memory"),
        ({"names": "ab"}, "names"),
        ({"scale": "mini"}, "scale"),
        ({"preset": "quickstart"}, "preset"),
        ({"device": "abacus"}, "device"),
    ],
)
def test_what_cannot_be_used_is_an_exception_that_names_the_argument(
    images: tuple[Any, ...], said: dict[str, Any], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"bottom": network(0), "top": network(1), "data": images, **FEW, **said}
    with pytest.raises(BadInput) as raised:
        stitchtui.stitch(**asked)
    assert raised.value.field == field
    assert "\n" not in str(raised.value)
    assert capsys.readouterr() == ("", "")


def test_a_preset_is_run_with_what_is_said_beside_it() -> None:
    found = stitchtui.stitch(
        preset="quickstart", objective="direct", controls=(), test_size=100, device="cpu", progress=False, threads=1,
        **{f"networks.{name}.train": TRAIN for name in ("seed0", "seed1")},
    )  # fmt: skip
    assert found.experiment.name == "quickstart" and found.experiment.data.test_size == 100


def test_nothing_is_printed_and_lines_go_to_the_logger(
    images: tuple[Any, ...], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "stitchtui"):
        stitchtui.stitch(network(0), network(1), images, cuts=["2"], **{**FEW, "progress": True})
    assert capsys.readouterr() == ("", "")
    assert any("verdict of bottom > top" in record.message for record in caplog.records)


def test_it_works_in_a_thread_and_in_inference_mode(images: tuple[Any, ...]) -> None:
    found: list[Any] = []

    def work() -> None:
        with torch.inference_mode():
            found.append(
                stitchtui.stitch(network(0), network(1), images, cuts=["2"], steps=3, **{**FEW, "objective": "task"})
            )
            assert torch.is_inference_mode_enabled()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found[0].penalties) == 1


def test_cuts_are_those_that_stitch_takes(images: tuple[Any, ...]) -> None:
    module = network(0)
    before = told(module)
    places = stitchtui.cuts(module, torch.rand(3, 1, 8, 8), every=True)
    assert told(module) == before
    assert [place.name for place in places][:3] == ["0", "1", "2"] and places[0].shape == (8, 6, 6)
    assert stitchtui.cuts("resnet20", (3, 32, 32))[0].block
    with pytest.raises(BadInput, match="example"):
        stitchtui.cuts(module)


def test_a_network_is_compatible_with_itself_and_not_with_one_that_sees_nothing(images: tuple[Any, ...]) -> None:
    trained = network(0)
    optimizer = torch.optim.Adam(trained.parameters(), 0.01)
    x, y = torch.from_numpy(images[0]).float().unsqueeze(1) / 255, torch.from_numpy(images[1])
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(trained(x), y).backward()
        optimizer.step()
    said = {"at": "4", "objective": "direct", "device": "cpu", "threads": 1, "normalisation": "none"}
    assert stitchtui.assert_stitchable(trained, trained, images, **said).verdict == "connected"
    blind = copy.deepcopy(trained)
    nn.init.zeros_(blind[0].weight)
    for key in ("cuts", "epsilon", "both"):
        with pytest.raises(BadInput, match="isn't an argument"):
            stitchtui.assert_stitchable(trained, trained, images, **said, **{key: 1})
    with pytest.raises(AssertionError, match=r"not connected at 2 points: 4 \+.*test errors: bottom 9.* %, top"):
        stitchtui.assert_stitchable(blind, trained, images, **said)
