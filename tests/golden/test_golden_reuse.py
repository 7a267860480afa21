"""Quickstart, with networks that are the same on every machine, takes each of its cells from a run of before.

Left out is the untrained bottom, whose statistics are estimated anew and so differ in their last bits.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EARLIER = HERE / "earlier" / "20260101-120000-quickstart"


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def _identities(events: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Of every finished cell: task -> cut -> identity."""
    found: dict[str, dict[str, str]] = {}
    for event in events:
        if event["type"] == "cell_finished":
            found.setdefault(event["task"], {})[event["cut"]] = event["identity"]
    return found


def test_every_cell_of_quickstart_is_identified_as_ever_and_taken_from_an_earlier_run(tmp_path: Path) -> None:
    shutil.copytree(EARLIER, tmp_path / EARLIER.name)
    networks = [f'networks.{name}={{checkpoint="{HERE}/networks/{name}.safetensors"}}' for name in ("seed0", "seed1")]
    changed = [word for setting in (*networks, "stitch.precision=float32") for word in ("--set", setting)]
    command = [sys.executable, "-m", "stitchtui", "run", "quickstart", *changed, "--controls", "self_stitch,identity"]
    done = subprocess.run(
        [*command, "--device", "cpu", "--threads", "1", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "STITCHTUI_RUNS": str(tmp_path)},
    )
    events = _events(done.stdout)
    expected = json.loads((HERE / "quickstart-cells.json").read_text("utf-8"))
    assert [task["id"] for event in events if event["type"] == "run_started" for task in event["tasks"]] == [*expected]
    assert _identities(events) == expected
    finished = [event for event in events if event["type"] == "cell_finished"]
    assert {event["reused_from"] for event in finished} == {EARLIER.name}
