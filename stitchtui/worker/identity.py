"""What determines a cell's numbers, as facts to be hashed: change one, and an earlier cell is not this cell."""

import hashlib
from typing import Any

from stitchtui.device import training_dtype
from stitchtui.run.plan import Task
from stitchtui.stitching.cuts import Cut
from stitchtui.worker.session import Loaded, Session


def facts(
    session: Session, task: Task, bottom: tuple[Loaded, Cut], top: tuple[Loaded, Cut], steps: int
) -> dict[str, Any]:
    """Weights, graph and normalisation of both networks, cuts, data, stitch, and the recipe where one is trained."""
    experiment, stitch = session.experiment, session.experiment.stitch
    found: dict[str, Any] = {
        "bottom": _end(*bottom),
        "top": _end(*top),
        "data": session.dataset.digest,
        "family": task.family,
        "objective": task.objective,
        "cka_images": min(experiment.cka_images, len(session.dataset.test)),
    }
    if task.family != "identity":
        found |= {"start": task.start, "ridge": stitch.ridge}
    if task.objective == "task":
        found |= {
            "seed": task.seed,
            "steps": steps,
            "batch_size": stitch.batch_size,
            "learning_rate": stitch.learning_rate,
            "weight_decay": stitch.weight_decay,
            "frozen_bn": stitch.frozen_bn,
            "precision": str(training_dtype(stitch.precision, session.device)),
            "augment": session.dataset.augment,
        }
    return found


def _end(loaded: Loaded, cut: Cut) -> dict[str, Any]:
    network = loaded.network
    # The same weights in another forward(), or with another stride, are another network.
    graph = f"{loaded.traced.module.code}\n{network.module}"
    return {
        "weights": network.digest,
        "graph": hashlib.sha256(graph.encode()).hexdigest(),
        "mean": network.mean,
        "std": network.std,
        "cut": cut.name,
    }
