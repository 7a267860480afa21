"""Every report of every recorded run is, to the character, what it was when it was recorded.

Where a change is meant to change them, `python tests/golden/record.py` writes them anew, and the diff is read.
"""

import pytest
from record import REPORTS, cases, difference, rendered

CASES = cases()


@pytest.mark.parametrize(("file", "words", "columns"), CASES, ids=[file for file, _, _ in CASES])
def test_a_recorded_run_is_reported_as_ever(file: str, words: tuple[str, ...], columns: int) -> None:
    found = difference((REPORTS / file).read_bytes().decode("utf-8"), rendered(words, columns), file)
    assert not found, f"stitchtui {' '.join(words)}\n{found}"


def test_every_expected_report_is_compared() -> None:
    assert {str(path.relative_to(REPORTS)) for path in REPORTS.rglob("*") if path.is_file()} == {c[0] for c in CASES}
