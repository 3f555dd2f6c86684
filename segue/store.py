"""A store: one release, read only. Whatever is published later, it answers the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from segue.errors import SegueError, UsageError
from segue.idle_rows import list_earlier_files, read_day
from segue.impressions import AT, REQUEST, add_item_ids, check_order, find_impressions
from segue.keys import read_keys
from segue.lookup import Key
from segue.names import read_names
from segue.neighbours import Neighbours
from segue.paths import make_absolute
from segue.ranking_set import RankingSet, build_ranking_set
from segue.releases import Release, Root, TableVersion
from segue.spaces import describe_spaces, find_first_days
from segue.storage import DEPRECATED, REMOVED, SPACE, Snapshot, table_uri
from segue.take import take_rows
from segue.taken import TAKEN, check_taken_is_computed, label_taken
from segue.training_set import check_no_outcomes, name_columns, training_set
from segue.watermark import find_newest_complete


class Store:
    """One release. Make one with `segue.open`."""

    def __init__(self, root: Root, release: Release) -> None:
        # tables are opened when they are read: by then, or in a worker, another folder may be the working one
        self.root = make_absolute(root)
        self._release = release
        self._snapshots: dict[str, Snapshot] = {}

    def __getstate__(self) -> dict[str, Any]:
        # matrices of vectors can be gigabytes, and whoever gets the store may never search: they are read again there
        return {name: value for name, value in vars(self).items() if name != "_neighbours"}

    def __repr__(self) -> str:
        return f"<segue release {self.release} of {len(self.tables)} tables>"

    @property
    def release(self) -> str:
        return self._release.release_id

    @property
    def released_at(self) -> datetime:
        return self._release.released_at

    @property
    def tables(self) -> Mapping[str, TableVersion]:
        return self._release.tables

    @property
    def complete_through(self) -> datetime | None:
        """Up to when all plays that the release was made of were delivered, of its least complete table; `tables` has
        that of each. None where nothing is known. Days behind it are provisional: their rows may still change."""
        return self._release.complete_through

    def days(self, table: str) -> list[date]:
        """The days that the table has rows of, oldest first; empty for a table without days."""
        return list(self._snapshot(table).days)

    def entity(self, table: str) -> str:
        """The column that look-ups ask by.

        Raises:
            UsageError: the table has none, or many rows for one value of it, such as plays.
        """
        snapshot = self._snapshot(table)
        entity, key = snapshot.entity, ", ".join(snapshot.key)
        if entity is None or set(snapshot.key) - {"ds"} != {entity}:
            reason = f"many rows for one {entity}" if entity else "no column that look-ups ask by"
            raise UsageError(f"table {table} has {reason} (its key is {key})", "scan it instead")
        return entity

    def deprecated(self, table: str) -> dict[str, str]:
        """Columns that nobody should begin to use, and why; those that nothing declares any more among them."""
        snapshot = self._snapshot(table)
        return snapshot.list_marked(DEPRECATED) | snapshot.list_marked(REMOVED)

    def columns(self, table: str) -> list[str]:
        """Those that a look-up gives."""
        return self._snapshot(table).names(None)

    def defaults(self, table: str) -> dict[str, Any]:
        """Of columns that declare it, what they are for a key without a row: only training sets fill it in."""
        return dict(self._snapshot(table).defaults)

    def lookup(
        self,
        table: str,
        keys: Sequence[str | None] | pa.Array | pa.ChunkedArray,
        day: date | str | None = None,
        columns: Sequence[str] | None = None,
        cast_keys: bool = False,
    ) -> pa.Table:
        """Row i belongs to keys[i]: a repeated key is a repeated row, an unknown one a row of nulls.

        `day` is the table's newest complete one in this release where not given. Without `columns`, all that are still
        declared but `bucket`, which serves storage; the column of the keys always comes along.

        `keys` are texts of any kind that Arrow, numpy, pandas or polars have. With `cast_keys` whole numbers are taken
        as their digits, and bytes as UTF-8: 7 is '7', and never '007'.

        Raises:
            UsageError: unknown table, column or day; keys that are no strings; a table without an entity.
            SegueError: no day of the table is complete, and none is given.
        """
        snapshot, entity = self._snapshot(table), self.entity(table)
        day = self._find_newest_complete(snapshot) if day is None else day
        names = snapshot.names(columns)
        names = names if entity in names else [entity, *names]
        texts = read_keys(keys, cast_keys)
        # a null key has no row, and no bucket to look in
        present = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        key = Key.of(pa.chunked_array([texts])).of_rows(present)
        resolved = snapshot.resolve_day(day)
        matches, places = read_day(
            snapshot, {entity: key}, snapshot.select(resolved), list_earlier_files(snapshot, resolved), names
        )
        place = np.full(len(texts), -1)
        place[present] = places
        rows = take_rows(matches, pa.array(place, mask=place < 0))
        # Arrays make a table whose columns are not 'not null': absent keys have nulls.
        return pa.table([texts if name == entity else rows[name] for name in names], names=names)

    def scan(
        self, table: str, columns: Sequence[str] | None = None, day: date | str | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows, or those of one day, oldest day first; columns as in `lookup`. Of a table that leaves out rows of
        idle entities, those that are written.

        Raises:
            UsageError: unknown table, column or day; vectors of several spaces, without a day and without
                the column that tells them apart.
        """
        snapshot = self._snapshot(table)
        names = snapshot.names(columns)
        if day is None:
            _check_one_space(snapshot, names)
        # the checks come with the call, not with the first batch: so this is no generator itself
        return snapshot.batches(snapshot.select(None if day is None else snapshot.resolve_day(day)), names)

    def training_set(
        self,
        labels: pa.Table,
        features: Sequence[str],
        at: str = "label_at",
        as_published: bool = False,
        max_age: timedelta | None = None,
        space: str | None = None,
        provisional: bool = False,
        cast_keys: bool = False,
        outcomes: Sequence[str] = (),
    ) -> pa.Table:
        """The labels, row by row, and the features as they were at the instant in column `at`.

        `features` are "table:column" or "table" for all of its. For a label at t, the row is the one with
        its keys on the newest day of the table that had ended by t and, with `as_published`, was published by
        then: as it was published last by t, should it have been published again since. Adds
        `<table>__feature_at`, the end of that day, and `<table>__<column>`.

        A key without a row on that day gets what the feature declares, else null. Features are null for a
        key that is null, and where t is more than `max_age` after the end of the day. No day has ended by
        a t that is null. Instants without a zone are in UTC.

        A label is refused where the newest day that had ended by it is provisional, see `complete_through`: its
        values could still change. With `provisional` they are taken as they are. With `cast_keys`, keys that are whole
        numbers or bytes are taken as in `lookup`; the labels' own columns stay as they are.

        `outcomes` are refused here: they are made by Spark alone, `segue training-set --outcomes`.

        Vectors of two spaces never come together, from one table or from several. Where labels get days
        of several, say by `space` which: then all features of a table that has a `space_id` are null on
        days in another.

        Raises:
            UsageError: unknown table or feature, a table that is no daily snapshot; labels without the
                keys as strings or `at` as timestamps, with instants after the year 9999, as epochs of a wrong unit are,
                or with columns named as those added; vectors of
                several spaces, or a `space` that there is not.
            SegueError: a day has a key twice, or several spaces; as published, a label needs rows that were
                replaced and are gone; or a day that is not complete.
        """
        check_no_outcomes(outcomes)
        limits = {n: t.complete_through for n, t in self.tables.items() if t.complete_through}
        known = {} if provisional else limits
        return training_set(
            self._snapshot, labels, features, at, as_published, max_age, space, known, cast_keys
        )

    def ranking_set(
        self,
        features: Sequence[str] = (),
        labels: Sequence[str] = (TAKEN,),
        impressions: str | pa.Table = "impressions",
        days: tuple[date | str, date | str] | None = None,
        taken_within: timedelta | None = None,
        rule: str | None = None,
        as_published: bool = False,
        max_age: timedelta | None = None,
        space: str | None = None,
        provisional: bool = False,
    ) -> RankingSet:
        """Requests whole and in order, with features as of each impression and labels: see `RankingSet`.

        Requests with a label that is not known are left out, and counted in `left_out`: where the time in which it
        would be known is not over or not delivered (unripe), where it never will be (censored), and where it is null.

        The columns of `x` are in the order of `features`, each once: "table:column" is `<table>__<column>`, and for
        "table" its features come in that place, in the table's order. `features` of the set has their names.

        Args:
            features: as in `training_set`; or columns that `impressions` have already.
            labels: `taken`, or numeric columns of `impressions`, such as outcomes.
            impressions: a table of the release, or rows with `request_id`, `shown_at` and the keys of the features.
                `track_id` is made of `item_id` where the item's type is track, and so for other types.
            days: the first and the last on which requests began; all without it. Of a table of the release.
            taken_within: `taken` is whether the impression led to a play in that time, by attributions.
            rule: of attributions, where they have several.

        Raises:
            UsageError, SegueError: as `training_set` and `build_ranking_set`; an unknown rule.
        """
        features, labels = read_names("features", features), read_names("labels", labels)
        rows = find_impressions(self._snapshot, impressions, days)
        check_order(rows, REQUEST, AT)
        is_computed = TAKEN in labels and TAKEN not in rows.column_names
        check_taken_is_computed(is_computed, taken_within, rule)
        if is_computed:
            through = {name: table.complete_through for name, table in self.tables.items()}
            is_given = not isinstance(impressions, str)
            rows = label_taken(rows, self._snapshot, through, taken_within, rule, is_given)
        # what is left out needs no features, which may not be known either
        own = [name for name in dict.fromkeys(features) if name in rows.column_names]
        ranking = build_ranking_set(rows, own, labels)
        to_join = [name for name in features if name not in own]
        if not to_join:
            return ranking
        keys = [key for name in to_join for key in self._snapshot(name.partition(":")[0]).key if key != "ds"]
        rows = add_item_ids(ranking.rows, keys)
        joined = self.training_set(rows, to_join, AT, as_published, max_age, space, provisional)
        columns = ([name] if name in own else name_columns(self._snapshot, name) for name in features)
        return ranking.with_features(joined, list(dict.fromkeys(chain.from_iterable(columns))))

    def similar_tracks(self, track_id: str, k: int = 20) -> pa.Table:
        """The k tracks most similar to this one, best first: track_id, score, title, artist_name.

        The score is the cosine of the tracks' `vector`, to six decimals; equal ones are in the order of
        ids. The answer is that of the table `similar_tracks` where the release has it of the same training
        and at least k long: milliseconds, and beyond a million tracks 2 of 100 may be missed. Otherwise all
        are searched, and the first such call reads all vectors of the newest day.

        Raises:
            UsageError: k is below 1.
            SegueError: the track has no embedding, or nothing is known of it; the day's vectors are of
                more than one space.
        """
        return self._with_titles(*self._neighbours.similar_tracks(track_id, k))

    def next_tracks(self, track_id: str, k: int = 20) -> pa.Table:
        """The k tracks most likely to be played next: as `similar_tracks`, but always by search, and the score is the
        inner product of the track's `in_vector` with the others' `out_vector`, of any size."""
        return self._with_titles(*self._neighbours.next_tracks(track_id, k))

    def _snapshot(self, table: str) -> Snapshot:
        if table not in self.tables:
            raise UsageError.unknown("table", table, sorted(self.tables), f"release {self.release}")
        if table not in self._snapshots:
            uri = table_uri(self.root, table)
            self._snapshots[table] = Snapshot.at(uri, self.tables[table].version)
        return self._snapshots[table]

    def _find_newest_complete(self, snapshot: Snapshot) -> date | None:
        through = self.tables[snapshot.name].complete_through
        day = find_newest_complete(snapshot.days, through)
        if snapshot.days and day is None:
            raise SegueError(
                f"no day of table {snapshot.name} is complete: all that it is made of was delivered up to {through}",
                f"give a day, such as {snapshot.days[-1]}, to get provisional rows",
            )
        return day

    @cached_property
    def _neighbours(self) -> Neighbours:
        lists = self._snapshot("similar_tracks") if "similar_tracks" in self.tables else None
        return Neighbours(self._snapshot("track_embeddings"), lists)

    def _with_titles(self, track_ids: list[str], scores: list[float]) -> pa.Table:
        # many sources have no catalogue: the columns are the same then, and null
        if "tracks" in self.tables:
            table = self.lookup("tracks", track_ids, columns=["title", "artist_name"])
        else:
            nulls = pa.nulls(len(track_ids), pa.string())
            table = pa.table([read_keys(track_ids), nulls, nulls], ["track_id", "title", "artist_name"])
        return table.add_column(1, "score", pa.array(scores, pa.float64()))


def _check_one_space(snapshot: Snapshot, names: Sequence[str]) -> None:
    """Raises UsageError where rows of all days would mix vectors of several spaces."""
    vectors = [name for name in names if name in snapshot.vectors]
    # with the column of spaces, whoever reads can tell the vectors apart
    if not vectors or SPACE in names:
        return
    since = find_first_days({snapshot.name: [(day, snapshot.spaces(day)) for day in snapshot.days]})
    if len(since) > 1:
        raise UsageError(
            f"{', '.join(vectors)} of all days would be of {len(since)} spaces ({describe_spaces(since)}); vectors "
            "compare within one only",
            "give a day, or ask for space_id too",
        )
