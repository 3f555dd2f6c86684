"""Impressions of a release, and which of them led to a play: the labels of ranking sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError
from segue.instants import AGES, from_micros, round_instants, to_micros
from segue.keys import is_text, replace_views, to_text
from segue.lookup import Ints, Key
from segue.storage import Snapshot

KEY, REQUEST, LISTENER, AT, POSITION = "impression_id", "request_id", "user_id", "shown_at", "position"
TAKEN = "taken"
# Whether a label is known; as in columns that `segue training-set` writes.
RIPE, UNRIPE, CENSORED = STATUSES = ("ripe", "unripe", "censored")
_DAY = 86_400_000_000
_MILLISECOND = timedelta(milliseconds=1)


def status_name(label: str) -> str:
    """The column that says whether values of a label are known, should there be one."""
    outcome = re.fullmatch(r"(\w+?)__(\w+)_next_(\d+)d", label)
    if outcome is None:
        return f"{label}_status"
    # a trend compares the time after a label with as long a time after that
    days = int(outcome[3]) * (2 if outcome[2].endswith("_trend") else 1)
    return f"{outcome[1]}__status_next_{days}d"


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
    _check_requests(impressions.column_names, "the given table")
    return replace_views(impressions)


def check_order(rows: pa.Table, group: str, at: str) -> None:
    """Raises UsageError where a row has no request or no instant, or what requests and their rows are in the order of
    is of another type."""
    type_ = rows.schema.field(at).type
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    if not (pa.types.is_timestamp(plain) or pa.types.is_null(plain)):
        raise UsageError(f"rows need {at!r} as timestamps; got {type_}", "make them of it, in UTC")
    if POSITION in rows.column_names and not _is_number(type_ := rows.schema.field(POSITION).type):
        # as text 10 comes before 9
        hint = "make numbers of it, or give the column another name"
        raise UsageError(f"rows are in the order of {POSITION!r}, a number; got {type_}", hint)
    for name in (group, at):
        if nulls := rows[name].null_count:
            raise UsageError(f"{nulls:,} of {rows.num_rows:,} rows have no {name!r}; every row needs it")


def _is_number(type_: pa.DataType) -> bool:
    # a column that nobody filled in is of nulls; half floats are sorted by nobody
    kinds = (
        pa.types.is_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_decimal,
        pa.types.is_null,
    )
    return any(kind(type_) for kind in kinds)


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
        return snapshot.read(snapshot.files, names)
    first, last = days
    # a request at midnight has rows on two days; which is its own is only known with both
    first_read, last_read = first - timedelta(days=1), last + timedelta(days=1)
    near = [file for file in snapshot.files if first_read <= file.partition["ds"] <= last_read]
    rows = snapshot.read(near, names)
    check_order(rows, REQUEST, AT)
    return _keep_requests(rows, first, last)


def _keep_requests(rows: pa.Table, first: date, last: date) -> pa.Table:
    requests, at = Key.of(rows[REQUEST]), round_instants(rows[AT])[0]
    begin, end = (reduce_by(ufunc, requests, at) for ufunc in (np.minimum, np.maximum))
    is_of_days = (begin >= _midnight(first)) & (begin < _midnight(last) + _DAY)
    if len(long := np.flatnonzero(is_of_days & (end - begin >= _DAY))):
        raise SegueError(
            f"request {requests.values[int(long[0])].as_py()!r} lasts from {from_micros(int(begin[long[0]]))} to "
            f"{from_micros(int(end[long[0]]))}; expected less than a day",
            f"{REQUEST} names one slate, and no session or listener",
        )
    return rows.filter(pa.array(is_of_days[requests.codes]))


def reduce_by(ufunc: np.ufunc, key: Key, values: Ints) -> Ints:
    """The least or greatest value of the rows of each key."""
    found = np.full(len(key.values), AGES if ufunc is np.minimum else -AGES)
    ufunc.at(found, key.codes, values)
    return found


def _midnight(day: date) -> int:
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


# --- what they led to


@dataclass(frozen=True)
class Observation:
    """What there is of plays and of what led to them, in microseconds: from `begin` to `end`, and all of it that
    was delivered before `through`."""

    begin: int
    end: int
    through: int

    @classmethod
    def of(
        cls, plays: Sequence[date], attributions: Sequence[date], complete_through: datetime | None
    ) -> Observation:
        """Of the days of both tables, and up to when the attributions are complete, if that is known."""
        if not plays or not attributions:
            return cls(AGES, AGES, AGES)
        # days on which nothing led to a play look as those that were not made yet
        end_of_both = _midnight(attributions[-1]) + _DAY
        through = end_of_both if complete_through is None else to_micros(complete_through)
        if attributions[-1] < plays[-1]:
            through = min(through, end_of_both)
        return cls(_midnight(plays[0]), _midnight(plays[-1]) + _DAY, through)


def label_taken(
    rows: pa.Table,
    snapshot: Callable[[str], Snapshot],
    complete_through: Mapping[str, datetime | None],
    within: timedelta | None,
    rule: str | None,
    is_given: bool,
) -> pa.Table:
    """As `add_taken`, of a release; `is_given` are rows that were not read from it."""
    if KEY not in rows.column_names:
        raise UsageError.unknown(
            "column", KEY, rows.column_names, "the impressions, by which plays are theirs"
        )
    attributions = snapshot("attributions")
    through = complete_through[attributions.name]
    observation = Observation.of(snapshot("sessions").days, attributions.days, through)
    # rows of another place may be of impressions that were erased here, or are not here yet
    known = find_known(rows, snapshot("impressions")) if is_given else None
    return add_taken(rows, attributions, within, rule, observation, known)


def check_taken_is_computed(is_computed: bool, within: timedelta | None, rule: str | None) -> None:
    """Raises UsageError where it is said how `taken` is computed, and it is not."""
    given = {"taken_within": within, "rule": rule}
    if not is_computed and (names := [name for name, value in given.items() if value is not None]):
        raise UsageError(
            f"{' and '.join(names)}: of the label {TAKEN!r} as it is made from attributions; here it is no label, or "
            "rows have it as a column",
            f"leave it out; or label by {TAKEN!r}, of rows without such a column",
        )


def add_taken(
    rows: pa.Table,
    attributions: Snapshot,
    within: timedelta | None,
    rule: str | None,
    observation: Observation,
    known: NDArray[np.bool_] | None = None,
) -> pa.Table:
    """With `taken`, whether each impression led to a play within that time, and `taken_status`.

    Args:
        known: whether the release has each impression; all are where this is not given.

    Raises:
        UsageError: a time that is no whole number of milliseconds above 0; a rule that there is not, or several
            and none is named.
    """
    if not isinstance(within, timedelta) or within <= timedelta() or within % _MILLISECOND:
        raise UsageError(
            f"taken_within is a datetime.timedelta of whole milliseconds; got {within!r}",
            "timedelta(days=1), say",
        )
    at = round_instants(rows[AT])[0]
    status = _find_status(at, within // timedelta(microseconds=1), observation)
    if known is not None:
        status = np.where(known, status, STATUSES.index(CENSORED))
    is_taken = pc.is_in(to_text(rows[KEY]), _read_taken(attributions, at, within, rule))
    taken = pc.if_else(pa.array(status == STATUSES.index(RIPE)), is_taken, None)
    rows = rows.append_column(TAKEN, taken)
    return rows.append_column(status_name(TAKEN), pa.array(STATUSES).take(pa.array(status)))


def _find_status(at: Ints, within: int, observation: Observation) -> Ints:
    """The place in `STATUSES` of each instant's."""
    end = at + within
    # of before the first play nothing is known; and a history that ended long ago was delivered, without its end
    lost, late = at < observation.begin, end > observation.end
    ripe, unripe, censored = range(len(STATUSES))
    status = np.where(end > observation.through, unripe, np.where(late, censored, ripe))
    return np.where(lost, censored, status)


def _read_taken(attributions: Snapshot, at: Ints, within: timedelta, rule: str | None) -> pa.Array:
    """Ids of the impressions that led to a play in time."""
    if not len(at):
        return pa.array([], pa.large_string())
    # a row lies under the day of the play
    first, last = from_micros(int(at.min())).date(), (from_micros(int(at.max())) + within).date()
    files = [file for file in attributions.files if first <= file.partition["ds"] <= last]
    rows = attributions.read(files, ["rule_id", KEY, "delay_ms"])
    rules = sorted(filter(None, rows["rule_id"].unique().to_pylist()))
    if rule is None and len(rules) > 1:
        raise UsageError(
            f"impressions led to plays by several rules ({', '.join(rules)})", "name one with rule="
        )
    # on days on which nothing led to a play there is no rule at all
    if rules and rule is not None and rule not in rules:
        raise UsageError.unknown("rule", rule, rules, f"table {attributions.name} on these days")
    in_time = pc.less(rows["delay_ms"], within // _MILLISECOND)
    of_rule = in_time if rule is None else pc.and_(in_time, pc.equal(rows["rule_id"], rule))
    return _to_set(rows.filter(of_rule)[KEY])


def find_known(rows: pa.Table, snapshot: Snapshot) -> NDArray[np.bool_]:
    """Whether a table of impressions has each of these: of others nobody can say what they led to."""
    at = round_instants(rows[AT])[0]
    days = {from_micros(int(each) * _DAY).date() for each in np.unique(at // _DAY)} if len(at) else set()
    ids = snapshot.read([file for file in snapshot.files if file.partition["ds"] in days], [KEY])[KEY]
    known: NDArray[np.bool_] = pc.is_in(to_text(rows[KEY]), _to_set(ids)).to_numpy()
    return known


def _to_set(ids: pa.ChunkedArray) -> pa.Array:
    return to_text(ids).combine_chunks()
