"""Which impressions led to a play, and of which that is known: the label `taken` of ranking sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segue.errors import UsageError
from segue.impressions import AT, CENSORED, DAY, KEY, RIPE, STATUSES, list_files, status_name, to_midnight
from segue.instants import AGES, round_instants, to_micros
from segue.keys import read_texts, to_text
from segue.lookup import Ints
from segue.storage import Snapshot

TAKEN = "taken"
_MILLISECOND = timedelta(milliseconds=1)


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
        end_of_both = to_midnight(attributions[-1]) + DAY
        through = end_of_both if complete_through is None else to_micros(complete_through)
        if attributions[-1] < plays[-1]:
            through = min(through, end_of_both)
        return cls(to_midnight(plays[0]), to_midnight(plays[-1]) + DAY, through)


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
    # a longer time is as unknown, and added to an instant outgrows 64 bits
    micros = min(within // timedelta(microseconds=1), AGES)
    status = _find_status(at, micros, observation)
    if known is not None:
        status = np.where(known, status, STATUSES.index(CENSORED))
    is_taken = pc.is_in(read_texts(rows, KEY, "the rows"), _read_taken(attributions, at, micros, rule))
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


def _read_taken(attributions: Snapshot, at: Ints, within: int, rule: str | None) -> pa.Array:
    """Ids of the impressions that led to a play in time."""
    _check_rule(attributions, rule)
    if not len(at):
        return pa.array([], pa.large_string())
    # a row lies under the day of the play
    days = range(int(at.min()) // DAY, (int(at.max()) + within) // DAY + 1)
    rows = attributions.read(list_files(attributions, days), ["rule_id", KEY, "delay_ms"])
    in_time = pc.less(rows["delay_ms"], within // 1_000)
    of_rule = in_time if rule is None else pc.and_(in_time, pc.equal(rows["rule_id"], rule))
    return _to_set(rows.filter(of_rule)[KEY])


def _check_rule(attributions: Snapshot, rule: str | None) -> None:
    """Raises UsageError for a rule that the table does not have, or where it has several and none is named."""
    # of all days: on some a rule may have led to nothing, and yet their labels are by one of several
    batches = attributions.batches(attributions.files, ["rule_id"])
    rules = sorted({each for batch in batches for each in batch["rule_id"].unique().to_pylist() if each})
    if rule is None and len(rules) > 1:
        raise UsageError(
            f"impressions led to plays by several rules ({', '.join(rules)})", "name one with rule="
        )
    # where nothing led to a play yet there is no rule at all
    if rules and rule is not None and rule not in rules:
        raise UsageError.unknown("rule", rule, rules, f"table {attributions.name}")


def find_known(rows: pa.Table, snapshot: Snapshot) -> NDArray[np.bool_]:
    """Whether a table of impressions has each of these: of others nobody can say what they led to."""
    days = set((np.unique(round_instants(rows[AT])[0] // DAY)).tolist())
    ids = snapshot.read(list_files(snapshot, days), [KEY])[KEY]
    known: NDArray[np.bool_] = pc.is_in(read_texts(rows, KEY, "the rows"), _to_set(ids)).to_numpy()
    return known


def _to_set(ids: pa.ChunkedArray) -> pa.Array:
    return to_text(ids).combine_chunks()
