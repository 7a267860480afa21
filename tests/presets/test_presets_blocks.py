"""Pages whose blocks a command fills: what is a block, and that nothing else is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results import OVERVIEW, Page

from stitchtui.base.errors import BadInput

TEXT = """# Page
Prose with <!-- end --> inside a line.
<!-- results -->
<!-- end -->
More.
<!-- results: a b, scale mini -->
old
<!-- end -->
Last."""


def test_blocks_are_called_as_their_markers_say_in_the_pages_order():
    page = Page(TEXT, "page.md")
    assert page.keys == [OVERVIEW, "a b, scale mini"]
    assert page.content("a b, scale mini") == ["old"]


def test_only_the_block_that_is_named_is_filled():
    text = Page(TEXT, "page.md").filled({"a b, scale mini": ["new", "", "lines"]})
    assert text == TEXT.replace("old\n", "\nnew\n\nlines\n\n")


def test_a_page_with_windows_line_ends_keeps_them_and_has_them_in_its_blocks():
    text = Page(TEXT.replace("\n", "\r\n"), "page.md").filled({OVERVIEW: ["new"]})
    assert text == TEXT.replace("results -->\n", "results -->\n\nnew\n\n", 1).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\n<!-- results: x -->\n", "line 2: this block has no end; expected a line <!-- end -->"),
        ("<!-- end -->\n", "line 1: <!-- end --> ends no block"),
        ("<!-- results: x -->\n<!-- results: y -->\n", "line 2: a block begins inside that of line 1"),
        ("<!-- results -->\n<!-- end -->\n" * 2, "line 3: a second block for ''; expected one"),
    ],
)
def test_a_marker_without_its_partner_is_named_with_its_line(text, complaint):
    with pytest.raises(BadInput) as caught:
        Page(text, "page.md")
    assert str(caught.value) == f"page.md: {complaint}"


PROSE = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<"), max_size=20), max_size=4).map("\n".join)
LINES = st.lists(st.text(st.sampled_from("abc |*#"), max_size=9), max_size=4)


@given(st.lists(PROSE, min_size=3, max_size=3), LINES, LINES)
def test_whatever_stands_around_blocks_is_kept_and_filling_twice_is_filling_once(prose, first, second):
    text = f"{prose[0]}\n<!-- results: a -->\n<!-- end -->\n{prose[1]}\n<!-- results: b -->\n<!-- end -->\n{prose[2]}"
    filled = Page(text, "page.md").filled({"a": first, "b": second})
    assert Page(filled, "page.md").filled({"a": first, "b": second}) == filled
    page = Page(filled, "page.md")
    assert [line for line in page.content("a") if line] == [line for line in first if line]
    assert filled.startswith(f"{prose[0]}\n<!-- results: a -->\n")
    assert filled.endswith(f"<!-- end -->\n{prose[2]}")
