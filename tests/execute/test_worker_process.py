import json
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from small_runs import TOLD, experiment, measures, worker

from stitchtui.base.errors import BadInput
from stitchtui.execute.worker import main
from stitchtui.run.asking import ask, see_to
from stitchtui.run.control import status
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import KINDS, NetworkReady, Step, TaskFinished, TaskStarted, read_events
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Request

ONE_PAIR = {
    "pairs": [{"bottom": "seed0", "top": "seed1"}],
    "controls": ["random_bottom"],
    "stitch": {"steps": 60},
}


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def saw(directory: RunDirectory, kind: str, count: int) -> bool:
    return sum(isinstance(e, KINDS[kind]) for e in read_events(directory.events)) >= count


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of one pair that a worker has done; nobody changes it."""
    directory = create(experiment(**ONE_PAIR), tmp_path_factory.mktemp("undisturbed"))
    assert worker(directory).wait(120) == 0
    return directory


@pytest.fixture
def done(undisturbed: RunDirectory, tmp_path: Path) -> RunDirectory:
    """The same run, to go on with."""
    return RunDirectory(Path(shutil.copytree(undisturbed.path, tmp_path / undisturbed.name)))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """The work of a worker in this process, which spares loading torch; its exit code."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def here(directory: RunDirectory, told: Sequence[str] = TOLD) -> int:
        monkeypatch.setattr(sys, "argv", ["worker", str(directory.path), *told])
        return main()

    yield here
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_worker_does_the_run_and_writes_its_result(undisturbed: RunDirectory) -> None:
    directory = undisturbed
    state = RunState.load(directory.events)
    assert status(directory, state) == "done"
    result = json.loads(directory.result.read_text())
    assert result["status"] == "done"
    assert len(result["cells"]) == len(measures(directory)) == 24
    assert directory.read_info()["pid"] > 0
    assert state.processor is not None and state.processor > 0
    assert re.search(r", [0-9]+ cores, [0-9.]+ GiB$", directory.read_info()["hardware"])
    assert not directory.lock.exists()


@pytest.mark.parametrize(
    "kind, count",
    [
        pytest.param("network_ready", 1, marks=pytest.mark.slow),
        pytest.param("task_finished", 1, marks=pytest.mark.slow),
        pytest.param("step", 6, marks=pytest.mark.slow),
        ("cell_finished", 9),
    ],
)
def test_killed_at_any_moment_and_resumed_it_ends_with_an_undisturbed_runs_numbers(
    undisturbed: RunDirectory, tmp_path: Path, kind: str, count: int
) -> None:
    directory = create(experiment(**ONE_PAIR), tmp_path / "killed")
    process = worker(directory)
    wait_for(lambda: saw(directory, kind, count) or process.poll() is not None, f"{count} x {kind}")
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished_before = sum(isinstance(e, TaskFinished) for e in read_events(directory.events))
    assert status(directory, RunState.load(directory.events)) == "lost"
    assert worker(directory).wait(120) == 0
    assert measures(directory) == measures(undisturbed)
    started = [e.task for e in read_events(directory.events) if isinstance(e, TaskStarted)]
    repeated = {t for t in started if started.count(t) > 1 and " > " in t}
    assert len(repeated) <= 1, "more than the column in flight was repeated"
    assert finished_before <= len(set(started))


def test_a_resumed_run_computes_where_it_did_before(work: Callable[..., int], done: RunDirectory) -> None:
    asked_for = done.read_info()["asked_for"]
    assert asked_for == {"device": "cpu", "threads": 1}
    assert work(done, told=()) == 0
    assert done.read_info()["asked_for"] == asked_for


def test_sigterm_ends_the_run_within_a_step_and_says_so() -> None:
    directory = create(experiment(**{**ONE_PAIR, "stitch": {"steps": 100_000}}))
    process = worker(directory)
    wait_for(lambda: any(isinstance(e, Step) and e.losses for e in read_events(directory.events)), "training")
    process.terminate()
    assert process.wait(20) == 0
    state = RunState.load(directory.events)
    assert (state.status, state.reason) == ("stopped", "asked to stop")
    assert json.loads(directory.result.read_text())["status"] == "stopped"


def test_bad_input_is_one_line_in_the_log_and_exit_code_2(work: Callable[..., int]) -> None:
    wanted = experiment(stitch={"cuts": ["nowhere"]})
    directory = create(wanted)
    assert work(directory) == 2
    state = RunState.load(directory.events)
    assert state.status == "failed"
    assert state.bad_input
    assert "'nowhere' is not known" in (state.reason or "")


def test_a_device_that_is_not_there_is_bad_input_of_a_run_that_has_begun(work: Callable[..., int]) -> None:
    directory = create(experiment(**ONE_PAIR))
    assert work(directory, told=("--device", "cuda:99")) == 2
    state = RunState.load(directory.events)
    assert (state.status, state.bad_input, state.run) == ("failed", True, directory.name)
    assert "--device cuda:99: not usable here" in (state.reason or "")
    assert directory.read_info()["asked_for"] == {"device": "cuda:99"}


def test_a_second_worker_on_the_same_run_leaves_the_first_alone(
    work: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = create(experiment(**{**ONE_PAIR, "stitch": {"steps": 100_000}}))
    first = worker(directory)
    wait_for(lambda: saw(directory, "task_started", 1), "the first worker")
    first.send_signal(signal.SIGSTOP)  # there, but taking no time from the second
    assert work(directory) == 2
    assert "is working on it" in capsys.readouterr().err
    assert first.poll() is None
    first.kill()
    first.wait()


def test_a_fault_of_ours_is_named_in_the_log_with_its_traceback_in_the_workers(
    work: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = create(experiment(**ONE_PAIR))
    directory.info.mkdir()  # in the way of run.json
    assert work(directory) == 1
    state = RunState.load(directory.events)
    assert state.status == "failed"
    assert (state.reason or "").startswith("internal error: ")
    assert "Traceback" in capsys.readouterr().err


def test_a_worker_at_work_takes_up_what_is_asked_for_meanwhile() -> None:
    directory = create(experiment(**ONE_PAIR))
    process = worker(directory)
    wait_for(lambda: saw(directory, "task_started", 4), "the first column")
    request = Request(stitch=directory.read_experiment().stitch.model_copy(update={"steps": 20}))
    tasks = ask(directory, request, RunState.load(directory.events))
    assert process.wait(120) == 0
    state = RunState.load(directory.events)
    assert state.status == "done"
    assert tasks and {state.tasks[task].status for task in tasks} == {"finished"}
    assert sum(isinstance(e, NetworkReady) and e.network == "seed0" for e in read_events(directory.events)) >= 1


def test_what_a_worker_that_was_ending_did_not_see_is_seen_to_by_another(
    work: Callable[..., int], done: RunDirectory
) -> None:
    request = Request(stitch=done.read_experiment().stitch.model_copy(update={"steps": 20}))
    tasks = ask(done, request, RunState.load(done.events))
    see_to(done, tasks, lambda: work(done))
    state = RunState.load(done.events)
    assert {state.tasks[task].status for task in tasks} == {"finished"}
    with pytest.raises(BadInput, match="has this already"):
        ask(done, request, state)
