"""Runs written into experiment trackers, each with the library's own client, which is loaded here and nowhere else.

Each function takes a run, the project that it is put in and a place, and returns in a line where it is to be seen.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from stitchtui.base.errors import BadInput
from stitchtui.report.replay import Point, Replay

T = TypeVar("T")


def to_tensorboard(run: Replay, _project: str, place: str | None) -> str:
    """Write a folder of the run's name: scalars, the experiment as text and as hyperparameters, verdicts as text."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = Path(place or "tensorboard") / run.name
    if folder.exists():
        raise _there(folder)
    settings = "\n".join(f"    {key} = {json.dumps(value)}" for key, value in run.settings.items())
    words = "\n".join(f"- {key}: {said}" for key, said in run.words.items())
    writer = EventFileWriter(str(folder))
    told = hparams_pb(run.settings, run.name, run.began), text_pb("experiment", settings), text_pb("run", words)
    for summary in told:
        writer.add_event(Event(wall_time=run.began, step=0, summary=summary))
    for point in (*run.curves, *run.results):
        for name, value in point.values.items():
            writer.add_event(Event(wall_time=point.time, step=point.step, summary=scalar_pb(name, value)))
    writer.close()
    return f"tensorboard --logdir {folder.parent}"


def to_wandb(run: Replay, project: str, place: str | None) -> str:
    """Log curves over `step`, and results and verdicts as the summary; WANDB_MODE=offline needs no account."""
    import wandb

    if place:
        Path(place).mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True, save_code=False)
    made = wandb.init(project=project, name=run.name, config=dict(run.experiment), dir=place, settings=quiet)
    made.define_metric("*", step_metric="step")
    for point in run.curves:
        made.log({**point.values, "step": point.step, "_timestamp": point.time})
    made.summary.update({**run.words, **run.final})
    made.finish(exit_code=int(run.status != "done"))
    return f"wandb sync {Path(made.dir).parent}" if made.offline else str(made.url)


def to_mlflow(run: Replay, project: str, place: str | None) -> str:
    """Log a run of the experiment called `project`: metrics, the experiment's keys as parameters, verdicts as tags."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient
    from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

    client = MlflowClient(tracking_uri=place)
    known = client.get_experiment_by_name(project)
    experiment = known.experiment_id if known else client.create_experiment(project)
    made = client.create_run(experiment, start_time=_milliseconds(run.began), run_name=run.name).info.run_id
    params = [Param(_for_mlflow(key), str(value)[:MAX_PARAM_VAL_LENGTH]) for key, value in run.settings.items()]
    tags = [RunTag(_for_mlflow(key), said) for key, said in run.words.items()]
    metrics = [
        Metric(_for_mlflow(name), value, _milliseconds(point.time), point.step)
        for point in (*run.curves, *run.results)
        for name, value in point.values.items()
    ]
    for some in _in_parts(params, MAX_PARAMS_TAGS_PER_BATCH):
        client.log_batch(made, params=some)
    for more in _in_parts(tags, MAX_PARAMS_TAGS_PER_BATCH):
        client.log_batch(made, tags=more)
    for many in _in_parts(metrics, MAX_METRICS_PER_BATCH):
        client.log_batch(made, metrics=many)
    status = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
    if run.status in status:
        client.set_terminated(made, status[run.status], _milliseconds(run.ended))
    return f"run {made} of experiment {project} at {client.tracking_uri}"


def to_trackio(run: Replay, project: str, place: str | None) -> str:
    """Log into a local store: curves and results as metrics, experiment and verdicts as the config."""
    if place:
        os.environ["TRACKIO_DIR"] = str(Path(place).absolute())  # which it reads as it is loaded
    from trackio.sqlite_storage import SQLiteStorage  # `trackio.log` stamps what it is given with the time of now

    if run.name in SQLiteStorage.get_runs(project):
        raise _there(f"{project}/{run.name}")
    points: list[Point] = sorted((*run.curves, *run.results), key=lambda point: point.time)
    SQLiteStorage.bulk_log(
        project,
        run.name,
        [point.values for point in points],
        [point.step for point in points],
        [datetime.fromtimestamp(point.time, UTC).isoformat() for point in points],
        config={**run.settings, **run.words},
    )
    return f"trackio show --project {project}" + (f", with TRACKIO_DIR={place}" if place else "")


def _there(what: object) -> BadInput:
    return BadInput.at("--place", "holds this run already; delete it there, or name another place", what)


def _for_mlflow(name: str) -> str:
    """A name of the characters that MLflow takes."""
    return re.sub(r"[^\w .:/-]", "_", name.replace(" > ", " to "))


def _milliseconds(time: float) -> int:
    return round(time * 1000)


def _in_parts(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (items[start : start + most] for start in range(0, len(items), most))
