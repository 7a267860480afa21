"""The presets: what each claims, how large it is, what its last run found; start one, or change it first."""

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.report.wording import counted, listed, printable, to_ascii
from stitchtui.spec.plan import resolve
from stitchtui.tui import keys
from stitchtui.tui.catalogue import Entry
from stitchtui.tui.clipboard import copy
from stitchtui.tui.screens import actions
from stitchtui.tui.screens.confirm import ConfirmScreen
from stitchtui.tui.shell import Shell
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.reading import Reading

if TYPE_CHECKING:
    from stitchtui.spec.experiment import Experiment, NetworkSpec


@dataclass(frozen=True)
class Choice:
    """A preset at one of its scales; the full one has no name."""

    preset: str
    title: str
    scale: str | None

    @property
    def label(self) -> str:
        """The line of the list."""
        return self.preset if self.scale is None else f"{self.preset} {self.scale}"

    @property
    def command(self) -> str:
        """The command line that does the same."""
        return " ".join(["stitchtui", "run", *self.words])

    @property
    def words(self) -> list[str]:
        """What that command line calls it."""
        return [self.preset] if self.scale is None else [self.preset, "--scale", self.scale]


class _Past(Message):
    def __init__(self, entries: list[Entry]) -> None:
        super().__init__()
        self.entries = entries


class PresetsScreen(Screen[None]):
    """The list on the left, or above where it is narrow; beside it what the marked one claims and does."""

    DEFAULT_CSS = """
    PresetsScreen #presets { width: 28; height: 1fr; }
    PresetsScreen #both { layout: horizontal; height: 1fr; }
    PresetsScreen #about { width: 1fr; height: 1fr; padding: 0 1; }
    PresetsScreen.-narrow #both { layout: vertical; }
    PresetsScreen.-narrow #presets { width: 1fr; height: 4; }
    PresetsScreen #said { height: auto; color: $text-warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.PRESETS]

    def __init__(self) -> None:
        super().__init__()
        self._choices: list[Choice] = []
        self._past: list[Entry] = []

    @property
    def _app(self) -> Shell:
        return cast(Shell, self.app)

    def compose(self) -> ComposeResult:
        """The presets, what one is about, what went wrong, the keys."""
        with Container(id="both"):
            yield OptionList(id="presets", compact=True)
            with Reading(id="about"):
                yield Static(id="text", markup=False)
        yield Static(id="said", markup=False)
        yield Hints()

    def on_mount(self) -> None:
        """List the presets; what earlier runs of them found follows from a thread."""
        choices = self.query_one("#presets", OptionList)
        try:
            self._choices = _choices()
        except BadInput as error:
            self.query_one("#said", Static).update(Text(plain(error)))
        choices.add_options([Option(self._text(choice.label)) for choice in self._choices])
        choices.highlighted = 0 if self._choices else None
        self.set_focus(choices)
        threading.Thread(target=self._look_back, daemon=True).start()

    def _look_back(self) -> None:
        entries = self._app.catalogue.look()
        with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
            self.post_message(_Past(entries))

    @on(_Past)
    def _take(self, message: _Past) -> None:
        self._past = message.entries
        with contextlib.suppress(NoMatches):  # the screen is being left, its widgets are gone
            self._draw()

    @on(OptionList.OptionHighlighted)
    def _marked(self) -> None:
        self._draw()
        self.query_one(Reading).turn("home")

    def _draw(self) -> None:
        if (choice := self._chosen()) is not None:
            self.query_one("#text", Static).update(self._text("\n".join(self._about(choice))))

    def _chosen(self) -> Choice | None:
        place = self.query_one("#presets", OptionList).highlighted
        return None if place is None else self._choices[place]

    def _about(self, choice: Choice) -> list[str]:
        try:
            experiment = _experiment(choice)
        except BadInput as error:
            return [choice.title, "", f"can't be used: {error}"]
        paragraphs = " ".join(experiment.description.split())
        last = _last_verdict(experiment, self._past)
        told = [*facts(experiment), f"last run: {last}", choice.command]
        return [experiment.title, "", *told, *claims(experiment), "", paragraphs]

    def _text(self, text: str) -> Text:
        lines = [printable(line) for line in text.split("\n")]
        return Text("\n".join(map(to_ascii, lines) if self._app.ascii else lines))

    @on(OptionList.OptionSelected)
    def action_start(self) -> None:
        """Ask, then start the marked preset and show its grid."""
        choice = self._chosen()
        if choice is None:
            return
        try:
            experiment = _experiment(choice)
        except BadInput as error:
            self.query_one("#said", Static).update(Text(plain(error)))
            return
        detail = "\n".join(facts(experiment))
        question = ConfirmScreen(f"Start {choice.label}?", detail, yes="Start", no="Not now", sure=True)
        self.app.push_screen(question, lambda yes: self._start(experiment) if yes else None)

    def _start(self, experiment: "Experiment") -> None:
        try:
            directory = actions.start(experiment)
        except (BadInput, OSError) as error:
            self.query_one("#said", Static).update(Text(plain(error)))
            return
        self._app.open_run(directory)

    def action_change(self) -> None:
        """Open the marked preset in New, to change it before it is started."""
        choice = self._chosen()
        if choice is None:
            return
        try:
            prepared = _experiment(choice).plain()
        except BadInput as error:
            self.query_one("#said", Static).update(Text(plain(error)))
            return
        self._app.open_new({**prepared, "origin": choice.words})

    def action_copy(self) -> None:
        """Copy the command line of the marked preset."""
        if (choice := self._chosen()) is not None:
            copy(self.app, choice.command, "the command")

    def action_scroll(self, way: str) -> None:
        """Scroll what is said about the marked preset."""
        self.query_one(Reading).turn(way)

    def action_list(self, action: str) -> None:
        """Move in the list, as its own keys do."""
        getattr(self.query_one("#presets", OptionList), f"action_{action}")()

    def action_back(self) -> None:
        """Leave."""
        self.dismiss()


def _choices() -> list[Choice]:
    from stitchtui.spec.presets import list_presets

    ordered = sorted(list_presets(), key=lambda info: info.name != "quickstart")  # what to try first is the first
    return [Choice(info.name, info.title, scale) for info in ordered for scale in (None, *info.scales)]


def _experiment(choice: Choice) -> "Experiment":
    from stitchtui.spec.presets import load_preset

    return load_preset(choice.preset, choice.scale)


def _last_verdict(experiment: "Experiment", past: list[Entry]) -> str:
    """What the newest run of exactly this experiment found."""
    settings = resolve(experiment).experiment.plain()
    runs = [entry for entry in past if entry.settings == settings]
    if not runs:
        return "none here yet"
    newest = runs[0]
    return f"{newest.verdicts or 'no verdict yet'} ({newest.directory.name}, {newest.condition})"


def facts(experiment: "Experiment") -> list[str]:
    """What a run of the experiment does, a fact a line."""
    tasks = resolve(experiment).tasks
    stitch = experiment.stitch
    data = experiment.data
    images = f", {data.train_size:,} training images" if data.train_size else ""
    length = ("at most " if stitch.converges else "") + (
        f"{stitch.steps:,} steps" if stitch.steps else f"{stitch.passes(stitch.converges):g} epochs"
    )
    return [
        f"data: {data.name}{images}",
        f"networks: {listed(_networks(experiment))}",
        f"pairs: {listed(f'{pair.bottom} > {pair.top}' for pair in experiment.pairs)}",
        f"stitch: {stitch.family}, {stitch.objective}, {length}, {counted(len(stitch.seeds), 'seed')}",
        *([f"network seeds: {experiment.network_seeds}"] if experiment.network_seeds > 1 else []),
        f"controls: {listed(name.replace('_', ' ') for name in experiment.controls) or 'none'}",
        f"plan: {counted(len(tasks), 'task')}, connected means at most {experiment.epsilon:g} points",
    ]


def claims(experiment: "Experiment") -> list[str]:
    """What the experiment claims, a sentence a line below a heading; nothing where it claims nothing."""
    from stitchtui.report.claim_words import sentence

    if not experiment.claims:
        return []
    heading = f"{counted(len(experiment.claims), 'claim')}, which a run confirms, rejects or leaves undecided:"
    sources = (f" ({claim.source})" if claim.source else "" for claim in experiment.claims)
    said = zip(map(sentence, experiment.claims), sources, strict=True)
    return ["", heading, *(f"{number}. {words}{source}" for number, (words, source) in enumerate(said, start=1))]


def _networks(experiment: "Experiment") -> list[str]:
    described = Counter(_network(spec) for spec in experiment.networks.values())
    return [text if count == 1 else f"{count} x {text}" for text, count in described.items()]


def _network(spec: "NetworkSpec") -> str:
    if spec.checkpoint is not None:
        return f"checkpoint {spec.checkpoint}"
    name = f"{spec.architecture}" + ("" if spec.width == 1 else f" at width {spec.width:g}")
    return f"{name} ({spec.weights})" if spec.weights else f"{name}, trained {spec.train.epochs} epochs"
