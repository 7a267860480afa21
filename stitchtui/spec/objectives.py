"""What a stitch can be fitted to: the labels, the top's own answers, or the top's own activations. No torch here."""

from dataclasses import dataclass
from typing import Literal

from stitchtui.base.registry import Registry


@dataclass(frozen=True)
class Objective:
    """What is known of an objective; `loss` is a `stitchtui.stitching.objectives.Loss`, named as `module:object`."""

    name: str
    fitted_to: str  # in words
    question: str = ""  # how the app asks for it after a cell; empty: it doesn't
    brief: str = ""  # in at most four characters; empty: its name
    trains: bool = True  # whether a loss is lowered, or the stitch is what least squares or an assignment finds
    loss: str = ""  # of the stitched network's class scores
    needs_top: bool = True  # whether it asks what the top makes of the images itself
    matches: Literal["", "last", "later"] = ""  # which of the top's own activations it is trained to meet, not scores
    phases: tuple[str, ...] = ()  # two objectives that it consists of, the second for the last steps


_LOSSES = "stitchtui.stitching.objectives"

TASK = Objective("task", "the labels", "train it on the labels", loss=f"{_LOSSES}:against_labels", needs_top=False)
DIRECT = Objective("direct", "the top's activations (nothing trained)", brief="dir", trains=False)
_SOFT = Objective(
    "soft", "the top's outputs", "train it on the top's outputs, not on the labels", loss=f"{_LOSSES}:against_top"
)
_FINAL_FEATURES = Objective("final_features", "the top's last features", matches="last")
_THEN_TASK = Objective(
    "final_features_then_task",
    "the top's last features, then the labels",
    phases=(_FINAL_FEATURES.name, TASK.name),
)
_TRAJECTORY = Objective(
    "trajectory",
    "all of the top's later activations",
    "train it on all of the top's later activations",
    brief="traj",
    matches="later",
)

OBJECTIVES = Registry("objectives", Objective, (TASK, DIRECT, _SOFT, _FINAL_FEATURES, _THEN_TASK, _TRAJECTORY))
"""Every objective by name."""


def is_matched_last(objective: Objective) -> bool:
    """Return whether the top's last features are what it, or its first phase, is trained to meet."""
    return objective.matches == "last" or any(OBJECTIVES[phase].matches == "last" for phase in objective.phases)
