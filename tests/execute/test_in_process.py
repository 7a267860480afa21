"""A run that a program does itself: the worker's events and record, and a program that is left as it was."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from small_runs import experiment, new_run

from stitchtui.base.device import Settings
from stitchtui.base.errors import BadInput
from stitchtui.execute.in_process import carried_out
from stitchtui.run import control
from stitchtui.run.deletion import refuse_unless_over
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import CellFinished, RunFinished, as_object, read_events
from stitchtui.run.state import RunState

CPU = {"device": "cpu"}
SMALL = {"stitch": {"family": "affine", "objective": "direct"}, "controls": []}


def numbers(directory: RunDirectory) -> list[dict[str, object]]:
    cells = [as_object(event) for event in read_events(directory.events) if isinstance(event, CellFinished)]
    return [{key: value for key, value in cell.items() if key not in ("t", "seconds", "measures")} for cell in cells]


def test_its_log_is_a_workers_and_every_event_is_yielded_once_written(tmp_path: Path) -> None:
    wanted = experiment(**SMALL)
    here = create(wanted, tmp_path / "here")
    said = list(carried_out(here, CPU))
    there, _ = new_run(wanted, tmp_path / "there")
    assert [*map(type, said), RunFinished] == [type(event) for event in read_events(here.events)]
    assert numbers(here) == numbers(there)
    state = RunState.load(here.events)
    assert state.status == "done" and here.result.is_file()


def test_torch_is_the_programs_own_between_events_and_afterwards(tmp_path: Path) -> None:
    def told() -> tuple[object, ...]:
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
        return *modes, torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state().tolist()

    directory = create(experiment(**SMALL), tmp_path)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            before = told()
            assert all(told() == before for _ in carried_out(directory, {**CPU, "threads": 2}))
            assert told() == before
    finally:
        torch.set_default_dtype(torch.float32)
    assert RunState.load(directory.events).status == "done"


@pytest.mark.parametrize(
    "said",
    [
        "torch.set_float32_matmul_precision('medium')",
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
        "pass",
    ],
)
def test_float32_is_float32_inside_however_the_program_has_said_otherwise(said: str) -> None:
    code = f"""
import torch
from stitchtui.base.device import Settings, compute_in_full_float32
backends = torch.backends
cuda, cudnn, mkldnn = backends.cuda, backends.cudnn, backends.mkldnn
def told():
    each = backends, cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn
    try:
        said = torch.get_float32_matmul_precision()
    except RuntimeError:  # it has been said by the newer names alone
        said = ""
    return said, [one.fp32_precision for one in each]
{said}
before = told()
settings = Settings()
for _ in range(2):
    with settings.in_force():
        compute_in_full_float32()
        assert told()[0] == "highest" and set(told()[1]) == {{"ieee", "none"}}, told()
    assert told() == before, told()
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # a process of its own: the settings are the process's


def test_two_threads_take_turns_with_what_is_the_processs() -> None:
    first, second, entered = Settings(), Settings(), threading.Event()

    def enter() -> None:
        with second.in_force():
            entered.set()

    torch.set_default_dtype(torch.float64)
    try:
        with first.in_force():
            other = threading.Thread(target=enter)
            other.start()
            assert not entered.wait(0.1) and torch.get_default_dtype() == torch.float32
        other.join()
        assert entered.is_set() and torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_one_that_is_interrupted_is_stopped_and_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    directory = create(experiment(**SMALL), tmp_path)
    work = carried_out(directory, CPU)
    next(event for event in work if isinstance(event, CellFinished))
    with pytest.raises(BadInput, match="interrupt it there"):
        control.stop(directory)
    with pytest.raises(KeyboardInterrupt):
        work.throw(KeyboardInterrupt())
    assert RunState.load(directory.events).status == "stopped"
    refuse_unless_over(directory)
    for _ in carried_out(directory, CPU):
        pass
    assert control.status(directory, RunState.load(directory.events)) == "done"
    assert not control.is_alive(directory)


def test_bad_input_is_raised_and_is_the_runs_end(tmp_path: Path) -> None:
    directory = create(experiment(**{**SMALL, "stitch": {"cuts": ["nowhere"]}}), tmp_path)
    with pytest.raises(BadInput, match="nowhere") as raised:
        list(carried_out(directory, CPU))
    state = RunState.load(directory.events)
    assert (state.status, state.reason, state.bad_input) == ("failed", str(raised.value), True)
