"""Tables as the publishing jobs leave them, made without Spark.

Files lie in a batch's folder, their paths say that `available_at` is null; the log says when.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake.transaction import AddAction

import segue
from segue.buckets import bucket
from segue.releases import Release, TableVersion, append_release

DAY = date(2026, 11, 20)
DAY_BEFORE = date(2026, 11, 19)
PUBLISHED = datetime(2026, 11, 21, 2, 30, 0, 123456, UTC)
BUCKETS = 64

NULL_PATH = "available_at=__HIVE_DEFAULT_PARTITION__"
TAIL = [
    pa.field("bucket", pa.int32(), nullable=False),
    pa.field("available_at", pa.timestamp("us", "UTC")),
]
DS = pa.field("ds", pa.date32(), nullable=False)


def id_field(name: str) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False)


SCHEMAS = {
    "user_features": pa.schema(
        [
            id_field("user_id"),
            pa.field("feature_at", pa.timestamp("us", "UTC")),
            pa.field("plays_count_7d", pa.int64()),
            pa.field("completion_mean_7d", pa.float64()),
            pa.field("plays_hours_30d", pa.list_(pa.float64())),
            *TAIL,
            DS,
        ]
    ),
    "tracks": pa.schema(
        [id_field("track_id"), pa.field("title", pa.string()), pa.field("artist_name", pa.string()), *TAIL]
    ),
    "track_embeddings": pa.schema(
        [
            id_field("track_id"),
            pa.field("feature_at", pa.timestamp("us", "UTC")),
            id_field("version_id"),
            id_field("space_id"),
            pa.field("vector", pa.list_(pa.float32())),
            pa.field("in_vector", pa.list_(pa.float32())),
            pa.field("out_vector", pa.list_(pa.float32())),
            pa.field("support", pa.int64()),
            id_field("source"),
            *TAIL,
            DS,
        ]
    ),
    "user_embeddings": pa.schema(
        [
            id_field("user_id"),
            pa.field("feature_at", pa.timestamp("us", "UTC")),
            id_field("version_id"),
            id_field("space_id"),
            pa.field("vector", pa.list_(pa.float32())),
            *TAIL,
            DS,
        ]
    ),
    "similar_tracks": pa.schema(
        [
            id_field("track_id"),
            id_field("version_id"),
            id_field("space_id"),
            pa.field("neighbours", pa.list_(pa.string())),
            pa.field("scores", pa.list_(pa.float32())),
            *TAIL,
            DS,
        ]
    ),
    "plays": pa.schema([id_field("play_id"), id_field("user_id"), *TAIL, DS]),
    "rejected_plays": pa.schema([id_field("reject_id"), TAIL[1], DS]),
}
# table -> key, entity
KEYS = {
    "user_features": ("user_id,ds", "user_id"),
    "tracks": ("track_id", "track_id"),
    "track_embeddings": ("track_id,ds", "track_id"),
    "user_embeddings": ("user_id,ds", "user_id"),
    "similar_tracks": ("track_id,ds", "track_id"),
    "plays": ("play_id", "user_id"),
    "rejected_plays": ("reject_id", ""),
}


class Lake:
    """A root with tables in it. `files` is how many a day's rows are cut into, by ranges of buckets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.page_index = True
        self._batches = 0

    def path(self, table: str) -> Path:
        return self.root / "tables" / table

    def publish(
        self, table: str, rows: Iterable[Mapping[str, Any]], at: datetime = PUBLISHED, files: int = 4
    ) -> TableVersion:
        """Replaces the days of `rows`, or all of a table that has none, in one commit."""
        log = self._table(table)
        entity = KEYS[table][1]
        schema = SCHEMAS[table]
        records = [self._row(row, entity) for row in rows]
        is_daily = "ds" in schema.names
        self._batches += 1
        adds = []
        for day, day_group in groupby(
            sorted(records, key=lambda r: str(r.get("ds"))), key=lambda r: r.get("ds")
        ):
            day_records = sorted(day_group, key=lambda r: (r.get("bucket", 0), r.get(entity, "")))
            size = -(-len(day_records) // files)
            for number, start in enumerate(range(0, len(day_records), size)):
                adds.append(self._file(table, day, number, day_records[start : start + size], at))
        log.create_write_transaction(
            adds,
            mode="overwrite",
            schema=log.schema(),
            partition_by=log.metadata().partition_columns,
            partition_filters=[("ds", "in", sorted({str(r["ds"]) for r in records}))] if is_daily else None,
            commit_properties=CommitProperties(max_commit_retries=0),
            post_commithook_properties=PostCommitHookProperties(
                create_checkpoint=False, cleanup_expired_logs=False
            ),
        )
        log = DeltaTable(self.path(table))
        total = sum(pa.table(log.get_add_actions())["num_records"].to_pylist())
        return TableVersion(log.version(), total, f"hash-{table}-{log.version()}")

    def release(self, day: date = DAY, **tables: TableVersion) -> Release:
        return append_release(self.root, day, tables)

    def remove_files_without(self, table: str, key: str, day: date) -> None:
        """Leaves the one or two files of the day that can hold the key, of a table of two days in eight files each."""
        target = segue.open(self.root).lookup(table, [key], columns=["bucket"])["bucket"][0].as_py()
        removals = 0
        for file in self.path(table).rglob("*.parquet"):
            buckets = pq.read_table(file, columns=["bucket"], partitioning=None)["bucket"].to_pylist()
            if f"ds={day}" not in str(file) or not min(buckets) <= target <= max(buckets):
                file.unlink()
                removals += 1
        assert removals >= 14, "one or two of 16 files should be left"

    def _table(self, table: str) -> DeltaTable:
        key, entity = KEYS[table]
        schema = SCHEMAS[table]
        return DeltaTable.create(
            self.path(table),
            schema,
            mode="ignore",
            partition_by=[name for name in ("ds", "available_at") if name in schema.names],
            configuration={
                "segue.key": key,
                "segue.entity": entity,
                "segue.buckets": str(BUCKETS if entity else 0),
                "delta.dataSkippingStatsColumns": "bucket" if entity else "ds",
            },
            raise_if_key_not_exists=False,
        )

    def _row(self, row: Mapping[str, Any], entity: str) -> dict[str, Any]:
        return {**row, "bucket": bucket(row[entity], BUCKETS)} if entity else dict(row)

    def _file(
        self, table: str, day: date | None, number: int, rows: list[dict[str, Any]], at: datetime
    ) -> AddAction:
        folders = [f"batch-{self._batches}", *([f"ds={day}"] if day else []), NULL_PATH]
        # A space and a letter beyond ASCII: the log holds such a path in another spelling than the disk.
        name = "/".join([*folders, f"part {number} ü.parquet"])
        path = self.path(table) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stored_fields = [field for field in SCHEMAS[table] if field.name not in ("ds", "available_at")]
        records = pa.Table.from_pylist(rows, schema=pa.schema(stored_fields))
        pq.write_table(
            records, path, write_page_index=self.page_index, max_rows_per_page=4, write_batch_size=4
        )
        buckets = [row["bucket"] for row in rows if "bucket" in row]
        stats = {"numRecords": len(rows)}
        if buckets:
            stats |= {"minValues": {"bucket": min(buckets)}, "maxValues": {"bucket": max(buckets)}}
        partition = {"available_at": at.strftime("%Y-%m-%d %H:%M:%S.%f")} | ({"ds": str(day)} if day else {})
        return AddAction(name, path.stat().st_size, partition, 0, True, json.dumps(stats))


def user(user_id: str, day: date = DAY, **overrides: Any) -> dict[str, Any]:
    base = {
        "user_id": user_id,
        "feature_at": datetime(2026, 11, 21, tzinfo=UTC),
        "plays_count_7d": 7,
        "completion_mean_7d": 0.5,
        "plays_hours_30d": [1 / 24] * 24,
        "ds": day,
    }
    return base | overrides


def embedding(
    track_id: str,
    ins: list[float] | None,
    outs: list[float] | None = None,
    day: date = DAY,
    space: str = "s1",
    version: str = "v1",
) -> dict[str, Any]:
    """`vector` follows from the others; without them nothing is known of the track."""
    vector = None
    if ins is not None:
        outs = outs or ins
        both = [a + b for a, b in zip(ins, outs, strict=True)]
        length = math.sqrt(sum(x * x for x in both))
        vector = [x / length for x in both]
    return {
        "track_id": track_id,
        "version_id": version,
        "space_id": space,
        "vector": vector,
        "in_vector": ins,
        "out_vector": outs,
        "support": 1,
        "source": "none" if ins is None else "learned",
        "ds": day,
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "a root")


@pytest.fixture
def make_user():
    return user


@pytest.fixture
def make_embedding():
    return embedding


@pytest.fixture(scope="session")
def many_users() -> list[dict[str, Any]]:
    """Two days of 200 listeners; counts tell listener and day apart."""
    return [user(f"u{i}", d, plays_count_7d=1000 * d.day + i) for d in (DAY_BEFORE, DAY) for i in range(200)]
