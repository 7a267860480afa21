"""Where runs can be exported to: each experiment tracker by the library that it is written with."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from stitchtui.base.errors import BadInput
from stitchtui.base.registry import Registry, load
from stitchtui.report.replay import Replay


@dataclass(frozen=True)
class Exporter:
    """An experiment tracker; `made`, a `module:object`, takes a `Replay`, a project's name and a place.

    It returns in a line where the run is to be seen. The place is None where none is said.
    """

    name: str
    place: str  # what a place is to it, and which it takes where none is said
    module: str  # of its library
    install: str  # what pip calls that
    made: str

    def export(self, run: Replay, project: str, place: str | None) -> str:
        """Write the run there. Raises BadInput where the library isn't installed, or the run is there already."""
        if find_spec(self.module) is None:
            raise BadInput.at("--to", f"needs {self.module}; install it with: pip install '{self.install}'", self.name)
        write: Callable[[Replay, str, str | None], str] = load(self.made)
        return write(run, project, place)


_OURS = "stitchtui.report.trackers"

EXPORTERS = Registry(
    "exporters",
    Exporter,
    (
        Exporter(
            "tensorboard", "a folder, ./tensorboard unless said", "tensorboard", "stitchtui[tensorboard]",
            f"{_OURS}:to_tensorboard",
        ),
        Exporter(
            "wandb", "a folder for what it keeps here, ./wandb unless said", "wandb", "stitchtui[wandb]",
            f"{_OURS}:to_wandb",
        ),
        Exporter(
            "mlflow", "a tracking URI, as MLflow is set unless said", "mlflow", "stitchtui[mlflow]",
            f"{_OURS}:to_mlflow",
        ),
        Exporter(
            "trackio", "a folder, Trackio's own unless said", "trackio", "stitchtui[trackio]",
            f"{_OURS}:to_trackio",
        ),
    ),
)  # fmt: skip
"""Every exporter by name; packages add theirs by the entry points `stitchtui.exporters`."""
