"""Checkpoints: our own safetensors with metadata, and foreign state dicts. Reading one never runs code from it."""

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.files import write_atomically
from stitchtui.base.text import plain
from stitchtui.networks import pickled
from stitchtui.networks.reasons import reason

KEY = "stitchtui"  # the safetensors metadata entry that holds ours, as JSON
VERSION = 1
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}


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
    augment: str = ""  # what its training images went through; files of earlier versions don't say
    seed: int = 0
    recipe: dict[str, Any] = {}
    identity: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by name, and its metadata if it is one of ours.

    Names are dotted through all dictionaries and lists that the file nests, as in `state_dict.model.conv.weight`.
    `versions` are those of the modules that wrote them, by the modules' places.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: Metadata | None
    versions: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def save(path: Path, module: nn.Module, metadata: Metadata) -> None:
    """Write `module` to `path` as safetensors with `metadata`; readers see the old file or the new one, whole."""
    # Cloned, since safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state_of(module).items()}
    said = {"format": "pt", KEY: metadata.model_dump_json()}
    keep(path, safetensors.torch.save(tensors, said))


def keep(path: Path, data: bytes) -> None:
    """Write `data` to `path`, making its folder if need be; two writers at once leave one of the two, whole.

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
        held = pickled.read(path)
        return Checkpoint(path, held.tensors, None, held.versions)
    if packed := next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None):
        raise bad(path, f"is packed ({packed}); unpack it, and give the checkpoint in it")
    if tarfile.is_tarfile(path):
        raise bad(path, "is a tar archive; unpack it, and give the checkpoint in it")
    raise bad(path, "is not a checkpoint, or is cut short; expected safetensors or what torch.save wrote")


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise bad(path, "is a directory; expected a .safetensors, .pt or .pth file")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise bad(path, "no such file") from None
    except OSError as error:
        raise bad(path, f"can't be read: {error.strerror or reason(error)}") from None
    if not start:
        raise bad(path, "is empty; was its writing interrupted?")
    return start


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise bad(path, f"is damaged or cut short: {reason(error)}") from None
    if not tensors:
        raise bad(path, "holds no tensors")
    # safetensors.torch.save_model leaves out a tensor's other names, and says so here.
    tensors |= {name: tensors[kept] for name, kept in said.items() if kept in tensors and name not in tensors}
    return Checkpoint(path, tensors, _metadata(path, said[KEY]) if KEY in said else None)


def said_in(path: Path) -> Metadata | None:
    """What the checkpoint at `path` says of its network, if it is one of ours; its weights stay unread."""
    try:
        with path.open("rb") as file:
            if file.read(9)[8:] != b"{":
                return None
        with safetensors.safe_open(path, framework="pt") as opened:
            said = opened.metadata() or {}
        return _metadata(path, said[KEY]) if KEY in said else None
    except (safetensors.SafetensorError, OSError, ValueError, BadInput):  # reading it whole says what is wrong
        return None


def _metadata(path: Path, text: str) -> Metadata:
    try:
        said = json.loads(text)
        metadata = Metadata.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = plain(".".join(str(part) for part in first["loc"]))
        raise bad(path, f"has damaged metadata: {where}: {plain(first['msg'])}") from None
    except ValueError as error:
        raise bad(path, f"has damaged metadata: {reason(error)}") from None
    if metadata.version > VERSION:
        newer = f"format {metadata.version}, this one reads {VERSION}"
        raise bad(path, f"was written by a newer stitchtui ({newer}); update this one")
    return metadata


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """The weights and buffers of `module` by name; a tensor with two names is there twice, as one object."""
    state = module.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def bad(path: Path, text: str, field: str = "checkpoint") -> BadInput:
    """What is wrong with the checkpoint at `path`, in one line; the key to change may be another."""
    return BadInput(f"checkpoint {plain(path)}: {text}", field)
