"""Networks that were taught other classes than the run's data has: they can lend their lower layers, and no more."""

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import plan


def taught_other_classes(experiment: Experiment, name: str) -> bool:
    """Whether the network called `name` answers with groups of classes."""
    labels = experiment.networks[name].labels
    return labels is not None and labels.groups is not None


def check_tops(experiment: Experiment) -> None:
    """Raises BadInput where such a network is the top of a column: its answers can't be told right from wrong."""
    for task in plan(experiment):
        if taught_other_classes(experiment, task.top):
            raise BadInput.at(
                f"networks.{plain(task.top)}.labels.groups",
                f"its classes aren't the data's, so it can be a bottom only; "
                f"it would be the top of '{plain(task.column)}'",
            )
