"""An experiment tracker holds what the run's log says: every curve with its own times, every measure of each cell."""

import csv
import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stitchtui import cli
from stitchtui.base.errors import BadInput
from stitchtui.report.columns import PLACES
from stitchtui.report.export import csv_text
from stitchtui.report.exporters import EXPORTERS
from stitchtui.report.replay import Replay, replay
from stitchtui.run.about import About
from stitchtui.run.events import read_events
from stitchtui.run.state import load

RUNS = Path(__file__).parents[1] / "golden" / "runs"
QUICK, RESUMED, CLAIMS = "20260101-120000-quickstart", "20260107-120000-resumed", "20260104-120000-claims"
Curves = dict[str, list[tuple[int, float, float]]]


def replayed(name: str) -> Replay:
    return replay(name, read_events(RUNS / name / "events.jsonl"), About(label="first"))


def curves(run: Replay) -> Curves:
    found: Curves = {}
    for point in run.curves:
        for name, value in point.values.items():
            found.setdefault(name, []).append((point.step, point.time, value))
    return found


def said(name: str) -> Curves:
    """The curves as the lines of the log say them, where no task began anew."""
    found: Curves = {}
    cuts: dict[str, list[str]] = {}
    for line in (RUNS / name / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        values = {}
        if event["type"] == "task_started":
            cuts[event["task"]] = event["cuts"]
        if event["type"] == "held_out":
            for kind in ("loss", "accuracy"):
                each = event["losses" if kind == "loss" else "accuracies"]
                values |= {f"held_out/{kind}/{event['task']}/{cut}": value for cut, value in each.items()}
        if event["type"] == "step" and event.get("losses"):
            rows = cuts[event["task"]]
            values |= {f"train/loss/{event['task']}/{cut}": n for cut, n in zip(rows, event["losses"], strict=True)}
            each = zip(rows, event["accuracies"], strict=True)
            values |= {f"train/accuracy/{event['task']}/{cut}": n for cut, n in each}
        elif event["type"] == "step":
            values |= {f"train/{kind}/{event['task']}": event.get(kind) for kind in ("loss", "accuracy")}
        for each_name, value in values.items():
            if value is not None:
                found.setdefault(each_name, []).append((event["step"], event["t"], value))
    return found


def test_curves_are_those_of_the_log_step_by_step_each_with_its_own_time() -> None:
    found = curves(replayed(QUICK))
    assert found == said(QUICK)
    assert {name.split("/")[0] for name in found} == {"train", "held_out"}


def test_a_task_that_began_anew_has_each_step_once_and_in_order() -> None:
    for points in curves(replayed(RESUMED)).values():
        steps = [step for step, _, _ in points]
        assert steps == sorted(set(steps))


@pytest.mark.parametrize("name", [QUICK, RESUMED])
def test_results_are_the_measures_of_the_csv(name: str) -> None:
    run, state = replayed(name), load(RUNS / name / "events.jsonl")
    wanted = {f"error/network {each}": network.error for each, network in state.networks.items()}
    for row in csv.DictReader(io.StringIO(csv_text(state))):
        measures = {key: value for key, value in row.items() if key not in PLACES and value}
        wanted |= {f"{key}/{row['task']}/{row['cut']}": float(value) for key, value in measures.items()}
    assert run.final == wanted


def test_what_is_no_number_is_told_in_words() -> None:
    words = replayed(CLAIMS).words
    assert (words["label"], words["status"]) == ("first", "done")
    assert words["verdict seed1 > seed0"] == "not connected at 3 points"
    assert words["claim 1"].startswith(("confirmed: ", "rejected: ", "undecided: "))
    assert replayed(CLAIMS).settings["stitch.family"] == "affine"


def test_tensorboard_holds_the_run(tmp_path: Path) -> None:
    run = replayed(QUICK)
    assert EXPORTERS["tensorboard"].export(run, "any", str(tmp_path)) == f"tensorboard --logdir {tmp_path}"
    read = EventAccumulator(str(tmp_path / QUICK), size_guidance={"tensors": 0})
    read.Reload()
    wanted = curves(run)
    for point in run.results:
        wanted |= {name: [(point.step, point.time, value)] for name, value in point.values.items()}
    for name, points in wanted.items():
        found = [(each.step, each.wall_time, each.tensor_proto.float_val[0]) for each in read.Tensors(name)]
        assert found == [(step, time, pytest.approx(value, rel=1e-6)) for step, time, value in points], name
    assert b"stitch.family" in read.Tensors("experiment")[0].tensor_proto.string_val[0]
    assert b"verdict seed0 > seed1" in read.Tensors("run")[0].tensor_proto.string_val[0]
    with pytest.raises(BadInput, match="holds this run already"):
        EXPORTERS["tensorboard"].export(run, "any", str(tmp_path))


def test_a_tracker_whose_library_is_missing_is_one_line_that_says_what_to_install() -> None:
    missing = replace(EXPORTERS["wandb"], module="no_such_library")
    with pytest.raises(BadInput, match=r"pip install 'stitchtui\[wandb\]'") as refused:
        missing.export(replayed(QUICK), "any", None)
    assert refused.value.field == "--to"


def test_a_tracker_that_is_not_known_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["export", "last", "--to", "tensorbord"]) == 2
    assert capsys.readouterr().err == "stitchtui: --to: 'tensorbord' is not known; nearest: 'tensorboard'\n"


def exported(tracker: str, place: str, name: str = QUICK) -> Replay:
    """A run that the command exported, in a process of its own: these libraries keep threads, servers and settings."""
    environment = os.environ | {"STITCHTUI_RUNS": str(RUNS), "WANDB_MODE": "offline"}
    words = [sys.executable, "-m", "stitchtui", "export", name, "--to", tracker, "--project", "mine", "--place", place]
    subprocess.run(words, check=True, env=environment)
    return replay(name, read_events(RUNS / name / "events.jsonl"), About())


@pytest.mark.slow  # by hand, with the extras wandb, mlflow and trackio installed
@pytest.mark.filterwarnings("default")  # of what MLflow loads
@pytest.mark.parametrize("name", [QUICK, CLAIMS])
def test_mlflow_holds_the_run(tmp_path: Path, name: str) -> None:
    from mlflow.tracking import MlflowClient

    from stitchtui.report.trackers import _for_mlflow

    uri = f"sqlite:///{tmp_path}/store.db"
    run = exported("mlflow", uri, name)
    client = MlflowClient(tracking_uri=uri)
    project = client.get_experiment_by_name("mine")
    assert project is not None
    (made,) = client.search_runs([project.experiment_id])
    assert (made.info.run_name, made.info.status) == (name, "FINISHED")
    assert (made.info.start_time, made.info.end_time) == (round(run.began * 1000), round(run.ended * 1000))
    assert made.data.metrics.keys() == {_for_mlflow(name) for name in (*curves(run), *run.final)}
    for key, value in run.final.items():
        assert made.data.metrics[_for_mlflow(key)] == value
    for key, points in list(curves(run).items())[::7]:
        read = client.get_metric_history(made.info.run_id, _for_mlflow(key))
        assert [(m.step, m.timestamp, m.value) for m in read] == [(s, round(t * 1000), v) for s, t, v in points]
    assert made.data.params == {_for_mlflow(key): str(value) for key, value in run.settings.items()}
    assert {_for_mlflow(key): said for key, said in run.words.items()}.items() <= made.data.tags.items()


@pytest.mark.slow  # by hand, as above
def test_trackio_holds_the_run(tmp_path: Path) -> None:
    run = exported("trackio", str(tmp_path))
    code = "import json, trackio.sqlite_storage as s; S = s.SQLiteStorage; name, = S.get_runs('mine'); "
    code += "print(json.dumps([name, S.get_logs('mine', name), S.get_run_config('mine', name)]))"
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path)}
    text = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True)
    name, logs, config = json.loads(text.stdout)
    assert name == QUICK
    found: Curves = {}
    for log in logs:
        for key, value in log.items():
            if key not in ("step", "timestamp"):
                found.setdefault(key, []).append((log["step"], 0.0, value))
    wanted = curves(run) | {name: [(0, 0.0, value)] for name, value in run.final.items()}
    assert {key: [value for _, _, value in each] for key, each in found.items()} == {
        key: [value for _, _, value in each] for key, each in wanted.items()
    }
    assert {**run.settings, **run.words}.items() <= config.items()


def records(file: Path) -> Iterator[bytes]:
    """The records of a file of W&B: a log as LevelDB writes it, behind a header of seven bytes."""
    data, place, record = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32_768 - place % 32_768 < 7:
            place += 32_768 - place % 32_768
        length, kind = struct.unpack_from("<HB", data, place + 4)  # after a checksum
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@pytest.mark.slow  # by hand, as above
def test_wandb_holds_the_run_without_a_network(tmp_path: Path) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    run = exported("wandb", str(tmp_path))
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    summary: dict[str, object] = {}
    config: dict[str, object] = {}
    found: Curves = {}
    for data in records(file):
        record = Record.FromString(data)
        items = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
        for name in items.keys() - {"step", "_step", "_timestamp", "_runtime"}:
            found.setdefault(name, []).append((items["step"], items["_timestamp"], items[name]))
        summary |= {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.summary.update}
        config |= {i.key: json.loads(i.value_json) for i in record.run.config.update}
    assert found == curves(run)
    assert (run.final | run.words).items() <= summary.items()
    assert config["stitch"] == run.experiment["stitch"]
