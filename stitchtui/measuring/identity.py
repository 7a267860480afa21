"""What determines a cell's numbers, as facts to be hashed: change one, and an earlier cell is not this cell."""

from typing import Any

from stitchtui.base.device import training_dtype
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.material import Ends, Material
from stitchtui.measuring.session import Session
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.objectives import DIRECT
from stitchtui.spec.plan import Task
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.adapters import adapter
from stitchtui.stitching.cuts import Cut


def facts(
    session: Session,
    task: Task,
    cuts: tuple[Cut, Cut],
    *,
    ends: Ends,
    material: Material,
    steps: int,
    converges: bool,
) -> dict[str, Any]:
    """Of a task's cell at `cuts`, the bottom's and the top's: all that its numbers follow from.

    Weights, graph and normalisation of both networks, cuts, data, stitch, and the recipe where one is trained.
    """
    experiment, stitch = session.experiment, session.stitch_of(task)
    found: dict[str, Any] = {
        "bottom": _end(ends.bottom, cuts[0]) if ends.noise is None else _noise(ends, cuts[0]),
        "top": _end(ends.top, cuts[1]),
        "measured_against": session.loaded[task.top].network.digest,
        "data": session.dataset.digest,
        "adapter": _adapter(*cuts),
        "fitted_on": material.digest,
        "family": task.family,
        "objective": task.objective,
        "cka": min(experiment.cka_images, len(session.dataset.test)) if experiment.cka == "exact" else experiment.cka,
        "start": task.start,
        "ridge": stitch.ridge,
    }
    family = FAMILIES.get(task.family)
    if family is not None and family.takes_rank:
        found["rank"] = stitch.rank
    if task.objective != DIRECT.name:
        found |= {
            "seed": task.seed,
            "steps": steps,
            "converges": converges,
            "batch_size": stitch.batch_size,
            "learning_rate": stitch.learning_rate,
            "weight_decay": stitch.weight_decay,
            "scaled_steps": stitch.scaled_steps,
            "l1": stitch.l1,
            "best_of": stitch.best_of,
            "frozen_bn": stitch.frozen_bn,
            "precision": str(training_dtype(stitch.precision, session.device)),
            "augment": session.augment,
        }
    return found


def _adapter(bottom: Cut, top: Cut) -> str:
    try:
        return adapter(bottom, top).name
    except Misfit:  # a cell that fails needs no adapter
        return ""


def _noise(ends: Ends, cut: Cut) -> dict[str, Any]:
    assert ends.noise is not None
    return {"cluster_noise": ends.noise.seed, "cut": cut.name, "shape": cut.shape, "channel_axis": cut.channel_axis}


def _end(loaded: Loaded, cut: Cut) -> dict[str, Any]:
    network = loaded.network
    return {
        "weights": network.digest,
        "graph": loaded.graph_digest,
        "mean": network.mean,
        "std": network.std,
        "cut": cut.name,
    }
