"""What a preset's claims may say: every mistake is one line that names file and key; every sentence is plain."""

from typing import Any, get_args

import pytest
from claimed_run import experiment
from pydantic import ValidationError

from stitchtui.base.errors import BadInput
from stitchtui.report import claim_judging, claim_words
from stitchtui.report.claim_numbers import name_of
from stitchtui.report.claim_words import sentence
from stitchtui.spec import claims
from stitchtui.spec.claims import ClaimSpec, ColumnSpec
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.presets import load_preset

PRESET = """
[networks.a]
architecture = "digits_cnn"
[networks.b]
architecture = "digits_cnn"
[[pairs]]
bottom = "a"
top = "b"
"""


def complaint(tmp_path, claim):
    path = tmp_path / "mine.toml"
    path.write_text(PRESET + "[[claims]]\n" + claim)
    with pytest.raises(BadInput) as caught:
        load_preset(str(path))
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ('kind = "at_mots"', "claims.0.kind: 'at_mots' is not known; nearest: 'at_most'"),
        ('kind = "at_most"\ncolumns = ["a > b"]\nvaleu = 3', "claims.0.valeu: 'valeu' is not known; nearest: 'value'"),
        (
            'kind = "at_most"\ncolumns = ["a > b"]',
            "claims.0.value: a claim of kind 'at_most' needs it, a number of points",
        ),
        (
            'kind = "peak"\ncolumns = ["a > b"]\nbetween = [0.4, 0.7]\nvalue = 3',
            "claims.0.value: a claim of kind 'peak' has no such key; it knows: columns, between, kind, source",
        ),
        ('kind = "below"\ncolumns = ["a > b"]', "claims.0.columns: a claim of kind 'below' needs 2 or more, got 1"),
        (
            'kind = "error_gap"\nnetworks = ["a", "b", "a"]\nvalue = 3',
            "claims.0.networks: a claim of kind 'error_gap' needs 2, got 3",
        ),
        (
            'kind = "peak"\ncolumns = ["a > b"]\nbetween = [0.7, 0.4]',
            "claims.0.between: expected two depths, 0 <= first < second <= 1, got [0.7, 0.4]",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > c"]\nvalue = 3',
            "claims.0.columns.0: 'a > c' is not known; nearest: 'a > b'",
        ),
        (
            'kind = "error_gap"\nnetworks = ["a", "bb"]\nvalue = 3',
            "claims.0.networks: 'bb' is not known; nearest: 'b'",
        ),
        (
            'kind = "at_most"\ncolumns = [{ pair = "a > b", control = "random_botom" }]\nvalue = 3',
            "claims.0.columns.0.control: 'random_botom' is not known; nearest: 'random_bottom'",
        ),
        (
            'kind = "at_most"\ncolumns = [{ pair = "a > b", contrl = "x" }]\nvalue = 3',
            "claims.0.columns.0.contrl: 'contrl' is not known; nearest: 'control'",
        ),
        (
            'kind = "at_most"\ncolumns = [{ pair = "a > b", stitch = { famliy = "conv3" } }]\nvalue = 3',
            "claims.0.columns.0.stitch.famliy: 'famliy' is not known; nearest: 'family'",
        ),
        (
            'kind = "at_most"\ncolumns = [{ pair = "a > b", stitch = { family = "conv33" } }]\nvalue = 3',
            "claims.0.columns.0.stitch.family: 'conv33' is not known; nearest: 'conv3'",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\ncuts = { past = 2 }',
            "claims.0.cuts.past: expected a number at most 1, got 2",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\ncuts = { past = 0.5, until = 0.2 }',
            "claims.0.cuts: expected past <= until, got 0.5 and 0.2",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\nwhere = { at_most = 1, at_least = 0 }',
            "claims.0.where: expected one of at_most and at_least, got both",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\nwhere = { measure = "cka" }',
            "claims.0.where: expected one of at_most and at_least, got neither",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\nwhere = { measure = "cka", at_most = 3 }',
            "claims.0.where.at_most: expected a CKA, 0 to 1, got 3",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nmeasure = "cka"\nvalue = 90',
            "claims.0.value: expected a CKA, 0 to 1, got 90",
        ),
        (
            'kind = "below"\ncolumns = ["a > b", { pair = "a > b" }]',
            "claims.0.columns: expected two that differ, got one beside itself",
        ),
        (
            'kind = "error_gap"\nnetworks = ["a", "a"]\nvalue = 3',
            "claims.0.networks: expected two that differ, got one beside itself",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\nwhere = { measure = "ckka", at_most = 1 }',
            "claims.0.where.measure: 'ckka' is not known; nearest: 'cka'",
        ),
        (
            'kind = "peak"\ncolumns = ["a > b"]\nbetween = [0.4, 0.7]\nwhere = { at_most = 1 }',
            "claims.0.where: a claim of kind 'peak' has no such key; it knows: columns, between, kind, source",
        ),
        (
            'kind = "at_most"\ncolumns = ["a > b"]\nvalue = 3\ncuts = "diagnal"',
            "claims.0.cuts: 'diagnal' is not known; nearest: 'diagonal'",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path, claim, expected):
    assert complaint(tmp_path, claim) == expected


def test_a_claim_may_be_wrong_about_nothing_else():
    with pytest.raises(ValidationError):
        ClaimSpec(kind="at_most", columns=("a > b",), value=1, cuts=())


EXAMPLES: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": "at_most", "columns": ["a > c"], "value": 3.5},
        "penalty of a > c is at most 3.5 points at every cut",
    ),
    (
        {"kind": "at_most", "columns": ["a > c", "b > c"], "value": 3, "cuts": {"until": 0.2}},
        "penalty of each of a > c and b > c is at most 3 points at every cut up to 0.2 of the depth",
    ),
    (
        {"kind": "at_least", "columns": [{"pair": "a > c", "control": "random_bottom"}], "value": 9, "at": "some",
         "cuts": {"past": 0.4}},
        "penalty of random(a) > c is at least 9 points at some cut from 0.4 of the depth on",
    ),
    (
        {"kind": "at_most", "columns": ["a > c"], "value": 0.1, "measure": "cka", "cuts": {"past": 0.3, "until": 0.6}},
        "CKA of a > c is at most 0.1 at every cut between 0.3 and 0.6 of the depth",
    ),
    (
        {"kind": "at_most", "columns": ["a > c"], "value": 0.1, "measure": "cka", "where": {"at_most": 0}},
        "CKA of a > c is at most 0.1 at every cut, where its penalty is at most 0 points",
    ),
    (
        {"kind": "below", "columns": ["a > c", "b > c"], "measure": "cka", "where": {"at_most": 3.3}},
        "CKA of a > c is below that of b > c, at every cut, where the penalty of a > c is at most 3.3 points",
    ),
    (
        {"kind": "at_least", "columns": ["a > c"], "value": 3, "where": {"measure": "cka", "at_least": 0.9},
         "at": "some"},
        "penalty of a > c is at least 3 points at some cut, where its CKA is at least 0.9",
    ),
    (
        {"kind": "below", "columns": ["a > c", {"pair": "a > c", "control": "self_stitch"}], "by": 10},
        "penalty of a > c is below that of c > c (self-stitch), by at least 10 points, at every cut",
    ),
    (
        {"kind": "below", "columns": ["a > c", "b > c", "a > c"], "cuts": ["one", "two"]},
        "penalty of a > c is below that of b > c, which is below that of a > c, at one and two",
    ),
    (
        {"kind": "within", "columns": ["a > c", {"pair": "a > c", "stitch": {"family": "conv3"}}], "value": 2},
        "penalty of a > c and a > c (conv3) differ by at most 2 points at every cut",
    ),
    (
        {"kind": "peak", "columns": ["a > c"], "between": [0.4, 0.75]},
        "penalty of a > c is largest between 0.4 and 0.75 of the depth",
    ),
    (
        {"kind": "rises", "columns": ["a > c"], "slack": 1},
        "penalty of a > c rises with depth: nowhere is it lower than at a cut before by more than 1 points, and it ends"
        " higher than it begins",
    ),
    (
        {"kind": "falls", "columns": ["a > c"], "by": 5, "cuts": {"past": 0.2}},
        "penalty of a > c falls with depth: nowhere is it higher than at a cut before, and it ends lower than it begins"
        " by at least 5 points, at every cut from 0.2 of the depth on",
    ),
    (
        {"kind": "jumps", "columns": ["a > c"], "between": [0.26, 0.37], "by": 40},
        "penalty of a > c rises by at least 40 points between 0.26 and 0.37 of the depth",
    ),
    (
        {"kind": "error_gap", "networks": ["a", "b"], "value": 3},
        "test error of a is at most 3 points above that of b",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "expected"), EXAMPLES)
def test_a_claim_says_what_it_claims_in_one_plain_sentence(claim, expected):
    assert sentence(ClaimSpec.model_validate(claim)) == expected


def test_every_kind_has_a_grammar_a_sentence_and_a_judge():
    kinds = set(get_args(claims.Kind))
    assert kinds == set(claims.GRAMMAR) == set(claim_words._SENTENCES) == set(claim_judging._KINDS)
    assert kinds == {claim["kind"] for claim, _ in EXAMPLES}


@pytest.mark.parametrize("claim", [claim for claim, _ in EXAMPLES])
def test_a_claim_survives_being_written_out_and_read_again(claim):
    made = experiment([claim])
    assert Experiment.model_validate(made.plain()).claims == made.claims


def test_a_column_is_named_as_the_grid_names_it():
    assert name_of(ColumnSpec(pair="a > c")) == "a > c"
    assert name_of(ColumnSpec(pair="a > c", control="freeze_training")) == "a > a (freeze training)"
    assert name_of(ColumnSpec(pair="a > c", stitch={"train_on": "top"})) == "a > c (train_on top)"
