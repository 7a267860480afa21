"""Keys that arrive together, as over a slow link: whatever arrives when, they end where they end one by one."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pilot import Terminal, settled
from textual.events import Key
from textual.keys import _character_to_key
from typed_at import ANEW, RUNS, TELL, Noted, prepare

from stitchtui.run import control

CODES = {
    "down": "\x1b[B", "up": "\x1b[A", "right": "\x1b[C", "left": "\x1b[D", "enter": "\r", "tab": "\t", "escape": "\x1b",
    "space": " ", "backspace": "\x7f", "pagedown": "\x1b[6~", "pageup": "\x1b[5~", "home": "\x1b[H", "end": "\x1b[F",
    "ctrl+q": "\x11", TELL: "\x1b[24~", ANEW: "\x1b[21~",
}  # fmt: skip

# What is typed, and what is to be found in the state that it leads to.
SCRIPTS = {
    "grid": ("j j l m m o / b space > enter l j / b escape k", {"filter": "", "focus": "heatmap"}),
    "cell, findings": ("j enter j j k escape f j pagedown j k", {"screen": "FindingsScreen"}),
    "help": ("j ? j j q r j ? pagedown j k", {"screen": "HelpScreen"}),
    "runs, compare": ("r j space j j space c j j l x k", {"screen": "CompareScreen", "None DataTable": [1, 2]}),
    "runs, open": ("r / r u n 3 enter enter j m", {"screen": "GridScreen", "watched": RUNS[1]}),
    "presets": ("p j enter l enter j space enter enter j", {"screen": "GridScreen", "watched": "made"}),
    "export": ("e j k tab x backspace backspace . c s v enter j", {"screen": "GridScreen"}),
    "new, marks": (
        "n enter enter space a j space tab j j space k escape space a space j j space enter k j",
        {"picked": {"bottom": "net0.pt", "top": "net1.pt"}, "row-own_cuts TextInput": "stem,block1.relu"},
    ),
    "new": ("n down down down down enter / 5 enter down l tab 2 tab 3 tab 4 tab 5 enter j l", {"watched": "made"}),
}
MORE = {
    "grid, cell": {
        "grid, depth": ("d d j d m j", {"screen": "GridScreen"}),
        "cell": ("j enter j j k pagedown", {"screen": "CellScreen", "next": 1}),
        "cell, back": ("enter j escape j j enter", {"screen": "CellScreen", "next": 0}),
    },
    "runs, compare": {
        "runs": ("r j j k j space k", {"runs": [RUNS[1], RUNS[2]]}),
        "runs, newest": ("r down down enter j m", {"screen": "GridScreen", "watched": RUNS[2]}),
        "runs, sorted": ("r o G o enter", {"screen": "GridScreen"}),
        "compare, swap": ("r j space j space c x j l x j l escape j", {"screen": "RunsScreen"}),
    },
    "presets, export, help": {
        "help, back": ("j ? j j q j r ? G q", {"screen": "RunsScreen"}),
        "presets": ("p j j space j k space space", {"screen": "PresetsScreen", "presets": 2}),
        "presets, not now": ("p j j enter l enter j", {"screen": "PresetsScreen", "presets": 3}),
        "presets, change": ("p j c down down up", {"screen": "NewScreen"}),
        "export, back": ("e j tab x escape j", {"screen": "GridScreen"}),
    },
    "new": {
        "new, unpicked": ("n down down down down", {"screen": "NewScreen", "picked": {}}),
        "new, both": ("n down down enter down enter", {"picked": {"bottom": "net2.pt", "top": "net4.pt"}}),
        "new, back": ("n down enter enter escape down down enter", {"picked": {"bottom": "net1.pt", "top": "net4.pt"}}),
        "new, filter": ("n / n e t 3 enter / 5 enter", {"picked": {"bottom": "net3.pt", "top": "net5.pt"}}),
        "new, no filter": ("n / 4 down escape down enter", {"screen": "NewScreen"}),
    },
    "fields": {
        "new, fields": ("n enter enter" + " tab 2 5" * 14, {"screen": "NewScreen"}),
        "new, choices": ("n enter enter" + " down l" * 14, {"screen": "NewScreen"}),
        "new, by name": (
            "n enter enter h s t e m , b l o right down b l o right up",
            {"row-own_cuts TextInput": "stem,block1"},
        ),
    },
}


GAPS = (0, 5, 40)  # ms


def code(key):
    return CODES.get(key, key).encode()


@pytest.mark.parametrize(
    "scripts", [SCRIPTS, *(pytest.param(each, marks=pytest.mark.slow) for each in MORE.values())], ids=["every", *MORE]
)
def test_keys_in_one_write_end_where_they_end_one_by_one(scripts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    terminal = Terminal(module="typed_at", size=(80, 24))
    try:
        terminal.wait_for(lambda: "\x1b[?1049h" in terminal.written, "the terminal is the app's")
        at_once, *apart = ({name: typed(terminal, keys, gap) for name, (keys, _) in scripts.items()} for gap in GAPS)
        terminal.press(code("ctrl+q"))
        while terminal.read():
            pass
    finally:
        terminal.close()
    for name, (_, expected) in scripts.items():
        assert {each: at_once[name].get(each) for each in expected} == expected, (name, at_once[name])
        assert [states[name] for states in apart] == [at_once[name]] * len(apart), name


def typed(terminal, keys, gap):
    """The state that the app is in after `keys`, which are typed at it `gap` ms apart."""
    told = Path(os.environ["TOLD"])
    told.write_text("")
    typed = [code(key) for key in (ANEW, *keys.split(), TELL)]
    for burst in typed if gap else [b"".join(typed)]:
        terminal.press(burst)
        end = time.monotonic() + gap / 1000
        while (left := end - time.monotonic()) > 0:
            terminal.read(left)
    terminal.wait_for(lambda: told.read_text().endswith("\n"), f"{keys} are done")
    return json.loads(told.read_text())


KEYS = "down up right left j k l h g G tab enter escape space pagedown pageup n r p m d o x f e c / a 2 backspace ?"


@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_any_keys_at_once_end_where_they_end_one_by_one(examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setattr(control, "launch", control.launch)  # which is taken away
    prepare()
    with asyncio.Runner() as loop:
        running = Noted().run_test(size=(80, 24))
        pilot = loop.run(running.__aenter__())

        @settings(
            max_examples=examples, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
        )
        @given(st.lists(st.sampled_from(KEYS.split()), min_size=6, max_size=16))
        def same(keys):
            assert loop.run(posted(pilot, keys, at_once=True)) == loop.run(posted(pilot, keys, at_once=False))

        try:
            same()
        finally:
            loop.run(running.__aexit__(None, None, None))


async def posted(pilot, keys, *, at_once):
    """The state that the app is in after `keys`."""
    for key in (ANEW, *keys, TELL):
        character = " " if key == "space" else key if len(key) == 1 else None
        pilot.app.post_message(Key(_character_to_key(key) if character == key else key, character))
        if not at_once:
            await settled(pilot)
    await settled(pilot)
    return pilot.app.told.pop()
