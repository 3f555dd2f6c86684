"""Instants of columns and of Python, as microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from segue.keys import decode_runs, value_type
from segue.lookup import Ints
from segue.publication_record import EPOCH

INSTANT = pa.timestamp("us", "UTC")
# Microseconds around 1970 that no day comes near; twice as many still fit into 64 bits.
AGES = 2**61
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def to_micros(instant: datetime) -> int:
    """One without a zone is in UTC, as in all tables."""
    # in whole numbers: seconds as a double, times a million, can come out a microsecond short
    at = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (at - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def round_instants(column: pa.ChunkedArray) -> tuple[Ints, Ints]:
    """In microseconds since 1970, rounded down and up; null is before every day."""
    type_ = value_type(column.type)
    column = decode_runs(column).cast(INSTANT if pa.types.is_null(type_) else type_)
    integers = column.cast(pa.int64())
    raw, absent = integers.fill_null(0).to_numpy(), integers.is_null().to_numpy()
    # Not cast by Arrow: it refuses to lose nanoseconds, and seconds of the far future overflow. Rounded down for the
    # newest day that had ended, and up for its age, so that neither is off by a part of a microsecond.
    if column.type.unit == "ns":
        down = raw // 1000
        up = down + (raw % 1000 != 0)
    else:
        most = AGES // UNITS[column.type.unit]
        down = up = np.clip(raw, -most, most) * UNITS[column.type.unit]
    return np.where(absent, -AGES, down), up
