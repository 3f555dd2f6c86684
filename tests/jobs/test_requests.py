"""What would cut a request of labels is refused before anything is joined; ids of items become keys."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.joins.splits import split
from jobs.errors import WrongUsage
from jobs.training import request as requested
from jobs.training.request import Request, list_keys
from jobs.training.requests import add_item_ids, check_requests
from segue.splits import SPLITS, split_by_share

FEATURES = ("track_features:plays_count_7d", "user_artist_features")
COLUMNS = "request_id string, user_id string, device string, item_type string, item_id string"


def test_requests_that_would_be_cut_are_counted(spark):
    rows = spark.createDataFrame(
        [
            ("r1", "u1", "phone", "track", "t1"),
            ("r1", "u1", None, "artist", "a1"),
            ("r2", "u2", "phone", "track", "t2"),
            ("r2", "u2", "phone", "playlist", "p"),
        ],
        COLUMNS,
    )
    request = Request("labels", FEATURES, groups="request_id", split_by="user_id")
    check_requests(rows, request)
    added = add_item_ids(rows, request)
    assert list_keys(request) == ["track_id", "user_id", "artist_id"]
    assert [(row["track_id"], row["artist_id"]) for row in added.collect()] == [
        ("t1", None),
        (None, "a1"),
        ("t2", None),
        (None, None),
    ]
    assert add_item_ids(rows, Request("labels", FEATURES)) is rows
    by_device = Request("labels", groups="request_id", split_by="device")
    with pytest.raises(WrongUsage, match=r"several device \(1 requests\)"):
        check_requests(rows, by_device)
    others = rows.replace({"u2": None, "r2": None})
    with pytest.raises(WrongUsage, match="2 labels have none"):
        check_requests(others, request)
    with pytest.raises(WrongUsage, match="no such column"):
        check_requests(rows, Request("labels", groups="slate"))


def test_a_released_table_that_is_declared_no_more_is_refused_as_that(monkeypatch):
    tables = ["plays", "track_features", "user_features"]
    monkeypatch.delitem(requested.CONTRACTS, "track_features")
    with pytest.raises(WrongUsage, match=r"of track_features: the release has that, and nothing declares it"):
        requested.daily_columns(["track_features:plays_count_7d"], tables, pytest.fail)
    with pytest.raises(WrongUsage, match="no table 'album_features' with features in the release"):
        requested.daily_columns(["album_features"], tables, pytest.fail)


def test_positions_that_are_no_numbers_are_refused_as_whoever_reads_the_set_does(spark):
    request = Request("labels", groups="request_id")
    for type_ in ("int", "double", "decimal(5,1)", "void"):
        check_requests(spark.createDataFrame([("r1", None)], f"request_id string, position {type_}"), request)
    for type_ in ("string", "boolean"):
        rows = spark.createDataFrame([("r1", None)], f"request_id string, position {type_}")
        with pytest.raises(WrongUsage, match=f"order of 'position', a number; got {type_}"):
            check_requests(rows, request)


NUMBERS = [0, 1, -1, 100, -128, 127, None, *range(40)]
DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(-30_000, 30_000, 2_000)]
INSTANTS = [datetime(1960, 1, 1, 0, 0, n, n, UTC) for n in range(40)]
FLOATS = [0.0, -0.0, 0.1, float("nan"), float("inf"), -3.0, None]
SPLIT_KEYS = {
    "text": pa.array(["u1", "", "ü", "用户", None, *(f"u{n}" for n in range(200))]),
    "category": pa.array(["u1", "u2", None, *(f"u{n}" for n in range(40))]).dictionary_encode(),
    "bytes": pa.array([b"u1", b"", b"\xff", None]),
    **{str(type_): pa.array(NUMBERS, type_) for type_ in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{
        str(type_): pa.array(NUMBERS[:2] + NUMBERS[6:], type_)
        for type_ in (pa.uint8(), pa.uint16(), pa.uint32())
    },
    "limits": pa.array([2**63 - 1, -(2**63), 2**32, 2**31]),
    "bool": pa.array([True, False, None]),
    "date": pa.array([*DAYS, None]),
    "instant": pa.array([*INSTANTS, None], pa.timestamp("us", "UTC")),
    "milliseconds": pa.array([1, -1, 10**12, None], pa.timestamp("ms")),
    "double": pa.array(FLOATS),
    "float": pa.array(FLOATS, pa.float32()),
}


def test_splits_of_both_halves_hash_alike(spark, tmp_path):
    """Of keys of every type that labels come as, from files as the client's users write them."""
    from pyspark.sql import functions as F

    rows = max(map(len, SPLIT_KEYS.values()))
    padded = {
        name: pa.concat_arrays([key, pa.nulls(rows - len(key), key.type)]) for name, key in SPLIT_KEYS.items()
    }
    pq.write_table(pa.table(padded), tmp_path / "labels.parquet")
    at, shares, salts = F.lit(datetime(2026, 1, 1, tzinfo=UTC)), (0.5, 0.2, 0.3), ("", "ü 1")
    labels = spark.read.parquet(str(tmp_path / "labels.parquet"))
    columns = {
        (name, salt): split(at, (), F.col(f"`{name}`"), shares, salt) for name in SPLIT_KEYS for salt in salts
    }
    found = labels.select(*columns.values()).collect()
    for n, (name, salt) in enumerate(columns):
        by_client = split_by_share(pa.chunked_array([padded[name]]), shares, salt)
        assert [row[n] for row in found] == [SPLITS[place] for place in by_client], (
            f"{name} with salt {salt!r}: the client splits otherwise than Spark, so that a test set leaks"
        )
