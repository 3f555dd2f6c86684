"""The rows of a ranking set: what they must have, their order, and which requests have a label that is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError, list_names
from segue.impressions import (
    CENSORED,
    FIRST_STATUS,
    KEY,
    POSITION,
    RIPE,
    UNRIPE,
    check_names,
    check_order,
    horizon_status_name,
    is_number,
    reduce_by,
    status_name,
)
from segue.instants import round_instants
from segue.keys import is_text, read_texts, replace_views, to_text
from segue.lookup import Ints, Key
from segue.take import take_rows

Floats = NDArray[np.float64]
# Known when a list is made only because it was made: a model that learns from them learns the policy of the log.
BESIDE = (
    POSITION,
    "shelf_position",
    "propensity",
    "candidate_count",
    "score",
    "seen",
    "policy_id",
    "release_id",
)
NULL = "null"
# Why a request is left out, the strongest reason last; the first is of those that are not.
REASONS = ("", NULL, UNRIPE, CENSORED)


def read_table(rows: pa.Table) -> pa.Table:
    """The rows, as all of their columns can be sorted and taken; UsageError where they are none of Arrow's."""
    if not isinstance(rows, pa.Table):
        raise UsageError.not_a_table("rows", rows)
    check_names(rows.column_names)
    return replace_views(rows)


def check_columns(
    rows: pa.Table, features: Sequence[str], labels: Sequence[str], group: str, at: str
) -> None:
    if not labels:
        raise UsageError("a ranking set needs a label", 'such as labels=["taken"]')
    for name in (group, at, *features, *labels):
        if name not in rows.column_names:
            raise UsageError.unknown("column", name, rows.column_names, "the rows of the ranking set")
    beside = [name for name in features if name in (*BESIDE, KEY, group, at, *labels)]
    if beside:
        raise UsageError(
            f"{list_names(beside)} can be no feature: it is known only because the item was shown",
            "it is in `rows` of the set beside the features",
        )
    check_order(rows, group, at)
    for name in labels:
        _check_number(rows.schema.field(name).type, name)


def sort_rows(rows: pa.Table, group: str, at: str) -> tuple[pa.Table, NDArray[np.int32]]:
    """In the order of requests, positions and ids of impressions; and how many rows each request has.

    That depends on the rows alone, as far as they have these; of one request, rows that tie in what they have of them
    stay in the order in which they came.
    """
    requests = Key.of(read_texts(rows, group, "the rows"))
    first = reduce_by(np.minimum, requests, round_instants(rows[at])[0])
    by_instant = _sort_indices({"first": pa.array(first), "id": requests.values})
    place = np.empty_like(first)
    place[by_instant] = np.arange(len(first))
    of_row = place[requests.codes]
    place_of_row = {"request": pa.array(of_row)}
    if POSITION in rows.column_names and not pa.types.is_null(rows[POSITION].type):
        place_of_row[POSITION] = _without_nan(rows[POSITION])
    order = _sort_indices(place_of_row)
    # ids are texts, which take long: they are looked at where requests and positions leave rows at one place
    if KEY in rows.column_names and _follow_equal(place_of_row, order).any():
        ids = rows[KEY]
        # of a dictionary, as pandas has categories, nothing is sorted
        keys = {**place_of_row, KEY: ids if _is_sorted(ids.type) else read_texts(rows, KEY, "the rows")}
        order = _sort_indices(keys)
        _check_unique(_follow_equal(keys, order))
    return take_rows(rows, pa.array(order)), np.bincount(of_row).astype(np.int32)


def _is_sorted(type_: pa.DataType) -> bool:
    """Whether Arrow sorts these as they are; texts too, but not where they are in a dictionary."""
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    is_plain_number = is_number(type_) and not pa.types.is_null(type_)
    return is_plain_number or any(kind(type_) for kind in kinds)


def _without_nan(positions: pa.ChunkedArray) -> pa.ChunkedArray:
    # as pandas has numbers with gaps; and NaN equals nothing, so that a row could be there twice
    is_float = pa.types.is_floating(positions.type)
    return pc.if_else(pc.is_nan(positions), None, positions) if is_float else positions


def _follow_equal(columns: Mapping[str, pa.Array | pa.ChunkedArray], order: Ints) -> NDArray[np.bool_]:
    """Of all rows in an order but the first, whether they have the values of the row before; null has any."""
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in columns.values():
        sorted_ = column.take(pa.array(order))
        equal = pc.equal(sorted_.slice(1), sorted_.slice(0, len(same)))
        same &= pc.fill_null(equal, True).to_numpy(zero_copy_only=False)
    return same


def _sort_indices(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> Ints:
    """Of rows in ascending order, null last; equal ones stay as they are."""
    indices: Ints = pc.sort_indices(pa.table(columns), [(name, "ascending") for name in columns]).to_numpy()
    return indices


def _check_unique(repeats: NDArray[np.bool_]) -> None:
    if count := int(repeats.sum()):
        raise SegueError(
            f"{count:,} of {len(repeats) + 1:,} rows have request, position and {KEY} of another row; each would count "
            "twice",
            "look for a join of many to many, and leave out what is there twice",
        )


def check_one(rows: pa.Table, sizes: NDArray[np.int32], name: str, group: str) -> None:
    """Raises SegueError where the rows of one request have several values in a column."""
    if name not in rows.column_names:
        raise UsageError.unknown("column", name, rows.column_names, "the ranking set")
    if pa.types.is_nested(rows[name].type):
        raise UsageError(
            f"requests cannot be split by {name}, which is {rows[name].type}; give a text or a number"
        )
    codes = Key.of(read_texts(rows, name, "the rows")).codes
    differs = codes[1:] != codes[:-1]
    differs[np.cumsum(sizes)[:-1] - 1] = False
    if differs.any():
        example = rows[group][int(np.argmax(differs))].as_py()
        raise SegueError(
            f"request {example!r} has rows of several {name}, so that it would be cut by a split; expected one",
            f"{group} must tell requests of all listeners apart: put the listener's id before it",
        )


def find_reasons(rows: pa.Table, labels: Sequence[str]) -> Ints:
    """Of each row, the place in `REASONS` of why one of its labels is not known, 0 where all are."""
    reasons = np.zeros(rows.num_rows, np.int64)
    for label in labels:
        reasons = np.maximum(reasons, _find_reasons_of(rows, label))
    return reasons


def _find_reasons_of(rows: pa.Table, label: str) -> Ints:
    found: Ints = pc.is_null(rows[label], nan_is_null=True).to_numpy().astype(np.int64)
    own = next(
        (name for name in (status_name(label), horizon_status_name(label)) if name in rows.column_names), None
    )
    if own is not None:
        # a value beside a status that says otherwise is one of a window that is not over
        return np.maximum(found, _read_reasons(rows, own))
    if FIRST_STATUS in rows.column_names:
        # it is that of other labels too: what has a value all the same is known without it, as a position is
        return np.where(found, np.maximum(found, _read_reasons(rows, FIRST_STATUS)), found)
    return found


def _read_reasons(rows: pa.Table, status: str) -> Ints:
    column = rows[status]
    if not is_text(column.type):
        text = f"{status} says whether a label is known, as {RIPE}, {UNRIPE} or {CENSORED}; got {column.type}"
        raise UsageError(text, "make texts of it, or give the column another name")
    # of a column of nulls, which is known of none
    among = pa.array([RIPE, None, UNRIPE, CENSORED], pa.large_string())
    codes = pc.index_in(to_text(column), among)
    reasons: Ints = codes.fill_null(1).to_numpy().astype(np.int64)
    return reasons


def _check_number(type_: pa.DataType, name: str) -> None:
    kinds = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if not any(kind(type_) for kind in kinds):
        raise UsageError(
            f"{name} is {type_}; a matrix takes numbers and booleans",
            "leave it out, or make numbers of it in `rows`",
        )


def to_numbers(column: pa.ChunkedArray, name: str) -> Floats:
    _check_number(column.type, name)
    numbers: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    return numbers
