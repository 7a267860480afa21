"""The schema by which editors check a preset, against the presets and against what a run would refuse."""

import tomllib

import pytest
from jsonschema import Draft202012Validator

from stitchtui.spec.controls import control_names
from stitchtui.spec.families import ALL_RUNGS, FAMILIES
from stitchtui.spec.presets import list_presets, load_preset
from stitchtui.spec.schema import experiment_schema

SCHEMA = experiment_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
PAIR = {"networks": {"a": {"architecture": "resnet20"}}, "pairs": [{"bottom": "a", "top": "a"}]}


def test_it_is_a_schema_whose_every_key_has_a_description():
    Draft202012Validator.check_schema(SCHEMA)
    tables = {"": SCHEMA, **SCHEMA["$defs"]}
    keys = {f"{table}.{key}": said for table, each in tables.items() for key, said in each["properties"].items()}
    assert [key for key, said in keys.items() if not (said.get("description") or key.startswith("Scale."))] == []
    assert "StitchSpec.epochs" in keys and "StitchSpec.views" not in keys


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.name)
def test_every_preset_and_what_a_run_of_it_writes_out_are_valid(preset):
    assert list(VALIDATOR.iter_errors(tomllib.loads(preset.path.read_text("utf-8")))) == []
    resolved = load_preset(preset.name, preset.scales[-1] if preset.scales else None).plain()
    assert list(VALIDATOR.iter_errors(resolved)) == []


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"networks": PAIR["networks"]},
        {**PAIR, "stich": {}},
        {**PAIR, "stitch": {"family": "afine"}},
        {**PAIR, "stitch": {"epochs": 0}},
        {**PAIR, "controls": ["rand_bottom"]},
        {**PAIR, "data": {"name": "cifar"}},
        {**PAIR, "scales": {"mini": {"epsilonn": 3}}},
    ],
)
def test_what_a_run_would_refuse_is_not_valid(said):
    assert list(VALIDATOR.iter_errors(PAIR)) == []
    assert list(VALIDATOR.iter_errors(said))


def test_choices_are_those_that_are_installed():
    assert SCHEMA["$defs"]["StitchSpec"]["properties"]["family"]["enum"] == [*FAMILIES, ALL_RUNGS]
    assert SCHEMA["properties"]["controls"]["items"]["enum"] == list(control_names())
