"""A launched worker lives on its own, is asked how it is, and is stopped; what can't be known is not guessed."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from made_events import event, experiment, run_started

import stitchtui
from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.run import process
from stitchtui.run.control import AlreadyRunning, describe_process, launch, liveness, status, stop
from stitchtui.run.directory import create, read_object
from stitchtui.run.events import encode
from stitchtui.run.state import RunState

ROOT = Path(stitchtui.__file__).parent.parent
SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print('up', child.pid, flush=True); time.sleep(60)"
)


def python(script):
    return [sys.executable, "-c", script]


def wait_for(condition, what):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


@pytest.fixture
def directory(tmp_path):
    made = create(experiment(), tmp_path)
    yield made
    launched = read_object(made.launched)
    if liveness(launched) == "alive":
        os.killpg(launched["pid"], signal.SIGKILL)


def up(directory):
    wait_for(lambda: directory.log.read_text().startswith("up"), "the worker is up")


def folded(*events):
    state = RunState()
    state.apply_all(events)
    return state


def dead_process():
    with subprocess.Popen(python("input()"), stdin=subprocess.PIPE) as process:
        described = describe_process(process.pid)
        process.communicate(b"\n")
    return described


def test_a_worker_gets_the_directory_and_the_arguments_and_logs_its_output(directory):
    script = "import sys; print(sys.argv[1:]); print('oops', file=sys.stderr); print(repr(sys.stdin.read()))"
    launch(directory, ["--device", "cpu"], python(script))
    wait_for(lambda: "''" in directory.log.read_text(), "the worker has written all")
    log = directory.log.read_text()
    assert str([str(directory.path), "--device", "cpu"]) in log
    assert "oops" in log


def test_a_worker_runs_in_a_session_of_its_own(directory):
    pid = launch(directory, command=python(SLEEPER))
    up(directory)
    assert os.getsid(pid) == pid
    assert json.loads(directory.launched.read_text())["pid"] == pid


def test_a_run_that_a_worker_is_at_is_not_launched_again(directory):
    launch(directory, command=python(SLEEPER))
    with pytest.raises(BadInput, match="is running already"):
        launch(directory, command=python(SLEEPER))


def test_a_worker_survives_the_hang_up_of_the_terminal_it_was_launched_from(directory):
    parent = (
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # which whoever runs the tests may have been told to ignore
        "os.open(sys.argv[2], os.O_RDWR)\n"  # the first terminal that a session leader opens controls it
        "from stitchtui.run.control import launch\n"
        "from stitchtui.run.directory import RunDirectory\n"
        f"launch(RunDirectory(pathlib.Path(sys.argv[1])), command=[sys.executable, '-c', {SLEEPER!r}])\n"
        "time.sleep(60)\n"
    )
    master, slave = pty.openpty()
    ends = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True, "cwd": ROOT}
    with subprocess.Popen([*python(parent), str(directory.path), os.ttyname(slave)], **ends) as launcher:
        os.close(slave)
        wait_for(directory.launched.exists, "the worker is launched")
        up(directory)
        os.close(master)
        assert launcher.wait(20) == -signal.SIGHUP
    assert liveness(json.loads(directory.launched.read_text())) == "alive"
    assert stop(directory) is True


def test_a_worker_that_ended_leaves_no_zombie(directory):
    pid = launch(directory, command=python("pass"))
    wait_for(lambda: not psutil.pid_exists(pid), "the worker is reaped")


def test_this_process_is_alive_and_another_start_boot_or_pid_is_dead():
    here = describe_process()
    assert here["pid"] == os.getpid()
    assert liveness(json.loads(json.dumps(here))) == "alive"
    assert liveness({**here, "start": here["start"] - 1}) == "dead"
    assert liveness({**here, "boot": "another"}) == "dead"
    assert liveness(dead_process()) == "dead"
    assert liveness({**here, "pid": 10**30}) == "dead"


def test_a_process_is_the_same_when_the_clock_is_set(monkeypatch):
    here = describe_process()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 1.0)
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert describe_process() == here
    assert liveness(here) == "alive"


def test_a_process_whose_name_holds_brackets_and_blanks_is_described(tmp_path):
    link = tmp_path / "a) b (c"
    link.symlink_to(sys.executable)
    with subprocess.Popen([link, "-c", "input()"], stdin=subprocess.PIPE) as process:
        described = describe_process(process.pid)
        assert described["start"] >= describe_process()["start"]
        assert liveness(described) == "alive"
        process.communicate(b"\n")


def test_where_there_is_no_proc_the_start_is_the_kernels_time_of_it(monkeypatch):
    def nothing(*_):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(process.Path, "read_bytes", nothing)
    monkeypatch.setattr(process.Path, "read_text", nothing)
    here = describe_process()
    assert (here["boot"], here["start"]) == ("", psutil.Process().create_time())
    assert liveness(json.loads(json.dumps(here))) == "alive"
    assert liveness({**here, "start": here["start"] + 60}) == "dead"


def test_what_an_earlier_version_wrote_is_dead_or_unknown():
    dead, alive = (
        {"pid": who["pid"], "host": who["host"], "create_time": 1.0} for who in (dead_process(), describe_process())
    )
    assert (liveness(dead), liveness(alive)) == ("dead", "unknown")
    assert liveness({**dead, "host": "far away"}) == "elsewhere"


def test_a_process_of_another_host_is_elsewhere():
    assert liveness({**describe_process(), "host": "far away"}) == "elsewhere"


def test_a_zombie_is_dead():
    process = subprocess.Popen(python("input()"), stdin=subprocess.PIPE)
    described = describe_process(process.pid)
    process.stdin.close()
    wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "it is a zombie")
    assert liveness(described) == "dead"
    process.wait()


@pytest.mark.parametrize(
    "spoilt",
    [
        {"pid": "1"},
        {"pid": -1},
        {"pid": 1.5},
        {"pid": True},
        {"host": None},
        {"host": 3},
        {"start": "x"},
        {"boot": None},
    ],
)
def test_what_is_no_process_is_unknown(spoilt):
    assert liveness({**describe_process(), **spoilt}) == "unknown"
    assert liveness({}) == "unknown"


def test_stopping_asks_the_worker_and_it_ends_by_itself(directory):
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); " + SLEEPER
    pid = launch(directory, command=python(script))
    up(directory)
    assert stop(directory) is True
    wait_for(lambda: not psutil.pid_exists(pid), "the worker is gone")


def test_a_worker_that_does_not_stop_is_killed_with_all_it_started(directory):
    pid = launch(directory, command=python(STUBBORN))
    up(directory)
    wait_for(lambda: directory.log.read_text().endswith("\n"), "the line is whole")
    child = int(directory.log.read_text().split()[1])
    assert stop(directory, grace=0.1) is False
    wait_for(lambda: not psutil.pid_exists(pid), "the worker is gone")
    gone = (psutil.STATUS_ZOMBIE, "gone")
    wait_for(lambda: _status_of(child) in gone, "its child is gone")


def _status_of(pid):
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return "gone"


def test_killing_a_worker_that_leads_no_group_spares_the_others_in_it(directory):
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
    with subprocess.Popen(python(script), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        directory.write_info(describe_process(process.pid))
        assert stop(directory, grace=0.05) is False
    assert process.returncode == -signal.SIGKILL


def test_a_run_whose_worker_is_on_another_host_cannot_be_stopped_here(directory):
    directory.write_info({**describe_process(), "host": "gpu-box"})
    with pytest.raises(BadInput, match="its worker is on gpu-box; stop it there"):
        stop(directory)


@pytest.mark.parametrize("info", [{}, {"pid": "x"}, {**describe_process(), "start": 1}])
def test_a_run_that_is_not_running_cannot_be_stopped(directory, info):
    directory.write_info(info)
    with pytest.raises(BadInput, match="is not running"):
        stop(directory)


def test_a_launched_run_is_starting_until_its_log_begins_and_then_running(directory):
    launch(directory, command=python(SLEEPER))
    assert status(directory, RunState()) == "starting"
    assert status(directory, folded(run_started(process=read_object(directory.launched)))) == "running"


def test_a_resumed_run_is_starting_until_its_new_worker_speaks(directory):
    directory.write_info(dead_process())
    later = time.time() + 3600  # the clock may have been set back since
    stopped = [run_started(t=later, process=dead_process()), event("run_finished", later, status="stopped")]
    assert status(directory, folded(*stopped)) == "stopped"
    launch(directory, command=python(SLEEPER))
    assert status(directory, folded(*stopped)) == "starting"
    again = run_started(t=1.0, resumed=True, process=read_object(directory.launched))
    assert status(directory, folded(*stopped, again)) == "running"


@pytest.mark.parametrize("ended", ["done", "failed", "stopped"])
def test_a_run_that_ended_is_what_it_said_wherever_it_ran(directory, ended):
    state = folded(run_started(), event("run_finished", 1001.0, status=ended))
    assert status(directory, state) == ended
    directory.write_info({**describe_process(), "host": "far away"})
    assert status(directory, state) == ended


def test_a_worker_that_died_without_a_word_is_lost(directory):
    assert status(directory, folded(run_started())) == "lost"
    directory.write_info(dead_process())
    assert status(directory, folded(run_started())) == "lost"
    assert status(directory, RunState()) == "lost"


def test_a_run_that_ended_just_after_the_log_was_read_is_not_lost(directory):
    directory.write_info(dead_process())
    end = event("run_finished", 1001.0, status="done")
    directory.events.write_bytes(encode(run_started()) + b"\n" + encode(end) + b"\n")
    assert status(directory, folded(run_started())) == "running"
    directory.events.write_bytes(encode(end) + b"\n" + encode(run_started(t=1002.0)) + b"\n")
    assert status(directory, folded(end, run_started(t=1002.0))) == "lost"


def test_a_run_that_works_on_another_host_is_elsewhere(directory):
    directory.write_info({**describe_process(), "host": "far away"})
    assert status(directory, folded(run_started())) == "elsewhere"
    assert status(directory, RunState()) == "elsewhere"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"pid": {}, "host": [], "create_time": null}'])
def test_a_malformed_run_json_makes_a_run_lost_and_crashes_nothing(directory, content):
    directory.info.write_bytes(content)
    directory.launched.write_bytes(content)
    directory.events.write_bytes(b"\x00\xff\n{}\n")
    assert status(directory, RunState.load(directory.events)) == "lost"


def test_of_many_that_launch_at_once_one_does(directory):
    refused = []

    def try_to():
        try:
            launch(directory, command=python(SLEEPER))
        except AlreadyRunning as error:
            refused.append(str(error))

    threads = [threading.Thread(target=try_to) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert all("is running already" in each for each in refused)


def test_a_worker_that_nobody_could_find_again_is_not_left_running(directory):
    directory.launched.mkdir()
    before = set(psutil.Process().children())
    with pytest.raises(RunFailed, match=r"launch\.json: can't be written \(Is a directory\)"):
        launch(directory, command=python(SLEEPER))
    assert set(psutil.Process().children()) <= before
