"""A checkpoint's names for its weights against a network's: what training put in front goes, what it added is left out.

Self-supervised training keeps a backbone beside what only its loss needs: DINO (`backbone.` and `head.`, for a teacher
and a student), SwAV (`projection_head.`, `prototypes.`), SimCLR as VISSL writes it (`_feature_blocks.`), MoCo
(`encoder_q.` beside `encoder_k.` and `queue`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from stitchtui.text import plain

SHOWN = 3
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "_feature_blocks.", "trunk.")
# The network that is wanted, of several in one file.
_BACKBONES = ("backbone.", "encoder_q.", "base_encoder.", "_feature_blocks.", "trunk.", "encoder.")
_OF_THE_LOSS = frozenset(
    {"projection_head", "projection", "projector", "proj_head", "prototypes", "predictor", "head", "heads", "fc"}
    | {"contrastive_head", "queue", "queue_ptr", "loss", "memory_bank"}
)
_AUXILIARY = frozenset({"AuxLogits", "aux1", "aux2"})


@dataclass(frozen=True)
class Fitted:
    """A checkpoint's weights under a network's names, and what was left out of it on purpose."""

    weights: dict[str, Tensor]
    left: list[str]
    notes: tuple[str, ...]


def fit(given: Mapping[str, Tensor], expected: Collection[str], without: Collection[str] = ()) -> Fitted:
    """The weights under the names that a network expects.

    `without` are names of the network's own last layer, which somebody else fills in.
    """
    kept, aside = _unprefixed(dict(given), {*expected, *without})
    kept = {k if k in expected else k.replace("_orig_mod.", ""): value for k, value in kept.items()}
    own = [key for key in kept if key in without]
    loss = [key for key in kept if key not in expected and key.partition(".")[0] in _OF_THE_LOSS and key not in own]
    auxiliary = [key for key in kept if key not in expected and key.partition(".")[0] in _AUXILIARY]
    left = [*own, *loss, *auxiliary]
    notes = tuple(
        f"left out {what}: {_modules(keys)}"
        for what, keys in (
            ("its own last layer", own),
            ("what only its training needed", [*aside, *loss]),
            ("auxiliary classifiers", auxiliary),
        )
        if keys
    )
    return Fitted({key: value for key, value in kept.items() if key not in left}, left, notes)


def differences(missing: list[str], unexpected: list[str]) -> str:
    """Which names a network lacks in a checkpoint and which it has no place for, the first few of each."""
    parts = [("missing", missing), ("unexpected", unexpected)]
    return "; ".join(f"{what} {_some(keys)}" for what, keys in parts if keys)


def _unprefixed(given: dict[str, Tensor], expected: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Without the prefixes that the network doesn't have itself; and the names of what lies beside its backbone."""
    aside: list[str] = []
    while not any(key in expected for key in given):
        prefix = next((p for p in (*_PREFIXES, *_BACKBONES) if all(key.startswith(p) for key in given)), None)
        prefix = prefix or next((p for p in _BACKBONES if any(key.startswith(p) for key in given)), None)
        if prefix is None:
            break
        aside += [key for key in given if not key.startswith(prefix)]
        given = {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
    return given, aside


def _modules(keys: Iterable[str]) -> str:
    return _some(list(dict.fromkeys(key.partition(".")[0] for key in keys)))


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return plain(", ".join(keys[:SHOWN])) + rest
