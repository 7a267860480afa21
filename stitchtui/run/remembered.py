"""What earlier runs, wherever they are, said of checkpoints: kept in the cache, offered when these are used again."""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stitchtui.base.files import stamp, write_atomically
from stitchtui.base.paths import cache_directory
from stitchtui.run.directory import read_object

if TYPE_CHECKING:
    from stitchtui.spec.experiment import Experiment, NetworkSpec

_MOST = 500  # checkpoints, and folders; the longest unused go first
_PATIENCE = 2.0  # seconds that writing waits for another process
_OF_THE_FILE = {"architecture", "width", "options"}
_NOT_SAID_AGAIN = {"checkpoint", "weights", "trust_code", "train", "probe"}


@dataclass(frozen=True)
class Known:
    """What was said of a network: keys of NetworkSpec that aren't as usual, and the data it was used on."""

    network: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""


class Remembered:
    """What the file holds at this moment; a broken file or entry is as good as none."""

    def __init__(self) -> None:
        found = read_object(_path())
        self._checkpoints, self._folders = _table(found, "checkpoints"), _table(found, "folders")

    def of(self, checkpoint: Path) -> Known | None:
        """What was said of this file, if it is still the same."""
        entry = self._checkpoints.get(_key(checkpoint))
        return _known(entry) if isinstance(entry, dict) and entry.get("stamp") == _stamp(checkpoint) else None

    def beside(self, checkpoint: Path) -> Known | None:
        """What was said last of any file of its folder."""
        return _known(self._folders.get(_key(checkpoint.parent)))


def said_of(spec: "NetworkSpec") -> dict[str, Any]:
    """What has to be said again of a network for it to be the same; that a hub may run its code is asked each time."""
    said = spec.model_dump(mode="json", exclude_defaults=True, exclude_none=True, exclude=_NOT_SAID_AGAIN)
    return {key: value for key, value in said.items() if spec.checkpoint is not None or key not in _OF_THE_FILE}


def remember(experiment: "Experiment") -> None:
    """Keep what an experiment that is about to run says of its checkpoints; where that can't be written, forget it."""
    said = {
        Path(spec.checkpoint): {"network": said_of(spec), "data": experiment.data.name}
        for spec in experiment.networks.values()
        if spec.checkpoint is not None
    }
    if not said:
        return
    from filelock import FileLock, Timeout  # imported late: whoever only reads locks nothing

    with contextlib.suppress(OSError, Timeout, NotImplementedError):  # the last where the file system has no locks
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_PATIENCE):
            found = read_object(path)
            checkpoints, folders = _table(found, "checkpoints"), _table(found, "folders")
            for file, entry in said.items():
                _renew(checkpoints, _key(file), {**entry, "stamp": _stamp(file)})
                _renew(folders, _key(file.parent), entry)
            write_atomically(path, json.dumps({"checkpoints": checkpoints, "folders": folders}, indent=1))


def _path() -> Path:
    return cache_directory() / "remembered.json"


def _table(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = found.get(name)
    return table if isinstance(table, dict) else {}


def _renew(table: dict[str, Any], key: str, entry: dict[str, Any]) -> None:
    table.pop(key, None)
    table[key] = entry
    for oldest in list(table)[:-_MOST]:
        del table[oldest]


def _key(path: Path) -> str:
    return os.path.realpath(path)


def _stamp(path: Path) -> list[int]:
    return [*(stamp(path) or ())]  # as JSON gives it back


def _known(entry: Any) -> Known | None:
    from pydantic import ValidationError

    from stitchtui.spec.experiment import DataSpec, NetworkSpec

    try:
        spec = NetworkSpec.model_validate({"checkpoint": "any", **entry["network"]})
        return Known(said_of(spec), DataSpec(name=entry["data"]).name)
    except (TypeError, KeyError, ValidationError):
        return None
