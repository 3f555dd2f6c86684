"""The log of plain Parquet files: each file named, with the extremes that its values have."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.job import Job
from jobs.publishing.batches import reserve
from jobs.publishing.commits import list_staged_files
from jobs.publishing.footers import log_written_files
from jobs.publishing.staging import write
from reference.frames import frame
from reference.published import DAYS, opening, sessions
from schemas import Column, Contract
from schemas.common import AVAILABLE_AT
from schemas.sessions import SESSIONS
from segue.paged_file import PagedFile

NEVER = "available_at=__HIVE_DEFAULT_PARTITION__"
AT = datetime(2026, 10, 1, 23, 59, 59, 999_999, UTC)


def lay(folder, columns, row_group_size=None, name="part-0.parquet"):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name, row_group_size=row_group_size)


def log(folder, partitions=(), statistics=()):
    """What the log says of the files, by path."""
    fields = {"x": pa.int64(), **dict.fromkeys(partitions, pa.string())}
    DeltaTable.create(str(folder), pa.schema(list(fields.items())), partition_by=list(partitions) or None)
    log_written_files(str(folder), statistics)
    entry = folder / "_delta_log" / f"{1:020}.json"
    actions = [json.loads(line) for line in entry.read_text().splitlines()] if entry.exists() else []
    adds = [action["add"] for action in actions if "add" in action]
    return {add["path"]: {**add, "stats": json.loads(add["stats"])} for add in adds}


def test_log_written_files_names_files_with_their_partitions(tmp_path):
    lay(tmp_path / "ds=2026-10-01" / NEVER, {"x": [1]})
    lay(tmp_path / "ds=a%2Fb c" / NEVER, {"x": [1, 2]})
    adds = log(tmp_path, ("ds", "available_at"))
    partitions = [add["partitionValues"] for add in adds.values()]
    assert {each["ds"] for each in partitions} == {"2026-10-01", "a/b c"}
    assert {each["available_at"] for each in partitions} == {None}
    table = DeltaTable(str(tmp_path))
    rows = {uri: pq.read_metadata(uri).num_rows for uri in table.file_uris()}
    assert sorted(rows.values()) == [1, 2], (
        f"a reader does not find the files by their names in the log: {rows}"
    )


def test_log_written_files_leaves_out_what_tasks_left_behind(tmp_path):
    lay(tmp_path, {"x": [1]})
    lay(tmp_path / "_temporary" / "0", {"x": [2]})
    lay(tmp_path, {"x": [3]}, name=".part-0.parquet.crc")
    assert list(log(tmp_path)) == ["part-0.parquet"]


def test_log_written_files_removes_a_file_without_rows(tmp_path):
    lay(tmp_path, {"x": pa.array([], pa.int64())})
    assert log(tmp_path) == {}
    assert list(tmp_path.glob("*.parquet")) == []
    assert DeltaTable(str(tmp_path)).version() == 0, "a commit that names nothing"


def test_log_written_files_gives_extremes_over_all_row_groups(tmp_path):
    lay(tmp_path, {"x": [5, None, 9, 2, 7]}, row_group_size=2)
    (add,) = log(tmp_path, statistics=("x",)).values()
    assert add["stats"] == {
        "numRecords": 5,
        "minValues": {"x": 2},
        "maxValues": {"x": 9},
        "nullCount": {"x": 1},
    }


@pytest.mark.parametrize(
    ("values", "least", "greatest"),
    [
        (pa.array([AT], pa.timestamp("us", "UTC")), "2026-10-01T23:59:59.999999Z", "2026-10-01T23:59:59.999999Z"),
        (pa.array([date(2026, 1, 2), date(1969, 1, 2)]), "1969-01-02", "2026-01-02"),
        (pa.array(["b", "ä"]), "b", "ä"),
        (pa.array([-0.5, 2.0]), -0.5, 2.0),
    ],
    ids=["instant", "day", "text", "number"],
)  # fmt: skip
def test_log_written_files_writes_extremes_as_delta_has_them(tmp_path, values, least, greatest):
    lay(tmp_path, {"x": values})
    (add,) = log(tmp_path, statistics=("x",)).values()
    assert (add["stats"]["minValues"], add["stats"]["maxValues"]) == ({"x": least}, {"x": greatest})


@pytest.mark.parametrize(
    "values",
    [
        pa.array([None, None], pa.int64()),
        pa.array([float("inf"), 1.0]),
        pa.array([b"\xff"]),
        pa.array([[1, 2]]),
    ],
    ids=["null", "infinity", "bytes", "nested"],
)
def test_log_written_files_says_nothing_of_extremes_that_may_mislead(tmp_path, values):
    lay(tmp_path, {"x": values})
    (add,) = log(tmp_path, statistics=("x", "no such column")).values()
    # a reader without extremes reads the file; by wrong ones it leaves rows out
    assert (add["stats"]["minValues"], add["stats"]["maxValues"]) == ({}, {})


def test_write_names_the_same_rows_and_extremes_as_deltas_own_writer(spark, tmp_path):
    job = Job("test", str(tmp_path / "a root"), "run-1", say=lambda text: None)
    late = [opening("late", AT, session_started_at=AT)]
    rows = sessions(spark, [0, 1], ms_played=None).unionAll(frame(spark, late, SESSIONS))
    logs = []
    for contract in (None, SESSIONS):
        batch = reserve(job.warehouse, job.batch("sessions", DAYS[:2], parameters={"turn": len(logs)}))
        path = f"{job.warehouse.table_path('sessions')}/batch-{batch.id}"
        assert write(rows.repartition("ds").sortWithinPartitions("ds", "bucket"), path, contract) is None
        adds = {add["partitionValues"]["ds"]: add for add in list_staged_files(job.warehouse, path)}
        assert all(Path(path, "..", add["path"]).stat().st_size == add["size"] for add in adds.values())
        logs.append({ds: (add["partitionValues"], round_instants(add["stats"])) for ds, add in adds.items()})
    assert len(logs[0]) == 2 and logs[0] == logs[1]


def round_instants(text):
    """Delta cuts instants off at milliseconds."""
    stats = json.loads(text)
    for extremes in (stats["minValues"], stats["maxValues"]):
        extremes["played_at"] = f"{extremes['played_at'].rstrip('Z')[:23]:0<23}"
    return stats


@pytest.mark.parametrize(("key", "rows_of_page"), [("user_id", 1000), ("play_id", 2500)])
def test_rows_of_an_entity_are_on_small_pages_where_it_has_one(spark, tmp_path, key, rows_of_page):
    texts = [Column(name, "string", "", nullable=False) for name in ("user_id", "play_id")]
    columns = (*texts, Column("bucket", "int", "", nullable=False), AVAILABLE_AT)
    contract = Contract("small", "", columns, (key,), "user_id", partitions=("available_at",), buckets=64)
    types = {
        "user_id": pa.string(),
        "play_id": pa.string(),
        "bucket": pa.int32(),
        "available_at": pa.timestamp("us", "UTC"),
    }
    DeltaTable.create(str(tmp_path / "rows"), pa.schema(list(types.items())), partition_by=["available_at"])
    id_ = "format_string('u%05d', id)"
    rows = spark.range(0, 2500, 1, 1).selectExpr(
        f"{id_} as user_id", f"{id_} as play_id", "1 as bucket", "cast(null as timestamp) as available_at"
    )
    assert write(rows, str(tmp_path / "rows"), contract) is None
    (path,) = (tmp_path / "rows").rglob("*.parquet")
    found = PagedFile(str(path)).find_rows("user_id", {1: [b"u00007"]}, "bucket")
    assert [len(of_group) for _, of_group in found] == [rows_of_page]
