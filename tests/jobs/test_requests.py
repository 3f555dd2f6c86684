"""What would cut a request of labels is refused before anything is joined; ids of items become keys."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from features.joins.splits import split
from jobs.errors import WrongUsage
from jobs.training import request as requested
from jobs.training.request import Request, list_keys
from jobs.training.requests import add_item_ids, check_requests
from segue.lookup import Key
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


def test_splits_of_both_halves_hash_alike(spark):
    users = ["u1", "", "ü", "用户", None, *(f"u{n}" for n in range(200))]
    rows = spark.createDataFrame([(each,) for each in users], "user_id string")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    shares = (0.5, 0.2, 0.3)
    from pyspark.sql import functions as F

    columns = [split(F.lit(at), (), F.col("user_id"), shares, salt) for salt in ("", "ü 1")]
    found = rows.select(*(column.alias(f"c{n}") for n, column in enumerate(columns))).collect()
    key = Key.of(pa.chunked_array([users]))
    for n, salt in enumerate(("", "ü 1")):
        assert [row[n] for row in found] == [SPLITS[place] for place in split_by_share(key, shares, salt)]
