"""Impressions of a release: the requests of ranking sets, whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError, list_names
from segue.instants import (
    AGES,
    UNIT_HINT,
    describe_too_late,
    find_last,
    from_micros,
    round_instants,
    to_micros,
)
from segue.keys import count_nulls, is_text, read_texts, replace_views, to_text
from segue.lookup import Ints, Key
from segue.storage import DataFile, Snapshot

Flags = NDArray[np.bool_]

KEY, REQUEST, LISTENER, AT, POSITION = "impression_id", "request_id", "user_id", "shown_at", "position"
# Whether a label is known; as in columns that `segue training-set` writes.
RIPE, UNRIPE, CENSORED = STATUSES = ("ripe", "unripe", "censored")
# Of `impression_rewards`: before it is ripe, nothing is known of what an impression led to.
FIRST_STATUS = "status_0d"
DAY = 86_400_000_000


def status_name(label: str) -> str:
    """The column that says whether values of a label are known, should there be one."""
    outcome = re.fullmatch(r"(\w+?)__(\w+)_next_(\d+)d", label)
    if outcome is None:
        return f"{label}_status"
    # a trend compares the time after a label with as long a time after that
    days = int(outcome[3]) * (2 if outcome[2].endswith("_trend") else 1)
    return f"{outcome[1]}__status_next_{days}d"


def horizon_status_name(label: str) -> str | None:
    """The same column as tables of rewards have it, by the days that the label's name ends with: `returns_7d`."""
    horizon = re.search(r"_(\d+d)$", label, re.ASCII)
    return f"status_{horizon[1]}" if horizon else None


# --- which are read


def find_impressions(
    snapshot: Callable[[str], Snapshot],
    impressions: str | pa.Table,
    days: tuple[date | str, date | str] | None,
) -> pa.Table:
    """The rows of a table of the release, or those that are given, which `days` are not of; without views.

    Raises:
        UsageError: no table, one without requests, or days that are none.
        SegueError: a request of these days lasts for a day or longer.
    """
    if isinstance(impressions, str):
        table = snapshot(impressions)
        names = [name for name in table.names(None) if name not in ("ds", "available_at")]
        _check_requests(names, f"table {table.name}")
        return _read(table, names, None if days is None else _read_days(days))
    if not isinstance(impressions, pa.Table):
        raise UsageError(
            f"impressions are the name of a table or a pyarrow.Table; got {type(impressions).__name__}",
            "pyarrow.Table.from_pandas makes one",
        )
    if days is not None:
        raise UsageError("days are of a table of the release", "filter the rows by whole requests")
    check_names(impressions.column_names)
    _check_requests(impressions.column_names, "the given table")
    return replace_views(impressions)


def check_order(rows: pa.Table, group: str, at: str) -> None:
    """Raises UsageError where a row has no request or no instant, or what requests and their rows are in the order of
    is of another type."""
    type_ = rows.schema.field(at).type
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    if not (pa.types.is_timestamp(plain) or pa.types.is_null(plain)):
        raise UsageError(f"rows need {at!r} as timestamps; got {type_}", "make them of it, in UTC")
    if POSITION in rows.column_names and not is_number(type_ := rows.schema.field(POSITION).type):
        # as text 10 comes before 9
        hint = "make numbers of it, or give the column another name"
        raise UsageError(f"rows are in the order of {POSITION!r}, a number; got {type_}", hint)
    for name in (group, at):
        if nulls := count_nulls(rows[name]):
            raise UsageError(f"{nulls:,} of {rows.num_rows:,} rows have no {name!r}; every row needs it")
    last = find_last(rows[at])
    if last is not None and (problem := describe_too_late(at, last)):
        raise UsageError(f"rows: {problem}", UNIT_HINT)


def is_number(type_: pa.DataType) -> bool:
    # a column that nobody filled in is of nulls; half floats are sorted by nobody
    kinds = (
        pa.types.is_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_decimal,
        pa.types.is_null,
    )
    return any(kind(type_) for kind in kinds)


def check_names(names: Sequence[str]) -> None:
    """Raises UsageError where a name is that of several columns: Arrow allows that, and reads none of them by it."""
    if several := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"rows have several columns named {list_names(several)}; expected one of each name",
            "rename or leave out the others",
        )


def _check_requests(names: Sequence[str], what: str) -> None:
    if missing := [name for name in (REQUEST, AT) if name not in names]:
        raise UsageError(f"{what} has no {', '.join(missing)}, so that it holds no impressions")


def _read_days(days: tuple[date | str, date | str]) -> tuple[date, date]:
    try:
        first, last = (date.fromisoformat(str(each)) for each in days)
    except (TypeError, ValueError):
        first, last = date.max, date.min
    if first > last:
        raise UsageError(
            f"days are the first and the last, such as ('2026-11-01', '2026-11-20'); got {days!r}"
        )
    return first, last


def _read(snapshot: Snapshot, names: Sequence[str], days: tuple[date, date] | None) -> pa.Table:
    if days is None:
        rows = snapshot.read(snapshot.files, names)
        check_order(rows, REQUEST, AT)
        requests, begin, end = _find_spans(rows)
        _check_spans(requests, begin, end)
        return rows
    # a request at midnight has rows on two days; which is its own is only known with both
    first, last = (to_midnight(day) // DAY for day in days)
    near = list_files(snapshot, range(first - 1, last + 2))
    # and one whose other rows lie a day further off, or whose id is used again each day, would be cut unseen
    read = {file.path for file in near}
    around = [f for f in list_files(snapshot, range(first - 2, last + 3)) if f.path not in read]
    return _keep_requests(snapshot.read(near, names), snapshot.read(around, [REQUEST, AT]), *days)


def list_files(snapshot: Snapshot, days: Collection[int]) -> list[DataFile]:
    """Of days, each as days since 1970: numbers go on where the calendar of Python ends."""
    return [file for file in snapshot.files if to_midnight(file.partition["ds"]) // DAY in days]


def _keep_requests(rows: pa.Table, around: pa.Table, first: date, last: date) -> pa.Table:
    """The rows of requests that began on these days; `around` has requests and instants of rows further off."""
    seen = pa.concat_tables([rows.select([REQUEST, AT]), around])
    check_order(seen, REQUEST, AT)
    requests, begin, end = _find_spans(seen)
    opens, closes = to_midnight(first), to_midnight(last) + DAY
    # one that is none of these days', however long it lasts, is nobody's concern here
    _check_spans(requests, begin, end, (begin < closes) & (end >= opens))
    is_of_days = (begin >= opens) & (begin < closes)
    return rows.filter(pa.array(is_of_days[requests.codes[: rows.num_rows]]))


def _find_spans(rows: pa.Table) -> tuple[Key, Ints, Ints]:
    """Requests, and the first and the last instant of each."""
    requests, at = Key.of(read_texts(rows, REQUEST, "the rows")), round_instants(rows[AT])[0]
    begin, end = (reduce_by(ufunc, requests, at) for ufunc in (np.minimum, np.maximum))
    return requests, begin, end


def _check_spans(requests: Key, begin: Ints, end: Ints, is_requested: bool | Flags = True) -> None:
    if len(long := np.flatnonzero(is_requested & (end - begin >= DAY))):
        raise SegueError(
            f"request {requests.values[int(long[0])].as_py()!r} lasts from {from_micros(int(begin[long[0]]))} to "
            f"{from_micros(int(end[long[0]]))}; expected less than a day",
            f"{REQUEST} names one slate, and no session or listener; and no later slate has the id again",
        )


def reduce_by(ufunc: np.ufunc, key: Key, values: Ints) -> Ints:
    """The least or greatest value of the rows of each key."""
    found = np.full(len(key.values), AGES if ufunc is np.minimum else -AGES)
    ufunc.at(found, key.codes, values)
    return found


def to_midnight(day: date) -> int:
    return to_micros(datetime.combine(day, time(), UTC))


def add_item_ids(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """With the keys that tables of items are looked up by: `track_id` is the item's id where that is a track."""
    if not {"item_type", "item_id"} <= set(rows.column_names) or not is_text(rows["item_type"].type):
        return rows
    for key in keys:
        if key not in rows.column_names and key.endswith("_id"):
            of_type = pc.equal(to_text(rows["item_type"]), key.removesuffix("_id"))
            rows = rows.append_column(key, pc.if_else(of_type, rows["item_id"], None))
    return rows
