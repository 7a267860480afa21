"""What is said of the CSV's columns stays in step with the columns that there are."""

import csv
import io

from stitchtui.report.columns import columns as csv_columns
from stitchtui.report.columns import columns_text, meaning
from stitchtui.report.export import csv_text
from stitchtui.run.state import RunState


def test_every_column_that_a_csv_always_has_is_explained_in_its_order():
    header = next(csv.reader(io.StringIO(csv_text(RunState()))))
    assert header == list(csv_columns())


def test_a_later_cut_of_the_top_has_a_column_that_is_explained_once():
    assert meaning("gap at layer3.0") == meaning("gap at fc")
    assert meaning("nonsense") is None


def test_the_explanation_is_a_table_with_a_line_for_each():
    lines = columns_text().splitlines()
    assert lines[0] == "| column | holds |"
    assert len(lines) == 2 + len(csv_columns()) + 1
    assert {line.count("|") for line in lines} == {3}
