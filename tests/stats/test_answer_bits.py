"""Which images are answered wrongly, packed: what goes in comes out, and two are compared image by image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import paired_interval

answers = st.lists(st.booleans(), min_size=1, max_size=200)
two = st.integers(1, 200).flatmap(lambda n: st.tuples(*[st.lists(st.booleans(), min_size=n, max_size=n)] * 2))


@given(answers)
def test_what_a_log_carries_is_read_back(wrong: list[bool]) -> None:
    packed = AnswerBits.of(wrong)
    assert AnswerBits.read(packed.text, len(wrong)) == packed
    assert packed.bits.bit_count() == sum(wrong)
    assert len(packed.text) <= len(wrong) / 6 + 4


@given(two)
def test_a_difference_counts_the_images_that_one_alone_gets_wrong(both: tuple[list[bool], list[bool]]) -> None:
    first, second = both
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    found = AnswerBits.of(first).less(AnswerBits.of(second))
    assert found == paired_interval(len(first), only_first, only_second)
    assert found.value == pytest.approx(100 * (sum(first) - sum(second)) / len(first))


@given(answers)
def test_an_error_less_itself_is_0(wrong: list[bool]) -> None:
    found = AnswerBits.of(wrong).less(AnswerBits.of(wrong))
    assert found.value == 0
    assert found.low == -found.high


@pytest.mark.parametrize("text, images", [("", 8), ("!", 8), ("/w==", 7), ("/w==", 0), ("/w==", None), ("/w==", 8.5)])
def test_what_is_not_of_so_many_images_is_none(text: str, images: float | None) -> None:
    assert AnswerBits.read(text, images) is None


def test_other_images_are_not_compared() -> None:
    with pytest.raises(ValueError, match="8 and 9 images"):
        AnswerBits(8, 0).less(AnswerBits(9, 0))
