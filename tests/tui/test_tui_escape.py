"""What a terminal sends, read as the keys that were pressed."""

import pytest
from textual._xterm_parser import XTermParser

from stitchtui.tui.escape import read_escape_as_escape


def keys(*reads):
    """The keys in what is read, one read after the other; None is a while in which nothing comes."""
    parser, found = XTermParser(), []
    for read in reads:
        if read is None:
            parser._timeout_time = 0.0
        found += parser.tick() if read is None else parser.feed(read)
    return [event.key for event in found]


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        (["/b\x1bjl\x1b[B"], "slash b escape j l down"),
        (["\x1b\r\x1b\x1b[B\x1b q"], "escape enter escape down escape space q"),
        (["\x1b", None, "j", "\x1b\x1b", None, "n"], "escape j escape escape n"),
        (["\x1b", "j", "\x1b", "[B", "\x1b[", "B"], "escape j down down"),
    ],
)
def test_escape_is_escape_whatever_comes_with_it(reads, expected):
    read_escape_as_escape()
    assert keys(*reads) == expected.split()


def test_what_is_pasted_is_no_keys():
    read_escape_as_escape()
    parser = XTermParser()
    events = [*parser.feed("\x1b[200~a"), *parser.feed("b q\x1b[201~"), *parser.feed("c")]
    assert [type(event).__name__ for event in events] == ["Paste", "Key"]
