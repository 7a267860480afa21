"""Checkpoints: our own safetensors with metadata, and foreign state dicts. Reading one never runs code from it."""

import argparse
import json
import pickle
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from stitchtui.device import is_out_of_memory
from stitchtui.errors import BadInput, RunFailed
from stitchtui.files import write_atomically
from stitchtui.networks import weight_names
from stitchtui.networks.reasons import reason
from stitchtui.text import plain

KEY = "stitchtui"  # the safetensors metadata entry that holds ours, as JSON
VERSION = 1
# VISSL nests five deep; of DINO's two networks the teacher is the one to use.
_WRAPPERS = (
    *("state_dict", "model_state_dict", "classy_state_dict", "base_model", "teacher", "student", "trunk"),
    *("model", "net", "network", "module"),
)
# Settings that training programs save beside the weights; as data they can't run anything.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [argparse.Namespace]
_RESAVE = "where you trust it, re-save with torch.save(model.state_dict(), 'weights.pt')"


class Metadata(BaseModel):
    """What our own checkpoints say about the network they hold."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: int = VERSION
    architecture: str
    width: float = 1.0
    options: dict[str, bool | int | float | str] = {}
    classes: int
    class_names: tuple[str, ...] = ()
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    error: float | None = None  # percent on the test part of `data`
    data: str = ""
    data_digest: str = ""
    seed: int = 0
    recipe: dict[str, Any] = {}
    identity: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by name, and its metadata if it is one of ours."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: Metadata | None
    notes: tuple[str, ...] = ()  # what of the file was left aside


def save(path: Path, module: nn.Module, metadata: Metadata) -> None:
    """Writes `module` to `path` as safetensors with `metadata`; readers see the old file or the new one, whole."""
    # Cloned, since safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in _state(module).items()}
    said = {"format": "pt", KEY: metadata.model_dump_json()}
    keep(path, safetensors.torch.save(tensors, said))


def keep(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, making its folder if need be; two writers at once leave one of the two, whole.

    Raises RunFailed if the disk is full or the folder may not be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise RunFailed(f"{plain(path)}: can't be written: {error.strerror or reason(error)}") from None


def read(path: Path) -> Checkpoint:
    """The checkpoint at `path`: safetensors, or a state dict written by torch.save, told apart by their bytes.

    Raises BadInput if there is no such file, or it is damaged, holds no weights, or would need to run code.
    """
    start = _first_bytes(path)
    if start[8:9] == b"{":
        return _read_safetensors(path)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        tensors, notes = _read_torch(path)
        return Checkpoint(path, tensors, None, notes)
    raise _bad(path, "is not a checkpoint, or is cut short; expected safetensors or what torch.save wrote")


def load_into(
    module: nn.Module, checkpoint: Checkpoint, classes: int, without: Collection[str] = ()
) -> tuple[str, ...]:
    """Copies the weights into `module`, all but those called `without`; says what of the file was left out.

    Raises BadInput if they don't fit.
    """
    expected = {name: value for name, value in _state(module).items() if name not in without}
    fitted = weight_names.fit(checkpoint.tensors, expected, without)
    given = fitted.weights
    # Counts of batches seen, which older versions of torch didn't save, change no output in eval mode.
    missing = [k for k in expected if k not in given and not k.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in expected]
    if missing and not unexpected and all(key in _last_layer(module) for key in missing):
        features = f"holds a backbone without class scores (missing {', '.join(missing)})"
        raise _bad(checkpoint.path, f"{features}; add head = 'train' (--head train), or head = a linear head's file")
    if missing or unexpected:
        # What would be left out of a file that fits may be what is missing, under another name.
        aside = [key for key in fitted.left if missing and key not in without]
        what = weight_names.differences(missing, [*unexpected, *aside])
        raise _bad(checkpoint.path, f"doesn't fit the architecture: {what}")
    _check_shapes(checkpoint.path, given, expected, classes)
    _check_finite(checkpoint.path, given, {name for name, _ in module.named_parameters()})
    module.load_state_dict(given, strict=False)  # strictness is what the lines above are for
    return (*checkpoint.notes, *fitted.notes)


def _last_layer(module: nn.Module) -> set[str]:
    last = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1:]
    return {f"{name}.{kind}" for name in last for kind in ("weight", "bias")}


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise _bad(path, "is a directory; expected a .safetensors, .pt or .pth file")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise _bad(path, "no such file") from None
    except OSError as error:
        raise _bad(path, f"can't be read: {error.strerror or reason(error)}") from None
    if not start:
        raise _bad(path, "is empty; was its writing interrupted?")
    return start


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _bad(path, f"is damaged or cut short: {reason(error)}") from None
    if not tensors:
        raise _bad(path, "holds no tensors")
    return Checkpoint(path, tensors, _metadata(path, said[KEY]) if KEY in said else None)


def _metadata(path: Path, text: str) -> Metadata:
    try:
        said = json.loads(text)
        metadata = Metadata.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = plain(".".join(str(part) for part in first["loc"]))
        raise _bad(path, f"has damaged metadata: {where}: {plain(first['msg'])}") from None
    except ValueError as error:
        raise _bad(path, f"has damaged metadata: {reason(error)}") from None
    if metadata.version > VERSION:
        newer = f"format {metadata.version}, this one reads {VERSION}"
        raise _bad(path, f"was written by a newer stitchtui ({newer}); update this one")
    return metadata


def _read_torch(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")  # torch warns about formats that the errors below name
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _bad(path, _refused(str(error))) from None
    except Exception as error:  # a damaged file makes torch raise whatever its bytes lead to
        if is_out_of_memory(error):
            raise _bad(path, "asks for more memory than there is: it is damaged, or too large for here") from None
        if "TorchScript" in str(error):
            raise _bad(path, f"is a TorchScript archive, which is code; {_RESAVE}") from None
        raise _bad(path, f"is damaged or cut short: {reason(error)}") from None
    return _unwrap(path, loaded)


def _refused(said: str) -> str:
    wanted = re.search(r"GLOBAL ([\w.]+)", said) or re.search(r"class ([\w.]+)", said)
    if wanted is None:
        return f"is damaged or cut short, or pickled in another way than by torch.save; {_RESAVE}"
    name = wanted.group(1)
    what = "a whole pickled model" if name.startswith(("torch.nn.", "__main__.")) else "more than tensors"
    return f"holds {what}: reading it would run code, what it wants is {plain(name)}; {_RESAVE}"


def _unwrap(path: Path, loaded: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    notes: list[str] = []
    while isinstance(loaded, Mapping):
        key = next((k for k in _WRAPPERS if isinstance(loaded.get(k), Mapping)), None)
        if key is None:
            break
        if key in ("teacher", "trunk") and (beside := [k for k in ("student", "heads") if loaded.get(k)]):
            notes.append(f"took {key}, left out {', '.join(beside)}")
        loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise _bad(path, f"holds a {type(loaded).__name__}; expected a state dict (names to tensors)")
    tensors = {key: value for key, value in loaded.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        found = plain(", ".join(str(key) for key in list(loaded)[:3])) or "nothing"
        raise _bad(path, f"holds no weights; expected a state dict (names to tensors), found: {found}")
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise _bad(path, f"{plain(name)} is sparse or quantised; expected plain floating-point weights")
    return tensors, tuple(notes)


def _check_shapes(path: Path, given: dict[str, Tensor], expected: Mapping[str, Tensor], classes: int) -> None:
    wrong = [k for k in given if given[k].shape != expected[k].shape]
    if not wrong:
        return
    shapes = [(tuple(given[k].shape), tuple(expected[k].shape)) for k in wrong]
    others = {got[:1] for got, want in shapes}
    if len(others) == 1 and all(want[:1] == (classes,) and got[1:] == want[1:] for got, want in shapes):
        (count,) = others.pop()
        raise _bad(path, f"was trained for {count} classes, the data has {classes}")
    got, want = shapes[0]
    more = f" ({len(wrong) - 1} more differ)" if len(wrong) > 1 else ""
    raise _bad(path, f"{plain(wrong[0])} has shape {list(got)}, the architecture expects {list(want)}{more}")


def _check_finite(path: Path, given: dict[str, Tensor], parameters: set[str]) -> None:
    for name, tensor in given.items():
        values = tensor.float() if tensor.is_floating_point() else torch.zeros(1)
        # A buffer may hold infinities on purpose, such as a mask of attention.
        if bool(values.isnan().any()) or (name in parameters and bool(values.isinf().any())):
            raise _bad(path, f"{plain(name)} holds numbers that are not finite; its training diverged")


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


def _bad(path: Path, text: str) -> BadInput:
    return BadInput(f"checkpoint {plain(path)}: {text}")
