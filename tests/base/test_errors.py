"""Errors that code can ask what they are about."""

import copy
import pickle

import pytest

from stitchtui.base.errors import BadInput, WrongKey
from stitchtui.spec.presets import from_document, load_preset


def test_the_line_begins_with_the_field_and_what_was_given():
    error = BadInput.at("--set", "expected KEY=VALUE", "a\x1b[1mb")
    assert str(error) == "--set a?[1mb: expected KEY=VALUE"
    assert (error.field, error.what) == ("--set", "a?[1mb: expected KEY=VALUE")
    assert str(BadInput.at("data.name", "no such folder")) == "data.name: no such folder"


def test_a_line_about_no_key_has_no_field():
    error = BadInput("run x: is done")
    assert (str(error), error.field, error.what) == ("run x: is done", None, "run x: is done")


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_the_field_stays_with_a_copy(again):
    assert again(BadInput.at("--cuts", "expected names")).field == "--cuts"


def test_a_check_of_a_table_names_one_key_or_several_that_contradict_each_other():
    assert str(WrongKey("expected a `checkpoint`", "part")) == "part: expected a `checkpoint`"
    both = WrongKey("family 'identity' can't have start 'random'", "start", "family")
    assert (str(both), both.keys) == ("family 'identity' can't have start 'random'", ("start", "family"))


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["stitch.epoks=3"], "--set"),
        (["stitch.seeds=[1, 1]"], "--set"),
        (["stitch.objective=direct", "stitch.family=mlp"], "--set"),
        (["networks.a.nothing=1"], "--set"),
    ],
)
def test_what_is_laid_over_a_preset_is_at_fault_itself(overrides, field):
    with pytest.raises(BadInput) as caught:
        load_preset("quickstart", overrides=overrides)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"stitch": {"epoks": 3}}, "stitch.epoks"),
        ({"stitch": {"seeds": [1, 1]}}, "stitch.seeds"),
        ({"stitch": {"objective": "direct", "family": "mlp"}}, "stitch.objective"),
        ({"stitch": {"family": "permutation"}}, "stitch.family"),
        ({"networks": {"x.pth": {"architecture": "vit", "part": "ema"}}}, 'networks."x.pth".part'),
        ({"pairs": [{"bottom": "a", "top": "c"}]}, "pairs.0.top"),
        ({"scale": 3}, "scale"),
    ],
)
def test_what_a_document_says_is_at_fault_by_its_key(changed, field):
    document = {
        "name": "x",
        "networks": {"a": {"architecture": "vit"}, "b": {"architecture": "vit"}},
        "pairs": [{"bottom": "a", "top": "b"}],
    }
    with pytest.raises(BadInput) as caught:
        from_document({**document, **changed})
    assert caught.value.field == field
