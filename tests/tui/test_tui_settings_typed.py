"""What completes settings, from the experiment's schema."""

import pytest

from stitchtui.spec.experiment import Experiment, StitchSpec
from stitchtui.tui.widgets.settings_typed import Settings, known_settings


def test_every_key_of_the_stitch_and_of_the_run_is_known_and_those_with_choices_say_them():
    known = known_settings()
    assert {f"stitch.{name}" for name in StitchSpec.model_fields} <= known.keys()
    assert {"epsilon", "data.augment", "evaluation_batch"} <= known.keys()
    assert known["stitch.frozen_bn"] == ("eval", "batch")
    assert known["stitch.scaled_steps"] == ("true", "false")
    tables = ("networks", "pairs", "also", "claims")
    assert not any(key == name or key.startswith(f"{name}.") for key in known for name in tables)
    assert all(key.partition(".")[0] in Experiment.model_fields for key in known)


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("sti", "stitch."),
        ("stitch.froz", "stitch.frozen_bn="),
        ("stitch.frozen_bn=b", "stitch.frozen_bn=batch"),
        ("stitch.l1=0.1; epsi", "stitch.l1=0.1; epsilon="),
        ("stitch.frozen_bn=batch", None),
        ("nothing", None),
        ("stitch.l1=0.1; ", None),
    ],
)
def test_a_setting_is_completed_part_by_part(typed, whole):
    assert Settings().complete(typed) == whole


def test_what_can_follow_is_said_while_a_setting_is_typed():
    hint = Settings().hint
    assert hint("stitch.frozen_bn=") == "eval, batch"
    assert "frozen_bn=" in hint("stitch.f") and "stitch.l1=" not in hint("stitch.f")
    assert hint("stitch.frozen_bn=batch") == hint("stitch.l1=0.1") == hint("nothing") == ""
