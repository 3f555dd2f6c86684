"""What profiles are made of. Tallies of parts of the rows merge to the tally of all, so that one function serves files
that the driver reads and partitions that executors have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.column_profiles import (
    INSTANT,
    LENGTH,
    NUMBER,
    TEXT,
    ColumnProfile,
    bin_of,
    edges_of,
    merge_profiles,
    rank_values,
)
from expectations.day_groups import (
    HASH_BITS,
    DayGroups,
    Integers,
    Mask,
    find_moments,
    group_by_day,
    hash_text,
    sample_hashes,
    split,
)
from schemas import Contract

# Whose id it is decides whether a value may be shown.
LISTENER = "user_id"
# A value that so many listeners have is nobody's own.
LEAST_LISTENERS = 20
# A column with more different values, or one of a longer text, has no top ones: none of ids, titles and searches says
# much, and a tally stays small.
MOST_VALUES = 1_000
MOST_SIGNS = 200
# Least hashes of values: their number is estimated with a standard error of 1 / sqrt(4,096), 1.6 %, and exact below.
MOST_HASHES = 4_096
_NUMBERS = ("int", "bigint", "float", "double")
_KINDS = {"string": TEXT, "boolean": TEXT, "timestamp": INSTANT, **dict.fromkeys(_NUMBERS, NUMBER)}
_BIN_BITS = 17

Key = tuple[date | None, str]


@dataclass(frozen=True)
class ValueTally:
    """Rows of a value, and the least hashes of listeners who have it."""

    rows: int
    listeners: tuple[int, ...] = ()


@dataclass(frozen=True)
class ColumnTally:
    """`counts` has all that a profile has but what depends on listeners."""

    counts: ColumnProfile
    # least hashes of those with a value
    listeners: tuple[int, ...] = ()
    # None where there are too many to count each; then `hashes` are the least ones of them
    values: Mapping[str, ValueTally] | None = field(default_factory=dict)
    hashes: tuple[int, ...] = ()


def list_kinds(contract: Contract) -> dict[str, str]:
    """The columns that are profiled, and how: what the contract lets be, but for keys and ids of listeners."""
    ids = (*contract.key, contract.entity, LISTENER)
    kinds = {c.name: _find_kind(c.type) for c in contract.columns if c.profile and c.name not in ids}
    return {name: kind for name, kind in kinds.items() if kind}


def find_listener(contract: Contract) -> str | None:
    """The column that says whose a row is, where a listener can have several of a day; else a row counts as one."""
    is_key = set(contract.key) - {"ds"} == {LISTENER}
    return LISTENER if contract.personal and not is_key else None


def _find_kind(type_: str) -> str:
    # a list of numbers is a vector or has a fixed length: its length says nothing, and it is much to read
    if type_.startswith("array<") and type_[len("array<") : -1] not in _NUMBERS:
        return LENGTH
    return _KINDS.get(type_, "")


def profile_columns(
    rows: pa.Table, contract: Contract, least_listeners: int = LEAST_LISTENERS
) -> dict[Key, ColumnProfile]:
    """The profile of each day and column of some rows, which are all that there are."""
    tallies = tally_columns(rows, contract, least_listeners)
    return {key: to_profile(tally, contract, least_listeners) for key, tally in tallies.items()}


def tally_columns(rows: pa.Table, contract: Contract, least_listeners: int) -> dict[Key, ColumnTally]:
    """Of each day and column of some of the rows.

    Args:
        rows: with the columns that are profiled, `ds` if the table has days, and `find_listener`'s. In place of lists,
            their lengths will do, and in place of ids of listeners, what `hash_ids` makes of them.
    """
    if not rows.num_rows:
        return {}
    listener = find_listener(contract)
    groups = group_by_day(rows, "ds" if contract.by_day else None, listener, least_listeners)
    tallies: dict[Key, ColumnTally] = {}
    for name, kind in list_kinds(contract).items():
        of_days = _TALLIES[kind](rows[name], groups)
        tallies |= {(day, name): each for day, each in zip(groups.days, of_days, strict=True)}
    if listener:
        of_days = _tally_listeners(groups)
        tallies |= {(day, listener): each for day, each in zip(groups.days, of_days, strict=True)}
    return tallies


# --- by kind


def _tally_numbers(column: pa.ChunkedArray, groups: DayGroups, kind: str = NUMBER) -> list[ColumnTally]:
    known = _find_known(column)
    numbers = np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy())
    is_nan = known & np.isnan(numbers)
    has_bin = known & ~is_nan
    return _make_tallies(
        known,
        groups,
        kind,
        nans=groups.count(groups.codes[is_nan]),
        bins=_count_bins(bin_of(numbers[has_bin]), has_bin, groups),
        **find_moments(groups.codes[has_bin], numbers[has_bin], len(groups.days)),
    )


def _tally_lengths(column: pa.ChunkedArray, groups: DayGroups) -> list[ColumnTally]:
    is_list = not pa.types.is_integer(column.type)
    return _tally_numbers(pc.list_value_length(column) if is_list else column, groups, LENGTH)


def _tally_instants(column: pa.ChunkedArray, groups: DayGroups) -> list[ColumnTally]:
    known = _find_known(column)
    hours = bin_of(pc.hour(column.drop_null()))
    return _make_tallies(known, groups, INSTANT, bins=_count_bins(hours, known, groups))


def _count_bins(bins: Integers, has_bin: Mask, groups: DayGroups) -> list[dict[int, int]]:
    """Rows of each bin, by day."""
    # the day above, the bin below: one sort counts the bins of all days
    keys = (groups.codes[has_bin] << _BIN_BITS) + bins + (1 << _BIN_BITS - 1)
    names, counts = np.unique(keys, return_counts=True)
    of_day = names >> _BIN_BITS
    bin_names = (names & ((1 << _BIN_BITS) - 1)) - (1 << _BIN_BITS - 1)
    found: list[dict[int, int]] = [{} for _ in groups.days]
    for (day, names_of_day), (_, rows) in zip(split(of_day, bin_names), split(of_day, counts), strict=True):
        found[day] = dict(zip(names_of_day, rows, strict=True))
    return found


def _make_tallies(known: Mask, groups: DayGroups, kind: str, **more: Sequence[Any]) -> list[ColumnTally]:
    """Of each day, with its rows, nulls and listeners; `more` are other counts, in the order of the days."""
    values, listeners = groups.count(groups.codes[known]), groups.sample_listeners(known)
    return [
        ColumnTally(
            ColumnProfile(
                kind, rows, rows - values[n], **{name: of_days[n] for name, of_days in more.items()}
            ),
            listeners[n],
        )
        for n, rows in enumerate(groups.row_counts)
    ]


def _tally_texts(column: pa.ChunkedArray, groups: DayGroups) -> list[ColumnTally]:
    known = _find_known(column)
    texts = pc.cast(column, pa.string()).combine_chunks().dictionary_encode()
    names, days = texts.dictionary.to_pylist(), groups.codes[known]
    codes = texts.indices.drop_null().to_numpy().astype(np.int64)
    # each text of each day, once
    pairs, pair_of_row, rows = np.unique(days * len(names) + codes, return_inverse=True, return_counts=True)
    listeners = _sample_pairs(pairs // max(len(names), 1), pair_of_row, groups, known)
    tallies = _make_tallies(known, groups, TEXT)
    for day, places in split(pairs // max(len(names), 1), np.arange(len(pairs))):
        of_day = [names[pair % len(names)] for pair in pairs[places].tolist()]
        if _has_top_values(of_day):
            values = map(ValueTally, rows[places].tolist(), (listeners.get(place, ()) for place in places))
            tallies[day] = replace(tallies[day], values=dict(zip(of_day, values, strict=True)))
        else:
            tallies[day] = replace(tallies[day], values=None, hashes=_sample_texts(of_day))
    return tallies


def _sample_pairs(
    day_of_pair: Integers, pair_of_row: Integers, groups: DayGroups, known: Mask
) -> dict[int, tuple[int, ...]]:
    """Listeners of each text, on days with few of them."""
    if groups.listeners is None:
        return {}
    has_few = (np.bincount(day_of_pair, minlength=len(groups.days)) <= MOST_VALUES)[groups.codes[known]]
    return sample_hashes(pair_of_row[has_few], groups.listeners[known][has_few], groups.most_listeners)


def _tally_listeners(groups: DayGroups) -> list[ColumnTally]:
    assert groups.listeners is not None
    # of ids there are never values: only how many there are
    known = groups.listeners >= 0
    hashes = sample_hashes(groups.codes, groups.listeners, MOST_HASHES)
    return [
        replace(tally, values=None, hashes=hashes.get(n, ()))
        for n, tally in enumerate(_make_tallies(known, groups, TEXT))
    ]


def _find_known(column: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.is_valid(column).to_numpy())


_TALLIES: dict[str, Callable[[pa.ChunkedArray, DayGroups], list[ColumnTally]]] = {
    NUMBER: _tally_numbers,
    TEXT: _tally_texts,
    INSTANT: _tally_instants,
    LENGTH: _tally_lengths,
}


# --- together


def merge_tallies(a: ColumnTally, b: ColumnTally, least_listeners: int) -> ColumnTally:
    """Of the rows of both, in any order and grouping; mean and spread but for rounding."""
    both = ColumnTally(
        merge_profiles(a.counts, b.counts), _merge_samples(a.listeners, b.listeners, least_listeners)
    )
    if a.values is None or b.values is None:
        return replace(
            both, values=None, hashes=_merge_samples(_list_hashes(a), _list_hashes(b), MOST_HASHES)
        )
    values = dict(a.values)
    for text, value in b.values.items():
        known = values.get(text, ValueTally(0))
        listeners = _merge_samples(known.listeners, value.listeners, least_listeners)
        values[text] = ValueTally(known.rows + value.rows, listeners)
    if _has_top_values(values):
        return replace(both, values=values)
    return replace(both, values=None, hashes=_sample_texts(values))


def _has_top_values(texts: Collection[str]) -> bool:
    return len(texts) <= MOST_VALUES and all(len(text) <= MOST_SIGNS for text in texts)


def _sample_texts(texts: Iterable[str]) -> tuple[int, ...]:
    return _merge_samples(map(hash_text, texts), (), MOST_HASHES)


def _list_hashes(tally: ColumnTally) -> tuple[int, ...]:
    # as long as each value is counted, they are all there
    return tally.hashes if tally.values is None else _sample_texts(tally.values)


def _merge_samples(a: Iterable[int], b: Iterable[int], most: int) -> tuple[int, ...]:
    return tuple(sorted({*a, *b})[:most])


# --- what may be said


def to_profile(tally: ColumnTally, contract: Contract, least_listeners: int) -> ColumnProfile:
    """What a profile may say: of a table of listeners, nothing that one of them alone could have made so."""
    counts, listener = tally.counts, find_listener(contract)
    if counts.kind == TEXT:
        top = None if tally.values is None else _rank_top_values(tally.values, listener, least_listeners)
        return replace(counts, distinct_values=_count_distinct(tally), top_values=top)
    if not contract.personal:
        return counts
    listeners = len(tally.listeners) if listener else counts.rows - counts.nulls
    if listeners < least_listeners:
        return ColumnProfile(counts.kind, counts.rows, counts.nulls, counts.nans)
    return _blur_extremes(counts)


def _blur_extremes(counts: ColumnProfile) -> ColumnProfile:
    """Edges of bins: the greatest value of all is one listener's, and by all its digits a row could be known again."""
    if counts.minimum is None or counts.maximum is None:
        return counts
    bins = bin_of([counts.minimum, counts.maximum]).tolist()
    return replace(counts, minimum=edges_of(bins[0])[0], maximum=edges_of(bins[1])[1])


def _rank_top_values(
    values: Mapping[str, ValueTally], listener: str | None, least_listeners: int
) -> dict[str, int]:
    """Of those that enough listeners have, or enough rows where nothing says whose a row is."""
    counts = {text: len(each.listeners) if listener else each.rows for text, each in values.items()}
    return rank_values({text: values[text].rows for text, n in counts.items() if n >= least_listeners})


def _count_distinct(tally: ColumnTally) -> int:
    if tally.values is not None:
        return len(tally.values)
    if len(tally.hashes) < MOST_HASHES:
        return len(tally.hashes)
    # the least hashes lie as densely as all of them do
    return round((MOST_HASHES - 1) * 2**HASH_BITS / tally.hashes[-1])
