"""Skew: features that were logged where they were served, against the release that they name, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError
from segue.releases import Root, list_releases, select_unexpired
from segue.store import Store

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Rows compared at a time: of that many keys a look-up reads most files of a day, so that fewer would read them often.
ROWS = 250_000
EXAMPLES = 5


@dataclass(frozen=True)
class Feature:
    """A column of the logged rows, and the released one that it should equal."""

    logged: str
    table: str
    column: str


@dataclass(frozen=True)
class Example:
    key: str
    logged: Any
    released: Any
    difference: float | None


@dataclass
class Difference:
    """Of one feature. `largest` is of the values that both sides have; None where those are no numbers."""

    feature: Feature
    rows: int = 0
    equal: int = 0
    # null where it was logged, and has a value in the release; and the other way round
    null_logged: int = 0
    null_released: int = 0
    largest: float | None = None
    examples: list[Example] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the rows, those that differ."""
        return (self.rows - self.equal) / self.rows if self.rows else 0.0


@dataclass
class Skew:
    """`skipped` counts rows that cannot be compared, by the reason."""

    differences: list[Difference]
    rows: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def exceeds(self, bound: float) -> bool:
        return any(each.share > bound for each in self.differences)


@dataclass(frozen=True)
class Columns:
    """Which columns of the logged rows say what: release, day and instant may be missing. `only` is a release that all
    rows are held to."""

    features: Sequence[Feature]
    release: str | None = None
    day: str | None = None
    at: str | None = None
    only: str | None = None


class Comparison:
    """Adds up what differs, batch by batch."""

    def __init__(self, root: Root, columns: Columns, tolerance: float) -> None:
        self.root, self.columns, self.tolerance = root, columns, tolerance
        self.releases = list_releases(root)
        self.skew = Skew([Difference(each) for each in columns.features])
        self._stores: dict[str, Store | str] = {}

    def add(self, rows: pa.Table) -> None:
        """Compares rows with what the release of each holds."""
        self.skew.rows += len(rows)
        releases, days = self._name_releases(rows), self._name_days(rows)
        groups = pa.table([releases, days, pa.array(np.arange(len(rows)))], ["release", "day", "row"])
        grouped = groups.group_by(["release", "day"]).aggregate([("row", "list")])
        for group in grouped.to_pylist():
            self._add_group(rows.take(group["row_list"]), group["release"], group["day"])

    def _name_releases(self, rows: pa.Table) -> pa.Array:
        """Of each row the release it names, else the newest one at its instant, else the newest; null for none."""
        if self.columns.release:
            return pc.cast(rows[self.columns.release], pa.string()).combine_chunks()
        newest_last = self.releases[::-1]
        if self.columns.only is not None or not self.columns.at:
            newest, only = newest_last[-1].release_id, self.columns.only
            return pa.array([newest if only is None else only] * len(rows), pa.string())
        instants = pa.array([each.released_at for each in newest_last], pa.timestamp("us", "UTC"))
        at = pc.cast(rows[self.columns.at], pa.timestamp("us", "UTC"), safe=False).combine_chunks()
        places = np.searchsorted(_to_micros(instants), _to_micros(at), side="right") - 1
        ids = pa.array([each.release_id for each in newest_last], pa.string())
        return ids.take(pa.array(places, mask=(places < 0) | ~at.is_valid().to_numpy(zero_copy_only=False)))

    def _name_days(self, rows: pa.Table) -> pa.Array:
        """Null where the release says which: its newest complete one, as in a look-up."""
        if not self.columns.day:
            return pa.nulls(len(rows), pa.date32())
        return pc.cast(rows[self.columns.day], pa.date32()).combine_chunks()

    def _add_group(self, rows: pa.Table, release: str | None, day: date | None) -> None:
        store = self._open(release)
        if isinstance(store, str):
            self._skip(store, len(rows))
            return
        for table in dict.fromkeys(each.table for each in self.columns.features):
            try:
                differences = self._select_released(store, table, len(rows))
                names, entity = [each.feature.column for each in differences], store.entity(table)
                # `bucket` is never null, so that a key without a row is known
                released = store.lookup(table, rows[entity], day, [*names, "bucket"], cast_keys=True)
            except SegueError as problem:
                # a table or a day that this release has not; the others are compared
                self._skip(str(problem), len(rows))
                continue
            defaults = store.defaults(table)
            for each in differences:
                logged, column = rows[each.feature.logged], each.feature.column
                values = _fill_default(logged, released[column], released["bucket"], defaults.get(column))
                _add_values(each, released[entity], logged, values, self.tolerance)

    def _select_released(self, store: Store, table: str, rows: int) -> list[Difference]:
        """Features of a table whose columns a release has: one that came later is no reason to compare no other."""
        differences = [each for each in self.skew.differences if each.feature.table == table]
        known = {*store.columns(table)}
        for each in differences:
            if each.feature.column not in known:
                self._skip(f"release {store.release} has no {table}:{each.feature.column}", rows)
        return [each for each in differences if each.feature.column in known]

    def _open(self, release: str | None) -> Store | str:
        """The store of a release, or why there is none."""
        if release is None:
            return "no release was made by their instant" if self.columns.at else "they name no release"
        if release not in self._stores:
            self._stores[release] = self._try_open(release)
        return self._stores[release]

    def _try_open(self, release: str) -> Store | str:
        found = next((each for each in self.releases if each.release_id == release), None)
        if found is None:
            return f"there is no release {release}"
        if found not in select_unexpired(self.releases):
            return f"release {release} can no longer be read"
        return Store(self.root, found)

    def _skip(self, reason: str, rows: int) -> None:
        self.skew.skipped[reason] = self.skew.skipped.get(reason, 0) + rows


# --- values


def _fill_default(
    logged: pa.ChunkedArray, released: pa.ChunkedArray, bucket: pa.ChunkedArray, default: Any
) -> pa.ChunkedArray:
    """With what the feature declares for a key without a row, where something was logged for one."""
    if default is None:
        return released
    chosen = pc.and_(bucket.is_null(), logged.is_valid())
    return pc.if_else(chosen, pa.scalar(default, released.type), released)


def _add_values(
    difference: Difference,
    keys: pa.ChunkedArray,
    logged: pa.ChunkedArray,
    released: pa.ChunkedArray,
    tolerance: float,
) -> None:
    left, right = logged.combine_chunks(), released.combine_chunks()
    both = _is_valid(left) & _is_valid(right)
    equal = ~_is_valid(left) & ~_is_valid(right)
    distances = np.full(len(left), np.nan)
    if both.any():
        chosen = pa.array(both)
        equal[both], distances[both] = compare(left.filter(chosen), right.filter(chosen), tolerance)
    difference.rows += len(left)
    difference.equal += int(equal.sum())
    difference.null_logged += int((~_is_valid(left) & _is_valid(right)).sum())
    difference.null_released += int((_is_valid(left) & ~_is_valid(right)).sum())
    if not np.isnan(distances).all():
        difference.largest = max(difference.largest or 0.0, float(np.nanmax(distances)))
    _add_examples(difference, keys, left, right, np.flatnonzero(~equal), distances)


def _add_examples(
    difference: Difference,
    keys: pa.ChunkedArray,
    left: pa.Array,
    right: pa.Array,
    rows: Any,
    distances: Floats,
) -> None:
    # what has no distance comes last: a null on one side, or texts
    order = np.argsort(-np.nan_to_num(distances[rows], nan=-1.0), kind="stable")[:EXAMPLES]
    for row in rows[order].tolist():
        distance = None if np.isnan(distances[row]) else float(distances[row])
        example = Example(str(keys[row].as_py()), left[row].as_py(), right[row].as_py(), distance)
        difference.examples.append(example)
    difference.examples.sort(
        key=lambda each: -1.0 if each.difference is None else each.difference, reverse=True
    )
    del difference.examples[EXAMPLES:]


def compare(left: pa.Array, right: pa.Array, tolerance: float) -> tuple[Bools, Floats]:
    """Of values without nulls: which are equal, and how far apart they are, NaN where they are no numbers.

    Numbers are equal within `tolerance`, as a share of the larger one; lists of numbers where all of theirs are, and as
    far apart as the farthest two.

    Raises:
        UsageError: the one cannot be compared with the other.
    """
    if _is_number(left.type) and _is_number(right.type):
        return _compare_numbers(_to_numbers(left), _to_numbers(right), tolerance)
    if _is_vector(left.type) and _is_vector(right.type):
        return _compare_vectors(left, right, tolerance)
    try:
        if not pa.types.is_nested(right.type):
            left = pc.cast(left, right.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UsageError(f"values of type {left.type} cannot be compared with {right.type}") from None
    # lists of structs have no kernel that compares them
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return np.array([a == b for a, b in pairs], bool), np.full(len(left), np.nan)


def _compare_numbers(left: Any, right: Any, tolerance: float) -> tuple[Bools, Floats]:
    exact = left == right
    # as floats, two whole numbers of 10^17 that differ by one would be equal
    least = 1.0 if left.dtype.kind == right.dtype.kind == "i" else 0.0
    left, right = left.astype(float), right.astype(float)
    exact |= np.isnan(left) & np.isnan(right)
    # the difference of the two largest floats is none
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(exact, 0.0, np.maximum(np.abs(left - right), least))
        near = distance <= tolerance * np.maximum(np.abs(left), np.abs(right))
    # one NaN, or two infinities of other signs
    distance = np.where(np.isnan(distance), np.inf, distance)
    return exact | (near & np.isfinite(distance)), distance


def _compare_vectors(left: pa.Array, right: pa.Array, tolerance: float) -> tuple[Bools, Floats]:
    lengths = pc.list_value_length(left).to_numpy()
    equal = lengths == pc.list_value_length(right).to_numpy()
    distances = np.where(equal, 0.0, np.inf)
    chosen = pa.array(equal)
    flat = [_to_numbers(pc.list_flatten(each.filter(chosen))) for each in (left, right)]
    near, distance = _compare_numbers(flat[0], flat[1], tolerance)
    # of each element, the row that it is of
    rows = np.repeat(np.flatnonzero(equal), lengths[equal])
    equal[rows[~near]] = False
    np.maximum.at(distances, rows, distance)
    return equal, distances


def _is_number(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(kind(type_) for kind in kinds)


def _is_vector(type_: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(kind(type_) for kind in lists) and _is_number(type_.value_type)


def _to_numbers(values: pa.Array) -> Any:
    whole = pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
    if whole and not values.null_count and not pa.types.is_uint64(values.type):
        return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    # a null within a list is NaN, and equal to one
    return values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)


def _is_valid(values: pa.Array) -> Bools:
    valid: Bools = values.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _to_micros(instants: pa.Array) -> NDArray[np.int64]:
    least = np.iinfo(np.int64).min
    micros: NDArray[np.int64] = instants.cast(pa.int64()).fill_null(least).to_numpy(zero_copy_only=False)
    return micros
