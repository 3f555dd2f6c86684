"""The embeddings of a root, read for a page about them: every training, and a sample of the newest tracks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from expectations.charts.markup import SERIES
from expectations.charts.points import Point
from expectations.site.embeddings import (
    Codebook,
    EmbeddingFacts,
    Neighbourhood,
    Sample,
    Track,
    TrackMap,
    name_clusters,
)
from expectations.site.trainings import Version
from expectations.suite import Bound
from features.embeddings.arrays import Matrix, to_matrix
from features.embeddings.projection import project_on_plane
from features.embeddings.semantic_ids import assign, fit
from jobs.publishing.warehouse import Warehouse
from segue.buckets import bucket
from segue.storage import Snapshot, find_table

# Rows of the newest day that a sample has about; a bucket at least, which is a million tracks of 64 million.
SAMPLE_ROWS = 20_000
# Tracks on the map: 150 kB of the page. A cluster of fewer than so many is none.
MAP_TRACKS, LEAST_TRACKS = 1_500, 10
# Tracks whose neighbours are shown: as many of the most played as of the least; and neighbours of each.
EXAMPLES, NEAREST = 4, 5
DAYS_SHOWN = timedelta(days=28)
LEARNED, NONE = "learned", "none"
_OF_VERSION = (
    "version_id", "space_id", "ds", "start", "status", "reasons", "tracks", "plays", "metrics", "available_at",
)  # fmt: skip


def read_embeddings(warehouse: Warehouse, bounds: Sequence[Bound]) -> EmbeddingFacts | None:
    """None where nothing was ever trained; `bounds` are those of the gate for `track_embeddings`."""
    versions = _read_versions(warehouse)
    if not versions:
        return None
    embeddings = _open(warehouse, "track_embeddings")
    if embeddings is None or not embeddings.days:
        return EmbeddingFacts(versions, bounds)
    sample = _TrackSample(warehouse, embeddings)
    return EmbeddingFacts(
        versions,
        bounds,
        sample.day,
        sample.version_id,
        sample.describe(),
        list(_list_neighbourhoods(sample)),
        _map_tracks(sample),
        _read_codebooks(warehouse),
    )


def _open(warehouse: Warehouse, table: str) -> Snapshot | None:
    uri = warehouse.table_path(table)
    log = find_table(uri)
    return None if log is None else Snapshot(uri, log)


def _read_versions(warehouse: Warehouse) -> list[Version]:
    """The trainings of the newest days, in their order."""
    snapshot = _open(warehouse, "embedding_versions")
    if snapshot is None or not snapshot.days:
        return []
    files = [file for day in _list_newest(snapshot) for file in snapshot.select(day)]
    rows = snapshot.read(files, _OF_VERSION).sort_by([("ds", "ascending"), ("available_at", "ascending")])
    return [Version.from_row(row) for row in rows.drop_columns("available_at").to_pylist()]


def _list_newest(snapshot: Snapshot) -> list[date]:
    return [day for day in snapshot.days if snapshot.days[-1] - day < DAYS_SHOWN]


@dataclass
class _TrackSample:
    """Tracks of the first buckets, of the newest day of `track_embeddings`."""

    warehouse: Warehouse
    embeddings: Snapshot

    @property
    def day(self) -> date:
        return self.embeddings.days[-1]

    @cached_property
    def of(self) -> int:
        """Tracks of the day, by the footers of its files."""
        return self.embeddings.count(self.embeddings.select(self.day))

    @cached_property
    def buckets(self) -> list[int]:
        total = self.embeddings.buckets
        return list(range(max(1, min(total, total * SAMPLE_ROWS // max(1, self.of)))))

    @cached_property
    def rows(self) -> pa.Table:
        """The most played first, equals by id."""
        columns = ["track_id", "version_id", "support", "source", "norm"]
        rows = self._read(self.embeddings, self.day, columns)
        return rows.sort_by([("support", "descending"), ("track_id", "ascending")])

    @property
    def version_id(self) -> str | None:
        # the gate lets one version a day pass
        return self.rows["version_id"][0].as_py() if self.rows.num_rows else None

    def describe(self) -> Sample:
        counts = self.rows.group_by("source").aggregate([([], "count_all"), ("support", "sum")]).to_pylist()
        sources = {
            row["source"]: (row["count_all"], row["support_sum"] or 0)
            for row in sorted(counts, key=lambda row: (-row["count_all"], row["source"]))
        }
        return Sample(self.rows.num_rows, self.of, self.rows["norm"].drop_null().to_pylist(), sources)

    def choose_mapped(self) -> list[str]:
        """The most played tracks with a vector."""
        ids = self.rows.filter(pc.field("source") != NONE)["track_id"]
        return ids.slice(0, MAP_TRACKS).to_pylist()

    def choose_examples(self) -> dict[str, int]:
        """Some of the most played tracks and some of the least, with their plays; all were learned."""
        learned = self.rows.filter(pc.field("source") == LEARNED).select(["track_id", "support"])
        ends = (
            learned.slice(0, EXAMPLES).to_pylist()
            + learned.slice(max(0, len(learned) - EXAMPLES)).to_pylist()
        )
        return {row["track_id"]: row["support"] for row in ends}

    def read_of(self, table: str, ids: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of some tracks of a table, of the sample's day where it has days, by track; {} where there is none."""
        snapshot = self.embeddings if table == self.embeddings.name else _open(self.warehouse, table)
        if snapshot is None or (snapshot.days and self.day not in snapshot.days) or not ids:
            return {}
        day = self.day if snapshot.days else None
        rows = self._read(snapshot, day, ["track_id", *columns], ids)
        return {row["track_id"]: row for row in rows.to_pylist()}

    def _read(
        self, snapshot: Snapshot, day: date | None, columns: Sequence[str], ids: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows of the sample's buckets, or of some tracks."""
        if ids is None:
            buckets, where = self.buckets, pads.scalar(True)
        else:
            buckets = sorted({bucket(each, snapshot.buckets) for each in ids})
            where = pads.field("track_id").isin(list(ids))
        # files are sorted by bucket, so that it spares row groups
        where &= pads.field("bucket").isin(buckets)
        return snapshot.read(snapshot.select(day, buckets), columns, where)


def _list_neighbourhoods(sample: _TrackSample) -> Iterator[Neighbourhood]:
    """From the table `similar_tracks`, where it is of the same training."""
    plays = sample.choose_examples()
    lists = sample.read_of("similar_tracks", [*plays], ["version_id", "neighbours", "scores"])
    lists = {track: row for track, row in lists.items() if row["version_id"] == sample.version_id}
    near = {
        track: [*zip(row["neighbours"], row["scores"], strict=True)][:NEAREST] for track, row in lists.items()
    }
    named = _name_tracks(sample, [*lists, *(other for pairs in near.values() for other, _ in pairs)])
    for track in (track for track in plays if track in near):
        nearest = [(named[other], score) for other, score in near[track]]
        yield Neighbourhood(named[track], plays[track], nearest)


def _name_tracks(sample: _TrackSample, ids: Sequence[str]) -> dict[str, Track]:
    known = sample.read_of("tracks", list(dict.fromkeys(ids)), ["title", "artist_name"])
    nothing: Mapping[str, Any] = {"title": None, "artist_name": None}
    rows = {each: known.get(each, nothing) for each in ids}
    return {each: Track(each, row["title"], row["artist_name"]) for each, row in rows.items()}


def _map_tracks(sample: _TrackSample) -> TrackMap | None:
    ids = sample.choose_mapped()
    vectors = sample.read_of("track_embeddings", ids, ["vector"])
    ids = [each for each in ids if vectors[each]["vector"] is not None]
    if not ids:
        return None
    matrix = to_matrix(pa.array([vectors[each]["vector"] for each in ids], pa.list_(pa.float32())))
    places, share = project_on_plane(matrix)
    named = _name_tracks(sample, ids)
    clusters = name_clusters(_find_clusters(matrix), [named[each].artist for each in ids])
    points = [
        Point(x, y, cluster, named[each].name)
        for each, cluster, (x, y) in zip(ids, clusters, places.tolist(), strict=True)
    ]
    return TrackMap(points, share)


def _find_clusters(vectors: Matrix) -> list[int]:
    """By k-means, as many as have a colour; of few vectors fewer."""
    clusters = max(1, min(SERIES, len(vectors) // LEAST_TRACKS))
    codes: list[int] = assign(vectors, fit(vectors, levels=1, codes=clusters))[:, 0].tolist()
    return codes


def _read_codebooks(warehouse: Warehouse) -> list[Codebook]:
    snapshot = _open(warehouse, "semantic_codebooks")
    if snapshot is None or not snapshot.days:
        return []
    files = [file for day in _list_newest(snapshot) for file in snapshot.select(day)]
    rows = snapshot.read(files, ["ds", "level", "tracks"]).sort_by(
        [("ds", "ascending"), ("level", "ascending")]
    )
    by_level = groupby(rows.to_pylist(), key=lambda row: (row["ds"], row["level"]))
    return [Codebook(day, level, [row["tracks"] for row in own]) for (day, level), own in by_level]
