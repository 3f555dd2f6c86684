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

from segue.errors import SegueError, UsageError, first_line, list_names
from segue.impressions import AT, LISTENER, POSITION, REQUEST
from segue.instants import round_instants
from segue.lookup import Ints
from segue.names import read_names
from segue.ranking_rows import (
    REASONS,
    Floats,
    check_columns,
    check_one,
    find_reasons,
    read_table,
    sort_rows,
    to_numbers,
)
from segue.splits import SPLITS, read_instants, read_shares, split_by_share, split_by_time
from segue.storage import filesystem
from segue.take import take_values

MANIFEST = "_manifest.json"


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
        names, rows = read_names("features", features), read_table(rows)
        is_grouped = self.group in rows.column_names
        if not is_grouped or not rows.column(self.group).equals(self.rows.column(self.group)):
            raise UsageError("these are not the rows of the set in its order", "append columns to its `rows`")
        check_columns(rows, names, self.labels, self.group, self.at)
        return replace(self, rows=rows, features=tuple(names))

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
            UsageError: instants that are none or out of order, shares that do not add up to 1, or a column `by` of
                several values in one request or of a type that Spark hashes otherwise; in `split`, null or other names.
        """
        limits, parts = read_instants(instants), read_shares(shares)
        if not limits and not parts:
            return self._split_by_column()
        place = split_by_time(self._first_instants, limits)
        names = SPLITS if 3 in (len(limits) + 1, len(parts)) else (SPLITS[0], SPLITS[-1])
        if parts:
            place = np.maximum(place, split_by_share(self._of_requests(by), parts, salt))
        return {name: self._take(place == SPLITS.index(name)) for name in names}

    def _split_by_column(self) -> dict[str, RankingSet]:
        split = self._of_requests("split")
        found = set(split.unique().to_pylist())
        if unknown := sorted(map(repr, found.difference(SPLITS))):
            raise UsageError(
                f"the column split has {list_names(unknown)}; expected {', '.join(SPLITS)} alone",
                "give instants or shares, or write the column as segue training-set does",
            )
        names = [name for name in SPLITS if name in found]
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
        check_one(self.rows, self.sizes, name, self.group)
        return take_values(self.rows[name], pa.array(self._starts))

    def _take(self, requests: NDArray[np.bool_]) -> RankingSet:
        rows = self.rows.filter(pa.array(np.repeat(requests, self.sizes)))
        # those that were left out are of the whole set: in which split they would be is not known
        return replace(self, rows=rows, sizes=self.sizes[requests], left_out={})

    def _numbers(self, name: str) -> Floats:
        if name not in self.rows.column_names:
            raise UsageError.unknown("column", name, self.rows.column_names, "the ranking set")
        return to_numbers(self.rows[name], name)


def build_ranking_set(
    rows: pa.Table, features: Sequence[str], labels: Sequence[str], group: str = REQUEST, at: str = AT
) -> RankingSet:
    """Of rows in any order, which have all these columns.

    Raises:
        UsageError: rows that are no pyarrow.Table; a column that there is not, is there twice, or is no number; a
            feature that was known only by showing the item; a row without its request or instant; instants that are
            no timestamps, positions that are no numbers, ids or statuses that are no texts.
        SegueError: an impression twice at its place, or a request of several listeners.
    """
    features, labels = read_names("features", features), read_names("labels", labels)
    rows = read_table(rows)
    check_columns(rows, features, labels, group, at)
    rows, sizes = sort_rows(rows, group, at)
    if LISTENER in rows.column_names:
        check_one(rows, sizes, LISTENER, group)
    ranking = RankingSet(rows, tuple(features), tuple(labels), sizes, group, at)
    reasons = find_reasons(rows, labels)
    # a request whose best item is not known ranks nothing, and without that row it is another request
    of_requests = np.maximum.reduceat(reasons, ranking._starts) if len(sizes) else reasons
    left_out = {text: int((of_requests == n).sum()) for n, text in enumerate(REASONS) if n}
    known = ranking._take(of_requests == 0) if any(left_out.values()) else ranking
    return replace(known, left_out={text: count for text, count in left_out.items() if count})


def read_ranking_set(
    path: str | os.PathLike[str], labels: Sequence[str], features: Sequence[str] | None = None
) -> RankingSet:
    """A set that `segue training-set --groups` wrote; by default with all features that it was made with.

    Raises:
        UsageError: there is no such set, or none of requests; and as `build_ranking_set`.
    """
    files, folder = filesystem(os.path.expanduser(os.fspath(path)))
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
    try:
        rows = pads.dataset(folder, filesystem=files, format="parquet").to_table()
    except (OSError, pa.ArrowInvalid) as problem:  # of a file that ends too early, the latter
        raise SegueError(f"{path} cannot be read: {first_line(problem)}", "replay its manifest") from problem
    made = [name for name in manifest["nulls"] if not name.endswith("__feature_at")]
    return build_ranking_set(rows, made if features is None else features, labels, group, at)
