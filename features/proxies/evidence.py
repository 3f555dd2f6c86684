"""What is known of each row n days after its instant, as numbers; NaN where it is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.proxies.measures import Flags, Floats
from schemas.operations import window_days
from schemas.outcomes import Outcome

# At these, a trace is measured where no other days are requested.
TRACE_DAYS = (1, 2, 3, 7, 14, 30)
NUMBERS = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
# What all signals say that are known by then; no column can be named so in a declaration.
TOGETHER = "(together)"


class ProxyError(ValueError):
    """Columns of which no proxy can be measured; the text says what was expected."""


@dataclass(frozen=True)
class Signal:
    """A column, and the days after a row's instant from which on it is known: those that its name says, else 0."""

    column: str
    days: int

    @classmethod
    def parse(cls, text: str) -> Signal:
        """Of `replayed_1d`, or of `streams:1` where the name does not say it.

        Raises:
            ProxyError: the days are no number.
        """
        column, separator, days = text.rpartition(":")
        if not separator:
            return cls(text, find_days(text) or 0)
        if not days.isascii() or not days.isdigit():
            raise ProxyError(
                f"{text}: {days!r} are no days; expected COLUMN or COLUMN:DAYS, as saved or streams:1"
            )
        return cls(column, int(days))


def find_days(column: str) -> int | None:
    """The horizon that a column's name says: 59 of `sticky_59d`, of an outcome the days that it reaches."""
    # a trend ahead compares the time after a row with as long a time after that
    if outcome := re.fullmatch(r"(\w+?)__(\w+)_next_([1-9][0-9]{0,4}d)", column):
        return window_days(Outcome(f"{outcome[1]}:{outcome[2]}", outcome[3]).reach)
    match = re.search(r"_(\d{1,5})d$", column)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class Evidence:
    """A signal as it stands so many days after the instant: rows x columns. A trace has a column for each day."""

    signal: str
    days: int
    columns: Floats

    @property
    def is_known(self) -> Flags:
        return np.asarray(np.isfinite(self.columns).all(axis=1))


def collect_evidence(
    table: pa.Table, signals: Sequence[Signal], days_observed: Sequence[int], horizon: int | None = None
) -> list[Evidence]:
    """Each signal when it becomes known, each trace on each of the days, and on each of the days what is known by then.

    A trace is a column of lists, of which value n is of day n, from 1; it is known for n days where it has n values.

    Args:
        days_observed: if there are none, those on which a signal becomes known.
        horizon: days after which the target is known, None where it is not known when.

    Raises:
        ProxyError: days on which the target is known.
    """
    traces = [each for each in signals if is_trace(table.schema.field(each.column).type)]
    single = [each for each in signals if each not in traces]
    chosen = _choose_days(traces, days_observed, horizon)
    days = sorted({*chosen, *(() if days_observed else (each.days for each in single))})
    own = [Evidence(each.column, each.days, read_numbers(table, each.column)[:, None]) for each in single]
    own += [
        Evidence(each.column, n, read_trace(table, each.column, n)) for each in traces for n in days if n > 0
    ]
    return own + list(_join(own, days))


def _choose_days(traces: Sequence[Signal], requested: Sequence[int], horizon: int | None) -> list[int]:
    """Those requested, else of a trace those of `TRACE_DAYS` that end before the target is known."""
    days = sorted(requested or (TRACE_DAYS if traces else ()))
    late = [n for n in days if horizon is not None and n >= horizon]
    if late and (requested or late == days):
        what = traces[0].column if traces else TOGETHER
        raise ProxyError(
            f"{what} on day {late[0]} is known no earlier than the target, on day {horizon}; expected days before that"
        )
    return [n for n in days if n not in late]


def _join(own: Sequence[Evidence], days: Sequence[int]) -> Iterator[Evidence]:
    """What is known by each day, of a trace its longest part; nothing where that is one signal alone."""
    for n in days:
        newest = {each.signal: each for each in sorted(own, key=lambda each: each.days) if each.days <= n}
        if len(newest) > 1:
            yield Evidence(TOGETHER, n, np.hstack([each.columns for each in newest.values()]))


def is_trace(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def read_numbers(table: pa.Table, column: str) -> Floats:
    """NaN for null, and for what is no finite number.

    Raises:
        ProxyError: texts, instants or others that are no numbers.
    """
    return _to_floats(table[column].combine_chunks(), column)


def read_trace(table: pa.Table, column: str, days: int) -> Floats:
    """The first values of lists, rows x days; a row is NaN from its end on, and one column where no list is so long.

    Raises:
        ProxyError: lists of other things than numbers.
    """
    lists = table[column].combine_chunks()
    if days > (pc.max(pc.list_value_length(lists)).as_py() or 0):
        # known of no row, so that any number of days costs one column
        return np.full((len(lists), 1), np.nan)
    is_valid = lists.is_valid().to_numpy(zero_copy_only=False)
    values = np.full((len(lists), days), np.nan)
    # shorter ones are filled up with nulls
    first = pc.list_slice(lists.drop_null(), 0, days, return_fixed_size_list=True)
    values[is_valid] = _to_floats(first.flatten(), column).reshape(-1, days)
    return values


def _to_floats(values: pa.Array, column: str) -> Floats:
    kind = values.type
    # a column without a value can have the type null
    checks = (*NUMBERS, pa.types.is_null)
    if not any(check(kind) for check in checks):
        raise ProxyError(
            f"column {column} is of type {kind}; expected numbers, true and false, or lists of them"
        )
    # Arrow has no cast from true and false to floats, nor from half floats
    whole = values.cast(pa.int8()) if pa.types.is_boolean(kind) else values
    # and by default refuses whole numbers of more digits than a float has, of which none matters here
    numbers = whole.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(numbers), numbers, np.nan)
