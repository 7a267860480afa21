"""Checkpoints come back as they were written; what can't be read is one clear line, and reading runs no code."""

import argparse
import gzip
import json
import os
import pickle
import re
import tarfile
import threading
import warnings
import zipfile
from collections import OrderedDict, defaultdict, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.networks.checkpoints import Metadata, keep, read, save
from stitchtui.networks.fitting import load_into
from stitchtui.networks.network import weight_digest

METADATA = Metadata(architecture="digits_cnn", classes=3, shape=(1, 8, 8), mean=(0.3,), std=(0.2,), error=1.5)
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool]


def network(seed: int = 0, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    layers = {"conv": nn.Conv2d(1, 4, 3), "bn": nn.BatchNorm2d(4), "flatten": nn.Flatten(), "fc": nn.Linear(4, classes)}
    return nn.Sequential(OrderedDict(layers))


def refusal(path: Path, module: nn.Module | None = None, classes: int = 3) -> str:
    with pytest.raises(BadInput) as caught:
        checkpoint = read(path)
        load_into(module or network(), checkpoint, classes)
    text = str(caught.value)
    assert text.startswith(f"checkpoint {path}: ")
    assert "\n" not in text
    return text


@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.sampled_from([(), (3,), (2, 3), (0,)])), max_size=5), st.data())
@settings(max_examples=30, deadline=None)
def test_what_is_saved_is_read_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[torch.dtype, tuple[int, ...]]], data: st.DataObject
) -> None:
    def module(seed: int) -> nn.Module:
        made = network(seed)
        generator = torch.Generator().manual_seed(seed)
        for index, (dtype, shape) in enumerate(kinds):
            made.register_buffer(f"b{index}", torch.randint(0, 2, shape, generator=generator).to(dtype))
        return made

    saved, loaded = module(data.draw(st.integers(0, 99))), module(100)
    path = tmp_path_factory.mktemp("saved") / "a.safetensors"
    save(path, saved, METADATA)
    checkpoint = read(path)
    load_into(loaded, checkpoint, 3)
    assert weight_digest(loaded) == weight_digest(saved)
    assert checkpoint.metadata == METADATA


def test_weights_that_share_memory_or_lie_channels_last_are_saved(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Conv2d(2, 2, 3))
    tied[1].weight = tied[0].weight
    save(tmp_path / "a.safetensors", tied.to(memory_format=torch.channels_last), METADATA)
    loaded = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Conv2d(2, 2, 3))
    load_into(loaded, read(tmp_path / "a.safetensors"), 3)
    assert weight_digest(loaded) == weight_digest(tied)


def test_a_file_that_asks_for_too_much_memory_may_be_damaged_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4503599627370496 bytes.")

    torch.save(network(1).state_dict(), tmp_path / "a.pth")
    monkeypatch.setattr(torch, "load", large)
    with pytest.raises(BadInput, match=r"a\.pth: asks for more memory than there is"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "optimizer": {"state": {}}},
        lambda s: {"model_state_dict": s},
        lambda s: {"net": s, "acc": 93.1},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
        lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
        lambda s: {"checkpoint": 1, "model": {"state_dict": {f"model.{k}": v for k, v in s.items()}}},
        lambda s: {k.replace("bn.", "bn._orig_mod."): v for k, v in s.items()},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    ],
)
def test_usual_nestings_of_foreign_state_dicts_are_unwrapped(tmp_path: Path, wrap: Any, legacy: bool) -> None:
    saved, loaded = network(1), network(2)
    path = tmp_path / "a.pth"
    torch.save(wrap(saved.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    checkpoint = read(path)
    assert checkpoint.metadata is None
    load_into(loaded, checkpoint, 3)
    assert weight_digest(loaded) == weight_digest(saved)


def test_a_prefix_that_is_the_networks_own_stays(tmp_path: Path) -> None:
    saved, loaded = nn.ModuleDict({"module": network(1)}), nn.ModuleDict({"module": network(2)})
    torch.save(saved.state_dict(), tmp_path / "a.pt")
    load_into(loaded, read(tmp_path / "a.pt"), 3)
    assert weight_digest(loaded) == weight_digest(saved)


def test_foreign_safetensors_need_no_metadata_and_a_files_ending_doesnt_matter(tmp_path: Path) -> None:
    saved, loaded = network(1), network(2)
    safetensors.torch.save_file(saved.state_dict(), tmp_path / "a.bin")
    checkpoint = read(tmp_path / "a.bin")
    assert checkpoint.metadata is None
    load_into(loaded, checkpoint, 3)
    assert weight_digest(loaded) == weight_digest(saved)


def test_missing_and_unexpected_keys_are_named_up_to_three(tmp_path: Path) -> None:
    state = network().state_dict()
    for key in ("conv.weight", "conv.bias", "bn.weight", "bn.bias"):
        del state[key]
    torch.save({**state, "head.weight": torch.zeros(1)}, tmp_path / "a.pt")
    text = refusal(tmp_path / "a.pt")
    assert "missing conv.weight, conv.bias, bn.weight and 1 more; unexpected head.weight" in text


def test_another_number_of_classes_and_another_shape_are_told_apart(tmp_path: Path) -> None:
    torch.save(network(classes=7).state_dict(), tmp_path / "classes.pt")
    assert "was trained for 7 classes, the data has 3" in refusal(tmp_path / "classes.pt")
    state = network().state_dict()
    torch.save({**state, "conv.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "shape.pt")
    assert "conv.weight has shape [4, 3, 3, 3], the architecture expects [4, 1, 3, 3]" in refusal(tmp_path / "shape.pt")


def test_weights_that_diverged_are_refused_but_a_mask_of_infinities_is_not(tmp_path: Path) -> None:
    module = network()
    module.register_buffer("mask", torch.full((2,), -torch.inf))
    torch.save(module.state_dict(), tmp_path / "mask.pt")
    load_into(module, read(tmp_path / "mask.pt"), 3)
    torch.save({**network().state_dict(), "fc.bias": torch.tensor([0.0, torch.nan, 0.0])}, tmp_path / "nan.pt")
    assert "fc.bias holds numbers that are not finite" in refusal(tmp_path / "nan.pt")


def test_no_file_an_empty_one_and_a_directory_are_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.pt")
    (tmp_path / "empty.pt").touch()
    assert "is empty" in refusal(tmp_path / "empty.pt")
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "notes.pt").write_text("not a checkpoint at all, just some notes")
    assert "is not a checkpoint" in refusal(tmp_path / "notes.pt")


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_a_file_cut_short_says_so(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "a.pt"
    if kind == "safetensors":
        save(path, network(), METADATA)
    else:
        torch.save(network().state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cut short" in refusal(path)


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_no_bytes_at_all_lead_to_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "a.pt"
    for start in (b"", b"PK\x03\x04", b"\x80\x02", (10).to_bytes(8, "little") + b"{"):
        path.write_bytes(start + content)
        refusal(path)


class Runs:
    """Pickled, it asks whoever reads it to make a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["zip", "legacy", "protocol 2", "protocol 4"])
def test_a_pickle_that_wants_to_run_code_is_refused_unrun_with_what_it_wants(tmp_path: Path, how: str) -> None:
    path, made = tmp_path / "evil.pt", tmp_path / "made"
    evil = {"state_dict": network().state_dict(), "extra": Runs(made)}
    if how.startswith("protocol"):
        path.write_bytes(pickle.dumps(evil, protocol=int(how[-1])))
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "zip")
    text = refusal(path)
    assert not made.exists()
    assert "torch.save(model.state_dict()" in text
    if how in ("zip", "legacy"):
        assert re.search(r"would run code, what it wants is \w+\.mkdir; ", text)


def test_a_whole_pickled_model_says_to_save_its_state_dict(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "model.pt")
    text = refusal(tmp_path / "model.pt")
    assert "a whole pickled model" in text
    assert "torch.save(model.state_dict()" in text


def test_a_torchscript_archive_says_to_save_its_state_dict(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates what others have saved with it
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "script.pt")
    assert "TorchScript archive, which is code" in refusal(tmp_path / "script.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.zeros(3), "holds a Tensor; expected a state dict"),
        ([1, 2], "holds a list; expected a state dict"),
        ({}, "holds no weights"),
        ({"epoch": 3, "lr": 0.1}, "found: epoch, lr"),
        ({"state_dict": {}}, "holds no weights"),
        ({0: torch.zeros(2)}, "holds no weights"),
        ({"conv.weight": torch.zeros(3).to_sparse()}, "sparse or quantised"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content: Any, said: str) -> None:
    torch.save(content, tmp_path / "a.pt")
    assert said in refusal(tmp_path / "a.pt")


def test_weights_that_are_numpys_arrays_are_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save({"conv.weight": np.zeros(3)}, tmp_path / "a.pt")
    assert "holds no weights; expected a state dict (names to tensors), found: conv.weight (numpy's arrays" in refusal(
        tmp_path / "a.pt"
    )


BESIDE = {
    "a number of numpy's": np.float64(0.93),
    "an array": np.eye(3),
    "an array of objects": np.array([{"a": 1}, None], dtype=object),
    "a path": Path("/x"),
    "a dictionary of lists": defaultdict(list, a=[1]),
    "a deque": deque([1, 2], maxlen=3),
    "settings": argparse.Namespace(lr=0.1, out=Path("x")),
    "a date": datetime(2024, 1, 1, tzinfo=UTC),
    "itself": [],
}
BESIDE["itself"].append(BESIDE["itself"])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", BESIDE)
def test_settings_and_scores_beside_the_weights_are_read_as_data(tmp_path: Path, kind: str, legacy: bool) -> None:
    saved, loaded = network(1), network(2)
    whole = {"state_dict": saved.state_dict(), "beside": BESIDE[kind], "epoch": 3}
    torch.save(whole, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert load_into(loaded, read(tmp_path / "a.pt"), 3) == ()
    assert weight_digest(loaded) == weight_digest(saved)


def test_a_state_dict_that_makes_its_own_keys_is_one(tmp_path: Path) -> None:
    torch.save({"model": defaultdict(list, network(1).state_dict())}, tmp_path / "a.pt")
    loaded = network(2)
    load_into(loaded, read(tmp_path / "a.pt"), 3)
    assert weight_digest(loaded) == weight_digest(network(1))


def test_nothing_of_what_stands_beside_the_weights_is_called(tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({**network().state_dict(), "a": np.array([Runs(made)], dtype=object)}, tmp_path / "a.pt")
    assert "would run code" in refusal(tmp_path / "a.pt")
    assert not made.exists()


def test_dictionaries_that_share_what_they_hold_are_walked_once(tmp_path: Path) -> None:
    nested: dict[str, Any] = dict(network(1).state_dict())
    for _ in range(60):  # two to the sixtieth places
        nested = {"a": nested, "b": nested}
    torch.save(nested, tmp_path / "a.pt")
    load_into(network(2), read(tmp_path / "a.pt"), 3)


def test_a_packed_checkpoint_is_to_be_unpacked(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "a.pt")
    (tmp_path / "a.pt.gz").write_bytes(gzip.compress((tmp_path / "a.pt").read_bytes()))
    assert "is packed (gzip); unpack it" in refusal(tmp_path / "a.pt.gz")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.pt", "a.pt")
    assert "is a tar archive; unpack it" in refusal(tmp_path / "a.tar")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.pt", "a.pt")
    assert "is a zip archive of other files (a.pt); unpack it" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("not json", "damaged metadata"),
        ("[]", "damaged metadata"),
        ("{}", "damaged metadata: architecture"),
        (METADATA.model_copy(update={"version": 99}).model_dump_json(), "newer stitchtui (format 99"),
        (json.dumps({**METADATA.model_dump(), "classes": "many"}), "damaged metadata: classes"),
    ],
)
def test_damaged_or_newer_metadata_is_named(tmp_path: Path, metadata: str, said: str) -> None:
    safetensors.torch.save_file(network().state_dict(), tmp_path / "a.safetensors", {"stitchtui": metadata})
    assert said in refusal(tmp_path / "a.safetensors")


def test_names_from_a_file_cant_reach_the_terminal_as_control_characters(tmp_path: Path) -> None:
    torch.save({**network().state_dict(), "\x1b[2Jevil.total": torch.zeros(1)}, tmp_path / "a.pt")
    assert load_into(network(), read(tmp_path / "a.pt"), 3) == ("left out ?[2Jevil",)
    torch.save({"\x1b[2Jevil": torch.zeros(1)}, tmp_path / "a.pt")
    assert "unexpected ?[2Jevil" in refusal(tmp_path / "a.pt")


def test_writers_at_once_leave_one_whole_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    contents = [bytes([index]) * 200_000 for index in range(8)]
    threads = [threading.Thread(target=keep, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFailed, match="can't be written"):
        keep(tmp_path / "file" / "a.bin", b"x")
