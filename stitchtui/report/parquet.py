"""Tables as Parquet, whose columns have types: pandas, polars, DuckDB and R read them as they are."""

import io
import math

from stitchtui.base.errors import BadInput
from stitchtui.report.columns import holds, meaning
from stitchtui.report.table import Entry, Table
from stitchtui.report.wording import printable


def rendered(of: Table) -> bytes:
    """The table with the columns of its CSV, each with its meaning; a number that isn't known or finite is null.

    Raises BadInput where pyarrow isn't installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise BadInput("Parquet needs pyarrow; install it with: pip install 'stitchtui[parquet]'") from None
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    names = [of.corner, *(heading.name for heading in of.columns)]
    rows = [(Entry(text=name), *entries) for name, entries in zip(of.rows, of.entries, strict=True)]
    fields = [pa.field(name, types[holds(name)], metadata={"description": meaning(name) or ""}) for name in names]
    columns = [
        pa.array([_text(row[k]) if field.type == pa.string() else _number(row[k]) for row in rows], field.type)
        for k, field in enumerate(fields)
    ]
    out = io.BytesIO()
    parquet.write_table(pa.table(columns, pa.schema(fields)), out)
    return out.getvalue()


def _text(entry: Entry) -> str:
    return printable(entry.text)


def _number(entry: Entry) -> float | None:
    return entry.number if entry.number is not None and math.isfinite(entry.number) else None
