"""Networks of the Hugging Face Hub, `hf:OWNER/REPO[@REVISION]`, and of torch.hub, `hub:OWNER/REPO[:REF]:ENTRY`."""

import importlib
import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.networks import from_timm, heads
from stitchtui.networks.normalisation import IMAGENET
from stitchtui.networks.reasons import reason
from stitchtui.networks.sizes import USUAL, Shape, from_size
from stitchtui.spec.experiment import HUBS, Normalisation

HF, HUB = HUBS


class Scores(nn.Module):
    """A classifier of transformers as a network that takes images and gives class scores."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels, height, width] -> [n, classes]."""
        return self.model(pixel_values=x).logits


def check(reference: str) -> None:
    """Raise BadInput unless `reference` is spelt like one."""
    name = reference.removeprefix(HF)
    if reference.startswith(HF) and not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name):
        raise BadInput.at("architecture", "expected hf:OWNER/REPO or hf:OWNER/REPO@REVISION", reference)
    if reference.startswith(HUB) and not re.fullmatch(r"hub:[\w.-]+/[\w.-]+(:[\w./-]+)?:\w+", reference):
        raise BadInput.at("architecture", "expected hub:OWNER/REPO:ENTRY or hub:OWNER/REPO:REF:ENTRY", reference)


def from_hugging_face(
    reference: str, classes: int, shape: tuple[int, int, int], options: Mapping[str, Any], new_head: bool
) -> nn.Module:
    """The network with its weights, of a repository in timm's or in transformers' format. No code of it is run.

    Raises BadInput where the library is missing, the repository can't be reached, or its classes aren't the data's.
    """
    said = _config(reference)
    if not _is_timms(said):
        return _transformers(reference, said, classes, options, new_head)
    settings = {**said, **said.get("pretrained_cfg", {})}
    from_timm.check_classes(reference, int(settings.get("num_classes", 0)), classes, new_head)
    from_timm.check(said["architecture"])
    sizes = from_timm.config(said["architecture"])
    name = f"hf-hub:{reference.removeprefix(HF)}"
    return from_timm.create(name, reference, sizes, classes, shape, {"pretrained": True, **options})


def published_scale(reference: str) -> Normalisation:
    """The normalisation that a repository says its network expects; ImageNet's for torch.hub, which never says.

    Raises BadInput where a repository of the Hugging Face Hub doesn't say.
    """
    if reference.startswith(HUB):
        return IMAGENET
    config = _config(reference)
    said = config.get("pretrained_cfg") if _is_timms(config) else _read(reference, "preprocessor_config.json")
    said = said or {}
    mean, std = said.get("mean", said.get("image_mean")), said.get("std", said.get("image_std"))
    if mean is None or std is None:
        why = "doesn't say what its images are normalised by; set `normalisation`"
        raise BadInput(f"{plain(reference)}: {why}", "normalisation")
    return Normalisation(mean=tuple(mean), std=tuple(std))


def image_shape(reference: str) -> Shape | None:
    """One image's shape that a repository of the Hugging Face Hub says its network expects; None if it doesn't say."""
    config = _config(reference)
    if _is_timms(config):
        return from_size((config.get("pretrained_cfg") or {}).get("input_size"))
    size = config.get("image_size")
    if size is None:
        said = _read(reference, "preprocessor_config.json") or {}
        size = said.get("crop_size") if said.get("do_center_crop") else said.get("size")
        size = size or said.get("size")
    if isinstance(size, Mapping):
        size = [size["height"], size["width"]] if {"height", "width"} <= size.keys() else size.get("shortest_edge")
    return from_size(size, config.get("num_channels", USUAL[0]))


def from_torch_hub(reference: str, options: Mapping[str, Any], trust_code: bool) -> nn.Module:
    """What the entry of a torch.hub repository makes of `options`, once its code is trusted. Raises BadInput."""
    check(reference)
    if not trust_code:
        raise BadInput(
            f"architecture {plain(reference)}: loading it runs that repository's code on this machine;"
            " where you trust it, add --trust-code (networks.NAME.trust_code = true)",
            "trust_code",
        )
    repository, _, entry = reference.removeprefix(HUB).rpartition(":")
    try:
        network = torch.hub.load(repository, entry, trust_repo=True, verbose=False, **options)
    except (Exception, SystemExit) as error:
        raise BadInput.at("architecture", f"can't be loaded from torch.hub: {reason(error)}", reference) from None
    if not isinstance(network, nn.Module):
        raise BadInput.at("architecture", f"expected a network, got a {type(network).__name__}", reference)
    return network


def _transformers(
    reference: str, said: Mapping[str, Any], classes: int, options: Mapping[str, Any], new_head: bool
) -> nn.Module:
    library = _library("transformers", reference)
    repository, _, revision = reference.removeprefix(HF).partition("@")
    trained_for = len(said.get("id2label") or {}) or 2  # what transformers takes where nothing is said
    classifies = any("ForImageClassification" in name for name in said.get("architectures") or [])
    from_timm.check_classes(reference, trained_for if classifies else 0, classes, new_head)
    try:
        model, info = library.AutoModelForImageClassification.from_pretrained(
            repository,
            revision=revision or None,
            num_labels=classes,
            ignore_mismatched_sizes=new_head,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # also whatever a download that fails raises
        raise _bad(reference, f"can't be loaded by transformers: {reason(error)}") from None
    _check_loaded(reference, model, info, new_head)
    return Scores(model)


def _check_loaded(reference: str, model: nn.Module, info: Mapping[str, Any], new_head: bool) -> None:
    """Raise BadInput where weights were left random: transformers itself only mentions it."""
    without = [*info["missing_keys"], *(key[0] for key in info["mismatched_keys"])]
    head = f"{heads.last_linear(model)}." if new_head else None
    if unset := [key for key in without if head is None or not key.startswith(head)]:
        raise _bad(reference, f"its weights are not all there: missing {plain(', '.join(unset[:3]))}")


def _config(reference: str) -> dict[str, Any]:
    check(reference)
    said = _read(reference, "config.json")
    if said is None or not (_is_timms(said) or "model_type" in said):
        raise _bad(reference, "has no config.json in timm's or transformers' format")
    if not _is_timms(said):
        _library("transformers", reference)
    return said


def _is_timms(said: Mapping[str, Any]) -> bool:
    return isinstance(said.get("architecture"), str)


def _read(reference: str, file: str) -> dict[str, Any] | None:
    """A JSON file of a repository, from the local cache where it is there; None if the repository has none."""
    hub = _library("huggingface_hub", reference)
    repository, _, revision = reference.removeprefix(HF).partition("@")
    found = hub.try_to_load_from_cache(repository, file, revision=revision or None)
    try:
        path = found if isinstance(found, str) else hub.hf_hub_download(repository, file, revision=revision or None)
        with open(path, encoding="utf-8") as opened:  # noqa: PTH123
            said = json.load(opened)
    except hub.errors.LocalEntryNotFoundError as error:
        raise _bad(reference, f"can't be reached ({reason(error)}); {from_timm.OFFLINE}") from None
    except hub.errors.EntryNotFoundError:
        return None
    except Exception as error:  # no such repository or revision, no permission, no JSON
        raise _bad(reference, f"can't be loaded: {reason(error)}") from None
    return said if isinstance(said, dict) else None


def _library(name: str, reference: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = f"needs {name} ({reason(error)}); install it with: pip install {name}"
        raise _bad(reference, missing) from None


def _bad(reference: str, text: str) -> BadInput:
    return BadInput(f"{plain(reference)}: {text}", "architecture")
