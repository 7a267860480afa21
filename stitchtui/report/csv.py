"""Tables as CSV, for programs and spreadsheets."""

import csv
import io
import math
import unicodedata

from stitchtui.report.table import Entry, Table
from stitchtui.report.wording import printable


def rendered(of: Table) -> str:
    """The table with a header; of an interval its middle.

    Floats are written so that reading them gives the same float; what isn't known or finite is empty. A text that a
    spreadsheet would take for a formula starts with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_inert, [of.corner, *(heading.name for heading in of.columns)]))
    for name, row in zip(of.rows, of.entries, strict=True):
        writer.writerow([_inert(name), *map(_said, row)])
    return out.getvalue()


def _said(entry: Entry) -> str:
    number = entry.interval.value if entry.interval else entry.number
    if number is None:
        return _inert(entry.text)
    return repr(number) if math.isfinite(number) else ""


def _inert(text: str) -> str:
    clean = printable(text)
    # Some spreadsheets strip blanks first, and some take the full-width signs for the plain ones.
    first = unicodedata.normalize("NFKC", clean).lstrip()[:1]
    return "'" + clean if first and first in "=+-@" else clean
