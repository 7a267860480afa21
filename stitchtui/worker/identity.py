"""What determines a cell's numbers, as facts to be hashed: change one, and an earlier cell is not this cell."""

import hashlib
from typing import Any

import torch

from stitchtui.device import training_dtype
from stitchtui.networks.network import tensor_bytes
from stitchtui.run.plan import Task
from stitchtui.stitching.cuts import Cut
from stitchtui.worker.session import Loaded, Session


def facts(
    session: Session, task: Task, bottom: tuple[Loaded, Cut], top: tuple[Loaded, Cut], steps: int
) -> dict[str, Any]:
    """Weights, graph and normalisation of both networks, cuts, data, stitch, and the recipe where one is trained."""
    experiment, stitch = session.experiment, session.stitch_of(task)
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
    return {
        "weights": network.digest,
        "graph": _graph_digest(loaded),
        "mean": network.mean,
        "std": network.std,
        "cut": cut.name,
    }


def _graph_digest(loaded: Loaded) -> str:
    """What the network computes with its weights: the graph, every layer's settings, and tensors that are no weights.

    The same weights in another forward(), with another stride, or with more heads, are another network.
    """
    sha = hashlib.sha256(loaded.traced.module.code.encode())
    for name, layer in loaded.network.module.named_modules():
        settings = {k: repr(v) for k, v in sorted(vars(layer).items()) if k != "training" and _is_plain(v)}
        sha.update(f"{name} {type(layer).__qualname__} {settings}".encode())
        for key, value in sorted(vars(layer).items()):
            if isinstance(value, torch.Tensor):
                sha.update(key.encode())
                sha.update(tensor_bytes(value))
    return sha.hexdigest()


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values()) and bool(value)
    return value is None or isinstance(value, bool | int | float | str | torch.dtype)
