"""The command line: finds the command, loads no more than it needs, and turns every error into one line and a code."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, NamedTuple, TextIO

import typer
from typer.core import TyperGroup

from stitchtui import __version__
from stitchtui.base.errors import BadInput, ExitCode, RunFailed, not_known
from stitchtui.base.files import FULL
from stitchtui.base.text import plain


class CommandInfo(NamedTuple):
    """Where a command's function is, and the first sentence of its help, so that listing them imports none."""

    module: str
    function: str
    summary: str


COMMANDS = {
    "run": CommandInfo("run", "run", "Measure the stitching penalties of a preset, a TOML file, or two networks."),
    "presets": CommandInfo("presets", "presets", "List the presets, or print one to start your own from."),
    "schema": CommandInfo(
        "schema", "schema", "Print the JSON Schema of an experiment's TOML, by which editors complete and check it."
    ),
    "train": CommandInfo("train", "train", "Train a network and save it as a checkpoint."),
    "cuts": CommandInfo("cuts", "cuts", "List the places where a network can be cut."),
    "check": CommandInfo("check", "check", "Tell by the exit code whether two networks can be joined."),
    "runs": CommandInfo("runs", "runs", "List the runs, newest first."),
    "attach": CommandInfo("runs", "attach", "Watch a run; Ctrl-C leaves it running."),
    "stop": CommandInfo("runs", "stop", "Ask a run to stop; what it has measured is kept."),
    "resume": CommandInfo("runs", "resume", "Go on with a run that was stopped or lost."),
    "label": CommandInfo("runs", "label", "Give a run a short name, which then means it as its own name does."),
    "note": CommandInfo("runs", "note", "Write down something about a run; reports show it."),
    "delete": CommandInfo("runs", "delete", "Delete runs and what they measured, after asking."),
    "add": CommandInfo("add", "add", "Ask a run for more columns; they join its grid."),
    "report": CommandInfo(
        "report",
        "report",
        "Show a run's numbers, or several runs side by side: as text, data, a page or a figure.",
    ),
    "docs": CommandInfo(
        "docs",
        "docs",
        "Write the reference: the API, every key, family, control, measure, data source, event and command.",
    ),
    "export": CommandInfo(
        "export",
        "export",
        "Copy a run into an experiment tracker: curves by step, each cell's measures, the experiment, verdicts.",
    ),
    "cite": CommandInfo("cite", "cite", "Print BibTeX of this program and of the paper whose measure it implements."),
}


class Commands(TyperGroup):
    """The group of all commands; a command's module is imported when the command is used."""

    def list_commands(self, _ctx: Any) -> list[str]:
        """The commands' names, in the order that help shows them."""
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        """The command called `cmd_name`, or None."""
        info = COMMANDS.get(cmd_name)
        if info is None:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        function = getattr(import_module(f"stitchtui.cli.{info.module}"), info.function)
        single.command(cmd_name)(function)
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begin with. Raises BadInput with the nearest for one that isn't known."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise BadInput(f"command {not_known(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """Write the list of commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, info.summary) for name, info in COMMANDS.items()])


# Without rich's markup, help needs no rich: it answers at once, and reads the same in a pipe.
app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False)


def _show_version(value: bool) -> None:
    if not value:
        return
    typer.echo(f"stitchtui {__version__}")
    sys.stdout.flush()  # torch takes a while to load, or may not load at all
    import torch

    from stitchtui.base.device import describe, pick
    from stitchtui.spec.identity import NUMERICS

    typer.echo(f"torch {torch.__version__}\ndevice {describe(pick('auto'))}\nnumerics {NUMERICS}")
    raise typer.Exit()


@app.callback()
def _top(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the versions, the device, and leave."
        ),
    ] = False,
    _debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an unexpected error; may stand anywhere."),
    ] = False,
    _ascii: Annotated[
        bool,
        typer.Option("--ascii", help="Draw the terminal app with ASCII alone; without a command."),
    ] = False,
) -> None:
    """How interchangeable are the representations of two trained networks, layer by layer?

    `stitchtui` alone, on a terminal, is an app: the newest run's grid, or two networks to pick.
    `stitchtui run quickstart` answers it for two small networks within two minutes;
    `stitchtui run BOTTOM TOP --data DATASET` for two checkpoints of yours.
    """


def main() -> None:
    """Run the command that the process was started with, and exit with its code."""
    # Read once, when torch is loaded, here or in a worker: threads that wait by spinning starve a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _open_streams()
    sys.exit(invoke(sys.argv[1:]))


def _open_streams() -> None:
    """Open /dev/null for the standard streams that are closed, before another file takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115


def invoke(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` give; errors are one line on stderr. Returns the exit code."""
    words, debug = _without_debug(list(arguments))
    try:
        code = _start_app(words) if _wants_app(words) else _run_command(words or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:
        code = ExitCode.FAILED  # whoever read our output has what it wanted
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except Exception as error:
        if debug and not _is_expected(error):
            raise
        code = _complain(error)
    _let_go(sys.stdout)
    _let_go(sys.stderr)
    return code if isinstance(code, int) else ExitCode.DONE


def _let_go(stream: TextIO) -> None:
    """Drop what `stream` can't write: the interpreter would try again, and complain, while it exits."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run_command(words: list[str]) -> object:
    return typer.main.get_command(app).main(args=words, prog_name="stitchtui", standalone_mode=False)


def _wants_app(words: list[str]) -> bool:
    """Whether the terminal app is meant: no command is named, and there is a terminal to draw on."""
    return words in ([], ["--ascii"]) and sys.stdin.isatty() and sys.stdout.isatty()


def _start_app(words: list[str]) -> int:
    from stitchtui.tui.main import main as start

    return start(ascii=bool(words))


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """The words without `--debug`, and whether it was there; after `--` all are arguments."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end or os.environ.get("STITCHTUI_DEBUG") == "1"


def _is_expected(error: Exception) -> bool:
    return isinstance(error, BadInput | RunFailed) or _is_usage(error)


def _is_usage(error: Exception) -> bool:
    # typer has moved the classes of its parser's errors between versions, not what they can be asked
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _complain(error: Exception) -> int:
    """Say what went wrong, in one line on stderr, and return the exit code."""
    code, text = ExitCode.FAILED, str(error)
    if isinstance(error, BadInput):
        code = ExitCode.BAD_INPUT
    elif _is_usage(error):
        code, text = ExitCode.BAD_INPUT, _usage(error)
    elif isinstance(error, OSError) and error.errno in FULL:
        text = f"{error.filename or 'output'}: can't be written ({error.strerror})"
    elif not isinstance(error, RunFailed):
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
        text = f"unexpected {what} (add --debug for the traceback)"
    with suppress(OSError):  # stderr may be full, too
        print(f"stitchtui: {plain(' '.join(text.split()))}", file=sys.stderr, flush=True)
    return code


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "stitchtui"
    return f"{error.format_message()} See `{path} --help`."
