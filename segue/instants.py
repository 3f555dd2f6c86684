"""Instants of columns and of Python, as microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segue.keys import decode_runs, value_type
from segue.lookup import Ints
from segue.publication_record import EPOCH

INSTANT = pa.timestamp("us", "UTC")
# Microseconds around 1970 that no day comes near; twice as many still fit into 64 bits.
AGES = 2**61
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
# After 400 years the calendar is the same again.
CYCLE = 146_097 * 86_400_000_000
UNIT_HINT = "cast the column from its numbers to the right unit"
# What instants are that come out so many times too late.
_TAKEN_FOR = {
    10**3: "milliseconds that are taken for seconds, or microseconds for milliseconds",
    10**6: "microseconds that are taken for seconds, or nanoseconds for milliseconds",
    10**9: "nanoseconds that are taken for seconds",
}


def to_micros(instant: datetime) -> int:
    """One without a zone is in UTC, as in all tables."""
    # in whole numbers: seconds as a double, times a million, can come out a microsecond short
    at = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (at - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


# The last instant of the calendar that Python, and so any day of a table, has.
END = to_micros(datetime.max.replace(tzinfo=UTC))


def find_last(column: pa.ChunkedArray) -> int | None:
    """In microseconds since 1970, exactly, however late; None where there is none."""
    integers, unit = _to_integers(column)
    if (last := pc.max(integers).as_py()) is None:
        return None
    return int(last // 1000 if unit == "ns" else last * UNITS[unit])


def describe_too_late(name: str, last: int) -> str | None:
    """What is wrong with a column of labels' instants where the last is after the year 9999; None for any other.

    Such labels would have the newest features that there are. Epochs of the wrong unit are as late, but for those from
    before 1978; what a clock may say of the future is no mistake.
    """
    if last <= END:
        return None
    year = from_micros(last % CYCLE).year + 400 * (last // CYCLE)
    factor = next(each for each in _TAKEN_FOR if last // each <= END)
    return (
        f"instants in {name!r} go up to the year {year}; expected none after 9999. They look like "
        f"{_TAKEN_FOR[factor]}: {factor:,} times less, the last is {from_micros(last // factor):%Y-%m-%d %H:%M:%S} UTC"
    )


def round_instants(column: pa.ChunkedArray) -> tuple[Ints, Ints]:
    """In microseconds since 1970, rounded down and up; null is before every day."""
    integers, unit = _to_integers(column)
    raw, absent = integers.fill_null(0).to_numpy(), integers.is_null().to_numpy()
    # Not cast by Arrow: it refuses to lose nanoseconds, and seconds of the far future overflow. Rounded down for the
    # newest day that had ended, and up for its age, so that neither is off by a part of a microsecond.
    if unit == "ns":
        down = raw // 1000
        up = down + (raw % 1000 != 0)
    else:
        most = AGES // UNITS[unit]
        down = up = np.clip(raw, -most, most) * UNITS[unit]
    return np.where(absent, -AGES, down), up


def _to_integers(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    """Instants as numbers since 1970, and their unit."""
    type_ = value_type(column.type)
    column = decode_runs(column).cast(INSTANT if pa.types.is_null(type_) else type_)
    return column.cast(pa.int64()), column.type.unit
