"""What torch.save wrote, read as data: its tensors by dotted names. Nothing that a file asks for is ever run."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stitchtui.base.device import is_out_of_memory
from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.networks.reasons import reason

RESAVE = "where you trust it, re-save with torch.save(model.state_dict(), 'weights.pt')"


@dataclass
class Held:
    """The tensors of a file by the dotted names of their places, and the versions of the modules that wrote them."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the module's place, with a dot at its end


class _Aside:
    """Stands in for a harmless value beside the weights, such as a number of numpy's, which nothing here looks at."""

    def __init__(self, *_: Any) -> None: ...

    def __new__(cls, *_: Any) -> "_Aside":
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None: ...


class _Array(_Aside):
    """Stands in for an array of numpy's."""


def _dictionary(*_: Any) -> dict[Any, Any]:
    return {}


def _list(*_: Any) -> list[Any]:
    return []


_NUMPY = [f"numpy.{core}.multiarray" for core in ("core", "_core")]
_PATHS = [f"pathlib{module}.{kind}" for module in ("", "._local") for kind in (
    "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"
)]  # fmt: skip
_DTYPES = ("Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32",
           "Float64", "LongDouble", "Str", "Bytes", "Object")  # fmt: skip
# Settings, counts and scores that training programs save beside the weights. None of these names is looked up: what
# stands in for it takes whatever it is given and does nothing.
_STAND_INS: list[tuple[Callable[..., Any], str]] = [
    (_dictionary, "collections.defaultdict"),
    (_list, "collections.deque"),
    *((_Array, f"{module}._reconstruct") for module in _NUMPY),
    *((_Aside, f"{module}.scalar") for module in _NUMPY),
    *((_Aside, f"numpy.{kind}") for kind in ("ndarray", "dtype")),
    *((_Aside, f"numpy.dtypes.{kind}DType") for kind in _DTYPES),
    *((_Aside, path) for path in _PATHS),
    *((_Aside, f"datetime.{kind}") for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    *((_Aside, f"builtins.{kind}") for kind in ("list", "dict", "int", "float", "str", "bool", "slice", "range")),
    *((_Aside, name) for name in ("argparse.Namespace", "uuid.UUID")),
]


def read(path: Path) -> Held:
    """The tensors of a file that torch.save wrote, however deep in dictionaries and lists they lie.

    Raises BadInput for a file that is damaged, holds no weights, or would have to run code.
    """
    loaded = _loaded(path)
    held = _tensors(loaded)
    if not held.tensors:
        raise BadInput.at("checkpoint", _without_weights(loaded), path)
    for name, tensor in held.tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized:
            what = f"{plain(name)} is sparse or quantised; expected plain floating-point weights"
            raise BadInput.at("checkpoint", what, path)
    return held


def _loaded(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(_STAND_INS)):
            warnings.simplefilter("ignore")  # torch warns about formats that the errors below name
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        said = _refused(error)
    except Exception as error:  # a damaged file makes torch raise whatever its bytes lead to
        said = f"is damaged or cut short: {reason(error)}"
        if is_out_of_memory(error):
            said = "asks for more memory than there is: it is damaged, or too large for here"
        elif names := _archived(path):
            if any(name.endswith("/constants.pkl") for name in names):
                said = f"is a TorchScript archive, which is code; {RESAVE}"
            elif not any(name.endswith("data.pkl") for name in names):
                inside = plain(", ".join(names[:3]))
                said = f"is a zip archive of other files ({inside}); unpack it, and give the checkpoint in it"
    raise BadInput.at("checkpoint", said, path)


def _archived(path: Path) -> list[str]:
    """The names in a zip archive; empty for all else."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):  # the last of a compression not known
        return []


def _refused(error: pickle.UnpicklingError) -> str:
    said = str(error)  # torch says nowhere else what it would have had to run
    wanted = re.search(r"GLOBAL ([\w.]+)", said) or re.search(r"class ([\w.]+)", said)
    if wanted is None:
        return f"is damaged or cut short, or pickled in another way than by torch.save; {RESAVE}"
    name = wanted.group(1)
    what = "a whole pickled model" if name.startswith(("torch.nn.", "__main__.")) else "more than tensors"
    return f"holds {what}: reading it would run code, what it wants is {plain(name)}; {RESAVE}"


def _tensors(loaded: Any) -> Held:
    held = Held()
    seen: set[int] = set()  # what lies at two places is looked at once; a file may even hold itself
    waiting = [("", loaded)]
    for place, node in waiting:  # grows while it is walked, so that what lies deep comes last
        if id(node) in seen or not isinstance(node, dict | list | tuple):
            continue
        seen.add(id(node))
        for key, value in dict.items(node) if isinstance(node, dict) else enumerate(node):
            if isinstance(node, Mapping) and not isinstance(key, str):
                continue  # an optimiser's states, which go by number
            if isinstance(value, Tensor):
                held.tensors.setdefault(f"{place}{key}", value)
            else:
                waiting.append((f"{place}{key}.", value))
        written = getattr(node, "_metadata", None)
        for module, version in written.items() if isinstance(written, Mapping) else ():
            if isinstance(module, str) and isinstance(version, dict):
                held.versions[f"{place}{module}." if module else place] = version
    return held


def _without_weights(loaded: Any) -> str:
    if not isinstance(loaded, Mapping):
        return f"holds a {type(loaded).__name__}; expected a state dict (names to tensors)"
    found = plain(", ".join(str(key) for key in list(loaded)[:3])) or "nothing"
    arrays = any(isinstance(value, _Array) for value in loaded.values())
    kind = " (numpy's arrays; save tensors: torch.from_numpy(array))" if arrays else ""
    return f"holds no weights; expected a state dict (names to tensors), found: {found}{kind}"
