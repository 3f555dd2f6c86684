"""The instants of labels that are few enough for the driver: a tree for each key, down which rows of histories go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# A row looks at every child of its node, one by one: as many as cost less than another level, a look-up by hash
FAN_OUT = 64
# Before every instant, as Spark's microseconds are 64 bits
BEGINNING = np.iinfo(np.int64).min


@dataclass(frozen=True)
class LabelInstants:
    """Keys and instants of labels, each once, in order. A `place` is where one stands among them."""

    # key parts k0, k1 ... and `time` in microseconds, none null
    rows: pa.Table

    @staticmethod
    def of(rows: pa.Table) -> LabelInstants:
        """Of rows in any order, which may be there several times."""
        names = rows.column_names
        # without threads a table of any size comes out as one chunk, and slices of columns are compared below
        distinct = rows.group_by(names, use_threads=False).aggregate([])
        ordered = distinct.select(names).sort_by([(name, "ascending") for name in names])
        return LabelInstants(ordered.combine_chunks())

    @property
    def keys(self) -> pa.Table:
        return self.rows.drop_columns("time")

    @cached_property
    def times(self) -> NDArray[np.int64]:
        return self.rows["time"].to_numpy()

    @property
    def newest(self) -> int | None:
        return int(self.times.max()) if len(self.times) else None

    def list_levels(self) -> Iterator[pa.Table]:
        """The tree from the top: a row per `node`, with `since` < instant <= `until` of what is below it.

        The children of a node have it as `parent`, at the top their key. Nodes of the last level are places.
        """
        starts_above = None
        for height in reversed(range(self._depth)):
            starts = np.flatnonzero(self._positions % FAN_OUT**height == 0)
            yield pa.table(self._limits(starts) | self._parents(starts, starts_above))
            starts_above = starts

    def carry_newest(self, places: NDArray[np.int64], values: NDArray[np.int64]) -> pa.Table:
        """The greatest of the `values` at places up to one of the same key, as `feature_at`; and the `place`.

        Without the places before the first value of their key. With them, key parts and the place's own `time`.
        """
        different, ranks = np.unique(values, return_inverse=True)
        # the greatest so far, with more added for each key than any rank: it begins anew with each key
        raised = self._ordinals * (len(different) + 1)
        greatest = raised.copy()
        greatest[places] += ranks + 1
        carried = np.maximum.accumulate(greatest) - raised
        found = np.flatnonzero(carried)
        rows = self.rows.take(pa.array(found))
        return rows.append_column("feature_at", pa.array(different[carried[found] - 1])).append_column(
            "place", pa.array(found)
        )

    @cached_property
    def _ordinals(self) -> NDArray[np.int64]:
        """Of a place's key among the keys."""
        parts = [column.combine_chunks() for column in self.keys.columns]
        changes = [pc.not_equal(part[1:], part[:-1]) for part in parts]
        differs = reduce(pc.or_, changes).to_numpy(zero_copy_only=False)
        return np.concatenate([[0], np.cumsum(differs)])[: len(self.times)].astype(np.int64)

    @cached_property
    def _positions(self) -> NDArray[np.int64]:
        """Of a place among those of its key."""
        first = np.searchsorted(self._ordinals, self._ordinals)
        return np.arange(len(self.times)) - first

    @property
    def _depth(self) -> int:
        depth, most = 1, int(self._positions.max(initial=0))
        while most >= FAN_OUT**depth:
            depth += 1
        return depth

    def _limits(self, starts: NDArray[np.int64]) -> dict[str, pa.Array]:
        ends = np.append(starts[1:], len(self.times))[: len(starts)] - 1
        since = np.where(self._positions[starts] == 0, BEGINNING, self.times[starts - 1])
        limits = {"since": since, "until": self.times[ends], "node": np.arange(len(starts))}
        return {name: pa.array(values, pa.int64()) for name, values in limits.items()}

    def _parents(self, starts: NDArray[np.int64], above: NDArray[np.int64] | None) -> dict[str, pa.Array]:
        if above is None:
            keys = self.keys.take(pa.array(starts))
            return dict(zip(keys.column_names, keys.columns, strict=True))
        return {"parent": pa.array(np.searchsorted(above, starts, side="right") - 1, pa.int64())}
