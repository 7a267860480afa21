"""A worker without science: writes the events of a small run into its log, and ends in the way it is asked to."""

import json
import os
import signal
import sys
import time
from pathlib import Path

CUTS = ["conv1", "conv2", "pool"]


def tasks():
    shared = {"top": "b", "family": "affine", "objective": "direct", "start": "least_squares", "seed": 0}
    pair = {"id": "a > b affine direct seed 0", "column": "a > b", "bottom": "a", "control": "", **shared}
    mirror = {"id": "b > b affine direct seed 0", "column": "b > b", "bottom": "b", "control": "self_stitch", **shared}
    return [pair, mirror]


def begun(resumed=False, name="fake-run", process=None):
    versions = {"stitchtui": "0"}
    facts = {"run": name, "experiment": {"name": name, "epsilon": 3.0}, "tasks": tasks()}
    said = {"versions": versions, "resumed": resumed, "process": process or {}}
    return {"type": "run_started", **facts, "device": "cpu", **said}


def network(name):
    cuts = [{"name": cut, "shape": [4], "depth": depth, "parameters": 1} for depth, cut in enumerate(CUTS)]
    facts = {"network": name, "digest": f"digest {name}", "architecture": "digits_cnn", "error": 4.0, "cuts": cuts}
    return {"type": "network_ready", "parameters": 10, "source": "trained", **facts}


def cell(task, cut, penalty):
    measures = {"penalty": penalty, "penalty_low": penalty - 0.5, "penalty_high": penalty + 0.5, "error": 4 + penalty}
    return {"type": "cell_finished", "task": task, "cut": cut, "identity": "0" * 64, "measures": measures}


def column(task, penalty):
    name = task["id"]
    yield {"type": "task_started", "task": name, "steps": 10, "cuts": CUTS}
    yield {"type": "step", "task": name, "step": 5, "steps": 10, "loss": 0.5, "accuracy": 90.0}
    yield from (cell(name, cut, penalty + depth) for depth, cut in enumerate(CUTS))
    yield {"type": "task_finished", "task": name, "seconds": 1.0}


def ended(status="done", **fields):
    return {"type": "run_finished", "status": status, "reason": None, **fields}


def measured():
    """Everything between the start of a run and its end."""
    yield {"type": "data_ready", "name": "digits", "train": 1437, "test": 360, "classes": list("0123456789")}
    yield from (network("a"), network("b"))
    yield from column(tasks()[0], 0.25)
    yield from column(tasks()[1], 0.0)
    yield {"type": "check", "name": "frozen", "passed": True}


def whole_run():
    """The events of an undisturbed run, stamped one a second."""
    events = [begun(), *measured(), ended()]
    return [{"t": 1_700_000_000.0 + second, **event} for second, event in enumerate(events)]


def write_log(path, events):
    path.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events), "utf-8")


def main():
    import logged

    from stitchtui.run.control import describe_process
    from stitchtui.run.directory import RunDirectory
    from stitchtui.run.events import EventWriter

    directory, ending = RunDirectory(Path(sys.argv[1])), os.environ["FAKE_WORKER"]
    if ending == "dies at once":
        sys.exit("RuntimeError: no room \x1b[31mleft\nSegmentation fault")
    directory.write_info(describe_process(os.getpid()))

    def write(said):
        writer.write(logged.event(said))

    with EventWriter(directory.events) as writer:
        write(begun(directory.events.stat().st_size > 0, directory.name, describe_process()))
        if ending == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if ending == "waits":
            signal.signal(signal.SIGTERM, lambda *_: (write(ended("stopped")), sys.exit(0)))
            time.sleep(60)
        for event in measured() if ending == "done" else ():
            write(event)
        write(ended() if ending == "done" else ended("failed", reason=ending, bad_input=ending.startswith("bad")))


if __name__ == "__main__":
    main()
