"""Instants of years that Python does not count cost no look at a file. No Spark."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.arrow_values import list_values
from jobs.file_heads import read_file_head

# milliseconds that were taken as seconds
FAR = 1_700_000_000_000 * 10**6
TABLE = pa.table(
    {
        "n": [1, 2],
        "at": pa.array([FAR, 0], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "on": pa.array([10**8, 0], pa.int32()).cast(pa.date32()),
    }
)
ROWS = [
    {"n": 1, "at": None, "on": None},
    {"n": 2, "at": datetime(1970, 1, 1, tzinfo=UTC), "on": date(1970, 1, 1)},
]


def test_values_that_python_has_none_for_are_none():
    assert list_values(TABLE) == ROWS
    assert list_values(TABLE.to_batches()[0]) == ROWS
    assert list_values(TABLE[:0]) == []


def test_head_of_a_parquet_file_with_such_an_instant_is_read(tmp_path):
    """`segue try`, and any step with `--source auto`, ended with an OverflowError."""
    pq.write_table(TABLE, tmp_path / "far.parquet")
    assert read_file_head(str(tmp_path / "far.parquet")).rows == ROWS
