import pytest

from stitchtui.spec.controls import Control


def test_a_control_says_which_evidence_it_is_or_none() -> None:
    assert Control("a", "a", evidence="random_top").evidence == "random_top"
    with pytest.raises(ValueError, match="evidence: 'randm_top' is not known; nearest: 'random_top'"):
        Control("a", "a", evidence="randm_top")
