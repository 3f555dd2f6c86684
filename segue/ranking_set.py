"""Ranking sets: the rows of each request together and in order, as libraries that learn to rank take them.

    ranking = store.ranking_set(["track_features"], taken_within=timedelta(days=1))
    lightgbm.Dataset(ranking.x, ranking.y(), group=ranking.sizes)

No request is cut: not by files, not by splits, and none is there without a label of each of its rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from numpy.typing import NDArray

from segue.errors import SegueError, UsageError, list_names
from segue.impressions import (
    AT,
    CENSORED,
    KEY,
    LISTENER,
    POSITION,
    REQUEST,
    RIPE,
    UNRIPE,
    reduce_by,
    status_name,
)
from segue.instants import round_instants
from segue.lookup import Ints, Key
from segue.splits import SPLITS, split_by_share, split_by_time
from segue.storage import filesystem

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
MANIFEST = "_manifest.json"
NULL = "null"
# Why a request is left out, the strongest reason last; the first is of those that are not.
_REASONS = ("", NULL, UNRIPE, CENSORED)


@dataclass(frozen=True, eq=False)
class RankingSet:
    """Requests, whole and in the order of their first instants; the rows of one in the order of their positions.

    `rows` has all columns, `features` and `labels` name some of them, and `sizes` are the rows of each request.
    `left_out` counts requests with a label that is not known, by the reason: `unripe`, `censored` or `null`.
    """

    rows: pa.Table
    features: tuple[str, ...]
    labels: tuple[str, ...]
    sizes: NDArray[np.int32]
    group: str = REQUEST
    at: str = AT
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        count = f"{len(self.sizes):,} requests, {self.rows.num_rows:,} rows, {len(self.features)} features"
        return f"<ranking set of {count}>"

    @cached_property
    def x(self) -> Floats:
        """The features, rows x features; null is NaN, and a boolean 0 or 1.

        Raises:
            UsageError: a feature that is no number, such as a list or a text.
        """
        x = np.empty((self.rows.num_rows, len(self.features)))
        for place, name in enumerate(self.features):
            x[:, place] = self._numbers(name)
        return x

    def y(self, label: str | None = None) -> Floats:
        """A label of each row; which, where there are several."""
        if label is None and len(self.labels) != 1:
            raise UsageError(f"the set has several labels ({', '.join(self.labels)})", "say which")
        if label is not None and label not in self.labels:
            raise UsageError.unknown("label", label, self.labels, "the ranking set")
        return self._numbers(label or self.labels[0])

    @property
    def propensity(self) -> Floats:
        """The chance that the policy gave the item at its place; NaN where nothing was drawn."""
        return self._numbers("propensity")

    @property
    def position(self) -> Floats:
        return self._numbers(POSITION)

    @property
    def seen(self) -> Floats:
        """Whether it was in view, as 1 and 0; NaN where nobody measured it."""
        return self._numbers("seen")

    def with_features(self, rows: pa.Table, features: Sequence[str]) -> RankingSet:
        """The same rows in the same order, with more columns; `features` are all that it then has.

        Raises:
            UsageError: other rows; an unknown column, or one that can be no feature.
        """
        if not rows.column(self.group).equals(self.rows.column(self.group)):
            raise UsageError("these are not the rows of the set in its order", "append columns to its `rows`")
        _check_columns(rows, features, self.labels, self.group, self.at)
        return replace(self, rows=rows, features=tuple(features))

    def split(
        self,
        instants: Sequence[datetime] = (),
        shares: Sequence[float] = (),
        salt: str = "",
        by: str = LISTENER,
    ) -> dict[str, RankingSet]:
        """Sets by the names of splits: train, test and, of three, validation.

        A request is of the split of its first instant, or of its listener, or the later of the two. Without
        arguments, of that in the column `split`, which `segue training-set` writes.

        Args:
            instants: where validation and test begin; one is where the test begins.
            shares: of the listeners, by a hash of `salt` and what is in the column `by`.

        Raises:
            UsageError: instants out of order, shares that do not add up to 1, or a column `by` of several values in
                one request.
        """
        if not instants and not shares:
            return self._split_by_column()
        names = SPLITS if 3 in (len(instants) + 1, len(shares)) else (SPLITS[0], SPLITS[-1])
        place = split_by_time(self._first_instants, instants)
        if shares:
            key = Key.of(self._of_requests(by))
            place = np.maximum(place, split_by_share(key, shares, salt))
        return {name: self._take(place == SPLITS.index(name)) for name in names}

    def _split_by_column(self) -> dict[str, RankingSet]:
        split = self._of_requests("split")
        names = [name for name in SPLITS if pc.any(pc.equal(split, name)).as_py()]
        return {name: self._take(pc.equal(split, name).to_numpy()) for name in names}

    @property
    def _starts(self) -> Ints:
        return np.cumsum(self.sizes, dtype=np.int64) - self.sizes

    @property
    def _first_instants(self) -> Ints:
        at = round_instants(self.rows[self.at])[0]
        return np.minimum.reduceat(at, self._starts) if len(self.sizes) else at

    def _of_requests(self, name: str) -> pa.ChunkedArray:
        """The one value that the rows of each request have in a column."""
        _check_one(self.rows, self.sizes, name, self.group)
        return self.rows[name].take(pa.array(self._starts))

    def _take(self, requests: NDArray[np.bool_]) -> RankingSet:
        rows = self.rows.filter(pa.array(np.repeat(requests, self.sizes)))
        # those that were left out are of the whole set: in which split they would be is not known
        return replace(self, rows=rows, sizes=self.sizes[requests], left_out={})

    def _numbers(self, name: str) -> Floats:
        if name not in self.rows.column_names:
            raise UsageError.unknown("column", name, self.rows.column_names, "the ranking set")
        return _to_numbers(self.rows[name], name)


def build_ranking_set(
    rows: pa.Table, features: Sequence[str], labels: Sequence[str], group: str = REQUEST, at: str = AT
) -> RankingSet:
    """Of rows in any order, which have all these columns.

    Raises:
        UsageError: a column that there is not, or is no number; a feature that was known only by showing the item; a
            row without its request or instant.
        SegueError: an id twice, or a request of several listeners.
    """
    _check_columns(rows, features, labels, group, at)
    rows, sizes = _sort(rows, group, at)
    if LISTENER in rows.column_names:
        _check_one(rows, sizes, LISTENER, group)
    ranking = RankingSet(rows, tuple(features), tuple(labels), sizes, group, at)
    reasons = _find_reasons(rows, labels)
    # a request whose best item is not known ranks nothing, and without that row it is another request
    of_requests = np.maximum.reduceat(reasons, ranking._starts) if len(sizes) else reasons
    left_out = {text: int((of_requests == n).sum()) for n, text in enumerate(_REASONS) if n}
    known = ranking._take(of_requests == 0) if any(left_out.values()) else ranking
    return replace(known, left_out={text: count for text, count in left_out.items() if count})


def read_ranking_set(
    path: str | os.PathLike[str], labels: Sequence[str], features: Sequence[str] | None = None
) -> RankingSet:
    """A set that `segue training-set --groups` wrote; by default with all features that it was made with.

    Raises:
        UsageError: there is no such set, or none of requests; and as `build_ranking_set`.
    """
    files, folder = filesystem(os.fspath(path))
    try:
        with files.open_input_stream(f"{folder.rstrip('/')}/{MANIFEST}") as file:
            manifest = json.loads(file.read())
        group, at = manifest["request"]["groups"], manifest["request"]["at"]
    except (OSError, ValueError, KeyError, TypeError):
        group = None
    if group is None:
        raise UsageError(
            f"{path} is no training set of requests, with a {MANIFEST}",
            "segue training-set --groups writes one",
        )
    rows = pads.dataset(folder, filesystem=files, format="parquet").to_table()
    made = [name for name in manifest["nulls"] if not name.endswith("__feature_at")]
    return build_ranking_set(rows, made if features is None else features, labels, group, at)


def _check_columns(
    rows: pa.Table, features: Sequence[str], labels: Sequence[str], group: str, at: str
) -> None:
    for what, names in (("features", features), ("labels", labels)):
        if isinstance(names, str) or not all(isinstance(each, str) for each in names):
            raise UsageError.not_a_list(what, repr(names))
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
    for name in (group, at):
        if nulls := rows[name].null_count:
            raise UsageError(f"{nulls:,} of {rows.num_rows:,} rows have no {name!r}; every row needs it")
    for name in labels:
        _check_number(rows.schema.field(name).type, name)


def _sort(rows: pa.Table, group: str, at: str) -> tuple[pa.Table, NDArray[np.int32]]:
    """In an order that depends on the rows alone; and how many rows each request has."""
    requests = Key.of(rows[group])
    first = reduce_by(np.minimum, requests, round_instants(rows[at])[0])
    by_instant = _sort_indices({"first": pa.array(first), "id": requests.values})
    place = np.empty_like(first)
    place[by_instant] = np.arange(len(first))
    of_row = place[requests.codes]
    within = {name: rows[name] for name in (POSITION, KEY) if name in rows.column_names}
    if KEY in within:
        _check_unique(within[KEY])
    order = _sort_indices({"request": pa.array(of_row), **within})
    return rows.take(pa.array(order)), np.bincount(of_row).astype(np.int32)


def _sort_indices(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> Ints:
    """Of rows in ascending order, null last; equal ones stay as they are."""
    indices: Ints = pc.sort_indices(pa.table(columns), [(name, "ascending") for name in columns]).to_numpy()
    return indices


def _check_unique(key: pa.ChunkedArray) -> None:
    if repeated := len(key) - pc.count_distinct(key, mode="all").as_py():
        raise SegueError(
            f"{repeated:,} of {len(key):,} rows have an {KEY} that another row has; each would count twice",
            "look for a join of many to many, and leave out what is there twice",
        )


def _check_one(rows: pa.Table, sizes: NDArray[np.int32], name: str, group: str) -> None:
    """Raises SegueError where the rows of one request have several values in a column."""
    if name not in rows.column_names:
        raise UsageError.unknown("column", name, rows.column_names, "the ranking set")
    codes = Key.of(rows[name]).codes
    differs = codes[1:] != codes[:-1]
    differs[np.cumsum(sizes)[:-1] - 1] = False
    if differs.any():
        example = rows[group][int(np.argmax(differs))].as_py()
        raise SegueError(
            f"request {example!r} has rows of several {name}, so that it would be cut by a split; expected one",
            f"{group} must tell requests of all listeners apart: put the listener's id before it",
        )


def _find_reasons(rows: pa.Table, labels: Sequence[str]) -> Ints:
    """Of each row, the place in `_REASONS` of why one of its labels is not known, 0 where all are."""
    reasons = np.zeros(rows.num_rows, np.int64)
    for label in labels:
        found = pc.is_null(rows[label], nan_is_null=True).to_numpy().astype(np.int64)
        status = status_name(label)
        if status in rows.column_names:
            codes = pc.index_in(rows[status], pa.array([RIPE, None, UNRIPE, CENSORED]))
            # a value beside a status that says otherwise is one of a window that is not over
            found = np.maximum(found, codes.fill_null(1).to_numpy())
        reasons = np.maximum(reasons, found)
    return reasons


def _check_number(type_: pa.DataType, name: str) -> None:
    kinds = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if not any(kind(type_) for kind in kinds):
        raise UsageError(
            f"{name} is {type_}; a matrix takes numbers and booleans",
            "leave it out, or make numbers of it in `rows`",
        )


def _to_numbers(column: pa.ChunkedArray, name: str) -> Floats:
    _check_number(column.type, name)
    numbers: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    return numbers
