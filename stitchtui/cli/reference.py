"""What the reference says beside the API: from the registries, the schema, the event types and the commands."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import typer

from stitchtui import __version__
from stitchtui.base.errors import ExitCode
from stitchtui.report.exporters import EXPORTERS
from stitchtui.report.formats import FORMATS
from stitchtui.run.events import KINDS
from stitchtui.spec.architectures import ARCHITECTURES
from stitchtui.spec.claims import GRAMMAR, ClaimSpec
from stitchtui.spec.controls import CONTROLS
from stitchtui.spec.datasets import BY_PATH, DATASETS, IN_MEMORY
from stitchtui.spec.families import FAMILIES, Family
from stitchtui.spec.measures import MEASURES
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.spec.schema import experiment_schema

Schema = Mapping[str, Any]
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "nothing",
}
_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
_COMMENT = re.compile(r"^    (\w+): [^#\n]*?  # (.*)$", re.MULTILINE)


class Section(NamedTuple):
    """A heading with words, which are Markdown, and a table, whose cells are text with code between backticks."""

    title: str
    words: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Page(NamedTuple):
    """A page of the reference."""

    file: str
    title: str
    words: str
    sections: tuple[Section, ...] = ()


API = Page("api.html", "API", "The names that `import stitchtui` gives.")
"""The page that is made of docstrings."""


def pages() -> tuple[Page, ...]:
    """Return every other page, the first page first."""
    found = (
        Page("experiment.html", "Keys of an experiment", _EXPERIMENT, tuple(_tables())),
        Page("choices.html", "What can be chosen", _CHOICES, tuple(_choices())),
        Page("events.html", "Events", _EVENTS, tuple(_events())),
        Page("commands.html", "Commands", _COMMANDS, tuple(_commands())),
    )
    links = (f"- [{page.title}]({page.file}): {page.words.partition('. ')[0].rstrip('.')}." for page in (API, *found))
    about = f"Version {__version__}. The README is the tour; this is the reference."
    return (Page("index.html", "stitchtui", "\n".join([about, "", *links])), *found)


_EXPERIMENT = (
    "A preset, or a TOML file of your own, says an experiment; `--set KEY=VALUE` overrides any key. `stitchtui schema`"
    " prints this as JSON Schema. What has no default may be left out, unless it is needed."
)
_CHOICES = "Ours, and those of packages that are installed beside stitchtui."
_EVENTS = (
    "A run's `events.jsonl` holds one JSON object a line, in the order in which things happened, with its `type` and"
    " the moment `t` in seconds since 1970. Readers skip types and fields that they don't know."
)
_COMMANDS = "`stitchtui` alone, on a terminal, is an app. Results go to stdout, everything else to stderr."


def _tables() -> Iterator[Section]:
    schema = experiment_schema()
    known = {"": schema, **schema["$defs"]}
    places: dict[str, list[str]] = {"": [""]}  # of each table, by name: the keys that hold one
    for name in (waiting := [""]):
        for key, said in known[name]["properties"].items():
            for below, place in _tables_of(said, f"{places[name][0]}.{key}".lstrip(".")):
                places.setdefault(below, []).append(place)
                if below not in waiting and below != "Scale":
                    waiting.append(below)
    for name in waiting:
        first, *others = places[name]
        words = known[name]["description"]
        also = f"\n\nThe same below {_code(others)}." if others else ""
        yield _keys(first or "An experiment", known[name], known, words + also)


def _tables_of(said: Schema, place: str) -> Iterator[tuple[str, str]]:
    """The names of the tables that a key at `place` may hold, with where they are."""
    if "$ref" in said:
        yield said["$ref"].rpartition("/")[2], place
    items = [said["items"]] if isinstance(said.get("items"), dict) else []
    for each in (*said.get("anyOf", ()), *items):
        yield from _tables_of(each, place)
    for each in (said.get("additionalProperties"), *said.get("patternProperties", {}).values()):
        if isinstance(each, dict):
            yield from _tables_of(each, f"{place}.NAME")


def _keys(title: str, table: Schema, known: Schema, words: str) -> Section:
    needed = table.get("required", ())
    rows = (
        (f"`{name}`", _words(said), type_words(said), "needed" if name in needed else _default(said, known))
        for name, said in table["properties"].items()
    )
    return Section(title, words, ("key", "what it says", "type", "default"), tuple(rows))


def _words(said: Schema) -> str:
    return " ".join(str(said.get("description", "")).split())


def _default(said: Schema, known: Schema) -> str:
    """A key's default as TOML says it; of a table, what differs from the table's own defaults."""
    value = said.get("default")
    if isinstance(value, dict):
        own = known[said["$ref"].rpartition("/")[2]]["properties"] if "$ref" in said else {}
        differs = {name: each for name, each in value.items() if own.get(name, {}).get("default") != each}
        return ", ".join(f"`{name} = {json.dumps(each)}`" for name, each in differs.items())
    return "" if value in (None, "", []) else f"`{json.dumps(value)}`"


def type_words(said: Schema) -> str:
    """Return what a value may be, in words, by its JSON Schema."""
    match said:
        case {"enum": options}:
            words = f"one of {_code(options)}"
        case {"anyOf": parts}:
            each = (type_words({"type": said.get("type"), **part}) for part in parts)
            words = " or ".join(dict.fromkeys(each))
        case {"prefixItems": [first, *_] as parts}:
            words = f"a list of {len(parts)}, each {type_words(first)}"
        case {"type": "array"}:
            words = f"a list, each {type_words(said['items'])}" if said.get("items") else "a list"
        case {"$ref": _}:
            words = "a table"
        case {"type": "object"}:
            words = "tables by name" if any(_tables_of(said, "")) else "a table"
        case {"pattern": str(pattern)} if begins := re.fullmatch(r"\^\(([\w:|]+)\)", pattern):
            words = " or ".join(f"`{prefix}PATH`" for prefix in begins[1].split("|"))
        case _:
            limits = (f", {word} {said[key]:g}" for key, word in _BOUNDS.items() if key in said)
            words = _KINDS.get(said.get("type", ""), "anything") + "".join(limits)
    return words


def _choices() -> Iterator[Section]:
    yield Section(
        "Families of stitches",
        "`stitch.family`, in order of capacity; `ladder` is one stitch of every rung.",
        ("name", "what the stitch may be", "found by", "contains", "needs"),
        tuple(
            (f"`{f.name}`", f.maps, ", ".join(_ways(f)), _code(f.includes), ", ".join(_needs(f)))
            for f in FAMILIES.values()
        ),
    )
    yield Section(
        "Objectives",
        "`stitch.objective`.",
        ("name", "what the stitch is fitted to", "trained"),
        tuple((f"`{each.name}`", each.fitted_to, _yes(each.trains)) for each in OBJECTIVES.values()),
    )
    yield Section(
        "Controls",
        "`controls`: columns whose answer is known or bounded beforehand, of a pair `a > b`.",
        ("name", "in words", "what it tells", "heading"),
        tuple(
            (f"`{each.name}`", each.words, each.tells, f"`{each.heading(*each.ends('a', 'b'))}`")
            for each in CONTROLS.values()
            if each.name
        ),
    )
    yield Section(
        "Measures",
        "Of each cell; in CSV and JSON by these names.",
        ("name", "what it is", "95 % interval"),
        tuple((f"`{each.name}`", each.holds, _code(each.ends)) for each in MEASURES.values()),
    )
    yield from _sources()
    rows = ((f"`{kind}`", _code(of.needs), _code(of.may)) for kind, of in GRAMMAR.items())
    words = inspect.getdoc(ClaimSpec) or ""
    yield Section("Kinds of claims", f"`[[claims]]`. {words}", ("kind", "needs", "may have"), tuple(rows))
    formats = ((f"`{each.name}`", _code(each.endings), each.holds) for each in FORMATS.values())
    yield Section("Formats of reports", "", ("name", "files end in", "what it holds"), tuple(formats))
    trackers = ((f"`{each.name}`", each.place, f"`pip install '{each.install}'`") for each in EXPORTERS.values())
    words = "Where `stitchtui export RUN --to NAME` copies a run to."
    yield Section("Experiment trackers", words, ("name", "`--place`", "needs"), tuple(trackers))


def _sources() -> Iterator[Section]:
    named = (
        (f"`{each.name}`", " x ".join(map(str, each.shape)), str(each.classes), f"`{each.augment}`", origin)
        for each in DATASETS.values()
        for origin in [each.download.origin if each.download else ""]
    )
    own = [(f"`{prefix}PATH`", "", "", "`none`", "images of your own") for prefix in BY_PATH]
    own.append((f"`{IN_MEMORY}NAME`", "", "", "`none`", "images that a Python program gave"))
    head = ("name", "channels x height x width", "classes", "augmentation", "downloaded from")
    yield Section("Data", "`data.name`.", head, (*named, *own))
    options = (
        (f"`{each.name}`", ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in each.options.items()))
        for each in ARCHITECTURES.values()
    )
    words = "`networks.NAME.architecture`; beside these, networks of torchvision, timm, hubs and your own files."
    yield Section("Architectures", words, ("name", "options"), tuple(options))


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _ways(family: Family) -> Iterator[str]:
    if family.closed_form:
        yield "closed form"
    if family.trainable:
        yield "training"


def _needs(family: Family) -> Iterator[str]:
    if family.changes_nothing:
        yield "equal shapes"
    elif family.equal_channels:
        yield "equal channels"
    if family.keeps_distances:
        yield "a top of no fewer channels"
    if family.kernel > 1:
        yield "a top whose tensor is a map"
    if family.takes_rank:
        yield "`stitch.rank`"


def _events() -> Iterator[Section]:
    _, known = msgspec.json.schema_components(list(KINDS.values()), ref_template="#/$defs/{name}")
    parts = {name: each for name, each in known.items() if "type" not in each["properties"]}
    for tag, kind in KINDS.items():
        yield _fields(tag, kind, known[kind.__name__])
    beside = vars(inspect.getmodule(next(iter(KINDS.values()))))
    yield from (_fields(name, beside[name], each) for name, each in parts.items())


def beside_fields(kind: type) -> dict[str, str]:
    """Return the comments beside the fields of a class, by field."""
    return dict(_COMMENT.findall(inspect.getsource(kind)))


def _fields(title: str, kind: type, said: Schema) -> Section:
    comments = beside_fields(kind)
    rows = (
        (f"`{name}`", comments.get(name, ""), type_words(each), _yes(name in said["required"]))
        for name, each in said["properties"].items()
        if name not in ("type", "t")
    )
    return Section(title, said["description"], ("field", "what it says", "type", "always there"), tuple(rows))


def _commands() -> Iterator[Section]:
    from stitchtui.cli import COMMANDS, app

    group: Any = typer.main.get_command(app)
    yield _command("stitchtui", group)
    for name in COMMANDS:
        yield _command(f"stitchtui {name}", group.get_command(None, name))
    codes = ((str(code.value), code.name.lower().replace("_", " ")) for code in ExitCode)
    yield Section("Exit codes", "Of every command.", ("code", "meaning"), tuple(codes))


def _command(name: str, command: Any) -> Section:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    records = [each.get_help_record(context) for each in command.params]
    rows = tuple((f"`{record[0]}`", record[1]) for record in records if record)
    return Section(name, f"{inspect.cleandoc(command.help)}\n\n```\n{usage}\n```", ("", ""), rows)
