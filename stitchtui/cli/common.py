"""What several commands share: the options they have in common, and messages to stderr."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stitchtui.base.text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


def complete_run(incomplete: str) -> list[str]:
    """The names of runs that begin with `incomplete`, for the shell."""
    from stitchtui.base.paths import runs_directory

    folder = runs_directory()
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return ["last", *sorted(name for name in names if name.startswith(incomplete))]


RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its name, a beginning of it that no other run has, its label, its folder, or `last`.",
        autocompletion=complete_run,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the run's events on stdout, as JSON lines.")]
Detach = Annotated[
    bool, typer.Option("--detach", help="Start it, print its name and return; it runs on without a terminal.")
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="Where to compute: auto, cpu, mps, cuda or cuda:N. [default: auto; as before to resume]"
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="How many CPU threads to use. [default: torch's choice]")
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="The most that a training step may take, such as 4G; cells beyond it take turns. [default: half of the "
        "free memory, most of a GPU's]",
    ),
]


def say(text: str) -> None:
    """Tell the user something on stderr, in one line."""
    print(plain(text), file=sys.stderr, flush=True)


def output() -> "Console":
    """A console on stdout for results; into a file or a pipe, tables are as wide as they need to be."""
    from rich.console import Console

    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 10_000)


def deliver(content: str | bytes, out: "Path | None") -> None:
    """Write a result to stdout, or to the file that the user named. Raises as `base.files.write_out` does."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    if out is None:
        typer.echo(data, nl=False)  # bytes: the same file whatever the terminal's encoding
        return
    from stitchtui.base.files import write_out

    write_out(out, data)
    say(f"wrote {plain(out)}")
