"""From what New holds to the experiment, and to the `stitchtui run` line that makes the same."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.run import control
from stitchtui.spec import overrides
from stitchtui.spec.checks import check_device, check_files
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.pairing import read_names
from stitchtui.spec.presets import from_document, from_pair, pair_names
from stitchtui.spec.settings import Key, Setting, dotted, leaves, read_override
from stitchtui.tui import cut_pairs
from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import DATA, ENDS, EXPERIMENT_FIELDS, FLAGS, FREE, STITCH, WORKER, field_of

_FLAGGED = ("normalisation", "head", "part")
"""What `stitchtui run` takes for both networks in a flag of its own, a text each."""


def check(draft: Draft) -> tuple[Experiment | None, dict[str, str]]:
    """The experiment if it can be started, and the reason beside each field ("" for the whole) that it can't."""
    problems: dict[str, str] = {}
    experiment = _experiment(draft, problems) if draft.complete else None
    if experiment is not None:
        _check_places(draft, experiment, problems)
    for end in ENDS:
        answer = draft.answers.get(end, {})
        if error := answer.get("error"):
            name = field_of(answer.get("field"))
            file = str((draft.question(end) or {}).get("checkpoint"))
            short = plain(error).removeprefix(f"checkpoint {plain(file)}: ")  # which may be long, and is said already
            problems.setdefault(name or end, f"{end}: {short}" if name else plain(error))
        if misfit := answer.get("misfit"):
            problems.setdefault("data", f"{end}: {plain(misfit)}")
    for name, reason in draft.misfits().items():
        problems.setdefault(name, reason)
    return (None if problems else experiment), problems


def _experiment(draft: Draft, problems: dict[str, str]) -> Experiment | None:
    """Built again without each field that is at fault, so that every reason is found and not only the first."""
    while True:
        try:
            return build(draft, [name for name in EXPERIMENT_FIELDS if name not in problems])
        except BadInput as error:
            name = field_of(error.field)
            if name == "" or name in problems:
                problems.setdefault("", str(error))
                return None
            problems[name] = error.what


def _check_places(draft: Draft, experiment: Experiment, problems: dict[str, str]) -> None:
    for look in (lambda: worker_arguments(draft), lambda: check_files(experiment)):
        try:
            look()
        except BadInput as error:
            name = field_of(error.field)
            problems.setdefault(name, error.what if name else str(error))


def worker_arguments(draft: Draft) -> list[str]:
    """What the worker is told beside the experiment. Raises BadInput."""
    device, threads, memory = (draft.value(name).strip() for name in WORKER)
    check_device(device)
    if threads and not (threads.isdecimal() and int(threads) > 0):
        raise BadInput.at("--threads", "expected a whole number above 0", threads)
    chosen = None if device == "auto" else device
    return control.worker_arguments(chosen, int(threads) if threads else None, memory or None)


def build(draft: Draft, names: Sequence[str]) -> Experiment:
    """The experiment of `draft`, with those of its fields that are in `names`. Raises BadInput."""
    laid_over = [*overrides.settings(**_flags(draft, names)), *_without_flag(draft, names)]
    free = _free(draft) if FREE in names else []
    if draft.document is not None:
        return from_document(draft.document, laid_over, free)
    bottom, top = draft.picked["bottom"], draft.picked["top"]
    brought = [Setting(path, value, "--set", " ") for path, value in _brought(draft)]
    own = [Setting(path, text, "--architecture") for path, text in _own_architectures(draft)]
    experiment = from_pair(
        bottom.value,
        top.value,
        both=draft.value("both") == "yes",
        settings=[*brought, *laid_over, *own],
        overrides=free,
        **{name: value for name, value in draft.of_networks().items() if name in names},
    )
    return _renamed(draft, experiment)


def _flags(draft: Draft, names: Sequence[str]) -> dict[str, Any]:
    changed: dict[str, Any] = {name: draft.value(name) for name in draft.differing(FLAGS) if name in names}
    if "epochs" in changed:
        try:
            changed["epochs"] = float(changed["epochs"])
        except ValueError:
            raise BadInput.at("--epochs", f"expected a number, got '{plain(changed['epochs'])}'") from None
    return changed


def _without_flag(draft: Draft, names: Sequence[str]) -> list[Setting]:
    """What has no flag, as `--set` lays it over the experiment."""
    found = [name for name in draft.differing((*STITCH, *DATA)) if name in names]
    return [replace(read_override(_set(draft, name)), origin=f"--{name}", joint=None) for name in found]


def _set(draft: Draft, name: str) -> str:
    """KEY=VALUE for `--set`; where the top's cuts are empty, they are the bottom's."""
    if name in DATA:
        return f"data.{name}={draft.value(name)}"
    if name != "top_cuts":
        return f"stitch.{name}={draft.value(name).strip()}"
    cuts = read_names(draft.value(name) or draft.value("cuts"))
    return f"stitch.{name}={cuts if isinstance(cuts, str) else json.dumps(cuts, ensure_ascii=False)}"


def _free(draft: Draft) -> list[str]:
    return [part.strip() for part in draft.value(FREE).split(";") if part.strip()]


def _own_architectures(draft: Draft) -> list[tuple[Key, str]]:
    names = pair_names(draft.picked["bottom"].value, draft.picked["top"].value)
    said = [(name, draft.architecture(end)) for name, end in zip(names, ENDS, strict=True)]
    return [(("networks", name, "architecture"), text) for name, text in said if text]


def _brought(draft: Draft) -> list[tuple[Key, Any]]:
    """What else is known of the networks, by the keys of an experiment."""
    names = pair_names(draft.picked["bottom"].value, draft.picked["top"].value)
    known = zip(names, map(draft.brings, ENDS), strict=True)
    return [each for name, brings in known if brings for each in leaves(brings, ("networks", name))]


def _renamed(draft: Draft, experiment: Experiment) -> Experiment:
    """With the names that known runs have for their networks, in place of their files'."""
    old = pair_names(draft.picked["bottom"].value, draft.picked["top"].value)
    new = {before: draft.picked[end].name or before for before, end in zip(old, ENDS, strict=True)}
    if len(set(new.values())) < len(new):
        new = {before: f"{name[:56]}-{end}" for (before, name), end in zip(new.items(), ENDS, strict=True)}
    if all(before == name for before, name in new.items()):
        return experiment
    document = experiment.plain()
    document["networks"] = {new[name]: spec for name, spec in document["networks"].items()}
    document["pairs"] = [{**pair, **{end: new[pair[end]] for end in ENDS}} for pair in document["pairs"]]
    first = document["pairs"][0]
    document["name"] = f"{first['bottom'][:29]}-{first['top'][:29]}"
    document["title"] = f"{first['bottom']} > {first['top']}"
    return from_document(document)


def command(draft: Draft) -> str:
    """The equivalent `stitchtui run` line; empty where a prepared experiment has no file yet."""
    if not draft.complete or (draft.document is not None and not draft.origin):
        return ""
    words = ["stitchtui", "run", *(draft.origin or tuple(draft.picked[end].value for end in ENDS))]
    for name in draft.differing(FLAGS):
        words += [f"--{name}", draft.value(name)]
    for text in [_set(draft, name) for name in draft.differing((*STITCH, *DATA))] + _free(draft):
        words += ["--set", text]
    words += _of_networks(draft) + (["--both"] if draft.value("both") == "yes" else [])
    for name in draft.differing(WORKER):
        words += [f"--{name}", draft.value(name)]
    return " ".join(map(_quoted, words))


def _of_networks(draft: Draft) -> list[str]:
    if draft.document is not None:
        return []
    words = [word for name, text in draft.of_networks().items() if name in _FLAGGED for word in (f"--{name}", text)]
    words += [word for leaf in cut_pairs.names_of(draft.value("leaves")) for word in ("--leaf", leaf)]
    words += ["--trust-code"] if draft.value("trust_code") == "yes" else []
    for path, value in _brought(draft):
        words += ["--set", f"{dotted(path)}={json.dumps(value, ensure_ascii=False)}"]
    said = _own_architectures(draft)
    if len(said) == len(ENDS):
        texts = list(dict.fromkeys(text for _, text in said))
        return [*words, *(word for text in texts for word in ("--architecture", text))]
    return [*words, *(word for path, text in said for word in ("--set", f"{dotted(path)}={text}"))]


def _quoted(word: str) -> str:
    """`word` as a shell reads it back, with control characters spelt out so that they do nothing on the way."""
    if plain(word) == word:
        return shlex.quote(word)
    text = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(c if plain(c) == c else _escape(c) for c in text) + "'"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
