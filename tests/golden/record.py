"""Recorded runs, and every report that the command line makes of them.

`python tests/golden/record.py` writes the expected reports anew, after a change that is meant to change them;
`python tests/golden/record.py take RUN NAME` takes a run into the record, without what tells of its machine.
"""

import contextlib
import difflib
import io
import json
import os
import re
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

from stitchtui.cli import main

HERE = Path(__file__).parent
RUNS, REPORTS = HERE / "runs", HERE / "reports"
NOON = 1767268800.0  # on 2026-01-01, in UTC
NOW = NOON + 30 * 86_400

Case = tuple[str, tuple[str, ...], int]  # the file, the command's words, the terminal's columns
SIDE_BY_SIDE = {
    "small-and-claims": ("20260102-120000-small", "20260104-120000-claims"),
    "seeds-and-ladder-and-cross": (
        *("20260106-120000-several", "20260105-120000-ladder", "20260103-120000-cross"),
        "20260108-120000-failed",
    ),
}


def cases() -> list[Case]:
    """Everything that is rendered: a file's name below `reports`, the command that gives it, and how wide."""
    found: list[Case] = [("runs.txt", ("runs",), 100), ("runs.json", ("runs", "--json"), 100)]
    for run in sorted(path.name for path in RUNS.iterdir()):
        found += [(f"{run}/{file}", ("report", run, *flags), columns) for file, flags, columns in _one(run)]
        if not run.endswith("-elsewhere"):  # which hasn't ended: it would be watched for ever
            found.append((f"{run}/attach.txt", ("attach", run), 100))
        if run.endswith("-claims"):
            found.append((f"{run}/claims.csv", ("report", run, "--claims"), 100))
    for name, runs in SIDE_BY_SIDE.items():
        found += [(f"{name}/{file}", ("report", *runs, *flags), columns) for file, flags, columns in _SEVERAL]
    return found


_SEVERAL: list[Case] = [
    ("narrow.txt", (), 60),
    ("wide.txt", (), 160),
    ("narrow.ascii.txt", ("--ascii",), 60),
    ("wide.ascii.txt", ("--ascii",), 160),
    ("report.md", ("--markdown",), 100),
    ("report.html", ("--html",), 100),
]


def _one(run: str) -> list[Case]:
    full = [
        (file, (*flags, "--full") if file.startswith("wide") else flags, columns) for file, flags, columns in _SEVERAL
    ]
    return [*full, ("report.csv", ("--csv",), 100), ("report.json", ("--json",), 100)]


def rendered(words: tuple[str, ...], columns: int) -> str:
    """What the command says: on stdout or in its file, then on stderr, then its exit code where it isn't 0."""
    with tempfile.TemporaryDirectory() as folder, _surroundings(columns):
        page = Path(folder, "page.html")
        if words[-1] == "--html":
            words = (*words, str(page))
        out, err, code = _said(words)
        said = _pictures_as_words(page.read_text("utf-8")) if page.is_file() else out
        err = err.replace(str(page), "page.html")
    return said + (f"--- stderr\n{err}" if err else "") + (f"--- exit code {code}\n" if code else "")


def _said(words: tuple[str, ...]) -> tuple[str, str, object]:
    """What `stitchtui` writes to stdout and stderr when it is called with these words, and its exit code."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    code: object = 0
    argv = mock.patch.object(sys, "argv", ["stitchtui", *words])
    with argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    return texts[0], texts[1], code


@contextlib.contextmanager
def _surroundings(columns: int) -> Iterator[None]:
    """The same clock, terminal and place of the runs everywhere."""
    told = {"STITCHTUI_RUNS": str(RUNS), "COLUMNS": str(columns), "LINES": "40", "TZ": "UTC"}
    with mock.patch.dict(os.environ, told), mock.patch.object(time, "time", lambda: NOW):
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "STITCHTUI_DEBUG"):
            os.environ.pop(name, None)
        time.tzset()
        yield
    time.tzset()


def _pictures_as_words(page: str) -> str:
    """The page with the words of its plots in place of their lines, which fonts and matplotlib's version decide."""

    def words(match: re.Match[str]) -> str:
        return "picture: " + " | ".join(re.findall(r"<text[^>]*>(.*?)</text>", b64decode(match[1]).decode("utf-8")))

    return re.sub(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", words, page)


class _Page(HTMLParser):
    """A page as a browser reads it, a tag or a text a line; white space counts as one blank, at tags as none."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.lines.append(f"<{tag}{''.join(f' {name}={value!r}' for name, value in attrs)}>")

    def handle_endtag(self, tag: str) -> None:
        self.lines.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        kept = self.lines[-1:] == ["<pre>"]
        self.lines += data.split("\n") if kept else [" ".join(data.split())] if data.strip() else []


def difference(expected: str, found: str, file: str) -> str:
    """The first lines in which both differ, as `diff -u` shows them; empty where they don't."""
    texts = (expected, found)
    each = [_Page(text).lines if file.endswith(".html") else text.splitlines() for text in texts]
    lines = difflib.unified_diff(*each, f"expected {file}", "rendered now", lineterm="", n=1)
    return "\n".join(line[:400] for line, _ in zip(lines, range(60), strict=False))


def record() -> None:
    """Write every expected report anew."""
    wanted = {REPORTS / file: (words, columns) for file, words, columns in cases()}
    for path in REPORTS.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
    for path, (words, columns) in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rendered(words, columns).encode("utf-8"))


def take(run: Path, name: str, into: Path = RUNS) -> None:
    """Copy what readers use of a run's directory, with neutral times, process, host, hardware and paths."""
    neutral = _neutral(run, name)
    target = into / name
    target.mkdir(parents=True)
    for file in ("experiment.toml", "command.txt"):
        (target / file).write_text(neutral((run / file).read_text("utf-8")), "utf-8")
    info = json.loads(neutral((run / "run.json").read_text("utf-8"))) | {"hardware": "a machine"}
    (target / "run.json").write_text(json.dumps(info, indent=2) + "\n", "utf-8")
    (target / "events.jsonl").write_text(neutral((run / "events.jsonl").read_text("utf-8")), "utf-8")


def _neutral(run: Path, name: str) -> Callable[[str], str]:
    first = json.loads((run / "events.jsonl").read_text("utf-8").partition("\n")[0])
    day = NOON + 86_400 * (int(name[6:8]) - 1)
    shift = day - first["t"]
    starts = list(dict.fromkeys(re.findall(r'"start": ?(\d+)', (run / "events.jsonl").read_text("utf-8"))))

    def neutral(text: str) -> str:
        text = text.replace(run.name, name)
        text = re.sub(r'"(t|started)":( ?)([\d.]+)', lambda m: f'"{m[1]}":{m[2]}{round(float(m[3]) + shift, 3)}', text)
        text = re.sub(r'"pid":( ?)\d+', r'"pid":\g<1>4711', text)
        text = re.sub(r'"host":( ?)"[^"]*"', r'"host":\1"a-host"', text)
        text = re.sub(r'"boot":( ?)"[^"]*"', r'"boot":\1"a-boot"', text)
        text = re.sub(r'"start":( ?)(\d+)', lambda m: f'"start":{m[1]}{1000 * (starts.index(m[2]) + 1)}', text)
        return re.sub(r"/[\w./-]+/([\w.-]+\.(?:py|safetensors))", r"/networks/\1", text)

    return neutral


if __name__ == "__main__":
    take(Path(sys.argv[2]), sys.argv[3]) if sys.argv[1:2] == ["take"] else record()
