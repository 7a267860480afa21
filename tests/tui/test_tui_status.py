"""The status line: how the run is and how far, and what goes first where there is little room."""

from pathlib import Path

import pytest
from made_events import event, whole_run

from stitchtui.run.directory import RunDirectory
from stitchtui.tui.watch import RunWatch
from stitchtui.tui.widgets.status import status_line


class Ear:
    def post_message(self, message):
        return True


def watching(condition, *said):
    watch = RunWatch(None, Ear())
    watch.directory, watch.condition = RunDirectory(Path("20260101-000000-tiny")), condition
    watch.state.apply_all(said)
    return watch


@pytest.mark.parametrize("width", range(40, 120, 5))
def test_the_warnings_stay_longer_than_the_device(width):
    watch = watching("done", event("warning", text="the data are few"), *whole_run())
    watch.state.device = "a graphics card with a long name"
    line = status_line(watch, width, 0.0).plain
    assert "1 warning" in line or watch.state.device not in line
    assert width < 80 or "1 warning" in line


def test_a_worker_that_starts_on_what_was_asked_of_a_done_run_begins_at_nothing():
    assert "starting  0%" in status_line(watching("starting", *whole_run()), 80, 0.0).plain


def test_a_run_that_has_measured_all_is_finishing():
    line = status_line(watching("running", *whole_run()[:-1]), 80, 0.0).plain
    assert "finishing" in line and "running" not in line
