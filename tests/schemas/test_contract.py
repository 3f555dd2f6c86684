"""What `conform` refuses, and which columns and errors follow from declarations."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from reference.frames import frame
from reference.rows import bucket
from reference.worlds import USERS
from schemas import CONTRACTS, Column, Contract, ContractError, conform
from schemas.declarations import OPERATIONS, DeclarationError, Feature, FeatureGroup, days
from schemas.track_features import TRACK_FEATURES
from schemas.user_features import USER_FEATURES

SMALL = Contract(
    name="small",
    meaning="a table to break",
    columns=(
        Column("user_id", "string", "who", nullable=False),
        Column("played_at", "timestamp", "when", "UTC", False),
        Column("score", "double", "how much", "0..1"),
        Column("hours", "array<double>", "by hour"),
        Column("bucket", "int", "of user_id", nullable=False),
        Column("available_at", "timestamp", "of publication", "UTC"),
    ),
    key=("user_id",),
    entity="user_id",
    buckets=64,
)


@pytest.fixture
def small(spark):
    return frame(spark, [], SMALL)


def complaint(df):
    with pytest.raises(ContractError) as error:
        conform(df, SMALL)
    return str(error.value)


def test_every_discrepancy_is_raised_at_once_and_grouped(small):
    broken = small.select(
        F.lit(1).alias("user_id"),
        F.lit(None).cast("timestamp").alias("played_at"),
        F.array(F.lit(1.0).cast("float")).alias("hours"),
        F.lit("x").alias("colour"),
        F.lit("y").alias("shape"),
    )
    assert complaint(broken) == (
        "table small breaks its contract; missing: score; unexpected: colour, shape; "
        "wrong type: user_id (is int, contract says string), "
        "hours (is array<float>, contract says array<double>); "
        "null where the contract allows none: played_at"
    )


@pytest.mark.parametrize("absent", ["played_at", "score", "user_id"])
def test_an_absent_column_is_named_even_where_others_follow_from_it(small, absent):
    assert complaint(small.drop(absent, "bucket")).startswith(
        f"table small breaks its contract; missing: {absent}"
    )


def test_names_are_compared_with_their_case(small):
    assert "missing: score; unexpected: Score" in complaint(small.withColumnRenamed("score", "Score"))


def test_columns_come_in_the_contracts_order(small):
    turned = small.select(*reversed(SMALL.names))
    assert conform(turned, SMALL).columns == list(SMALL.names)


def test_what_follows_is_added_and_what_is_given_is_kept(spark):
    rows = [{"user_id": user, "bucket": -1} for user in USERS]
    contract = Contract(
        "keys", "ids", (SMALL.columns[0], *SMALL.columns[-2:]), ("user_id",), "user_id", buckets=64
    )
    given = frame(spark, rows, contract)
    found = {
        r["user_id"]: r["bucket"] for r in conform(given.drop("bucket", "available_at"), contract).collect()
    }
    assert found == {user: bucket(user) for user in USERS}
    assert {row["bucket"] for row in conform(given, contract).collect()} == {-1}
    assert (
        conform(given.drop("available_at"), contract).schema["available_at"].dataType.typeName()
        == "timestamp"
    )


def test_not_null_is_more_than_was_asked_for(small):
    assert conform(small.withColumn("score", F.lit(0.5)), SMALL).columns == list(SMALL.names)


def test_a_column_twice_is_refused(small):
    assert "score" in complaint(small.select("*", F.lit(0.1).alias("score")))


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_a_contract_refers_to_its_own_columns(contract):
    named = {*contract.key, *contract.partitions, *contract.statistics}
    named |= {name for name in (contract.entity, contract.event_time) if name}
    assert named <= set(contract.names)
    assert len(set(contract.names)) == len(contract.names), "a column stands twice"
    assert (contract.entity is not None) == (contract.buckets > 0) == ("bucket" in contract.names)
    assert [field.name for field in contract.struct().fields] == list(contract.names)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_the_log_holds_no_minimum_of_an_id(contract):
    texts = {name for name in contract.statistics if contract.column(name).type == "string"}
    assert not texts, "the log would keep what erasure must remove"


def test_comments_reach_the_schema_with_their_unit():
    comment = CONTRACTS["plays"].struct()["ms_played"].metadata["comment"]
    assert comment == "how long it was heard [ms]"


def test_a_features_columns_follow_from_its_declaration():
    feature = Feature("ms_played", "sum", "ms_played", "listening time", ("1d", "90d"))
    assert list(feature.columns()) == [
        Column("ms_played_sum_1d", "bigint", "listening time, 1d", nullable=False),
        Column("ms_played_sum_90d", "bigint", "listening time, 90d", nullable=False),
    ]


@pytest.mark.parametrize("op", OPERATIONS)
def test_only_what_no_plays_leave_unknown_may_be_null(op):
    window = "lifetime" if op.startswith("days_since") else "7d"
    (column,) = Feature("plays", op, "played_at", "x", (window,)).columns()
    assert column.name == f"plays_{op}_{window}"
    assert (column.type, column.unit) == OPERATIONS[op]
    assert column.nullable == (op in ("mean", "rate"))


def test_a_groups_contract_frames_its_features():
    group = FeatureGroup("g", "artist_id", "m", (Feature("plays", "count", "play_id", "x", ("2d", "1d")),))
    contract = group.contract()
    framed = "artist_id feature_at plays_count_2d plays_count_1d bucket available_at ds"
    assert " ".join(contract.names) == framed
    assert (contract.key, contract.entity, contract.event_time) == (
        ("artist_id", "ds"),
        "artist_id",
        "feature_at",
    )


def test_the_declared_tables_have_the_columns_readers_ask_for():
    assert {"plays_count_7d", "ms_played_sum_30d", "artists_distinct_1d", "bot_plays_rate_30d"} <= set(
        USER_FEATURES.names
    )
    assert {"plays_trend_1d", "first_positions_rate_30d", "plays_days_since_last_lifetime"} <= set(
        TRACK_FEATURES.names
    )
    assert "first_positions_rate_7d" not in TRACK_FEATURES.names


@pytest.mark.parametrize(
    ("op", "windows", "message"),
    [
        ("median", ("7d",), r"feature plays: operation 'median' is unknown; known: count, sum,"),
        ("count", ("lifetime",), "feature plays: count has no window 'lifetime'"),
        ("days_since_last", ("7d",), "feature plays: days_since_last has no window '7d'"),
        ("count", ("7d", "1w"), "window '1w' is none; write days as '7d', or 'lifetime'"),
        ("count", ("0d",), "window '0d' is none"),
        ("count", ("-7d",), "window '-7d' is none"),
        ("count", ("d",), "window 'd' is none"),
        ("count", ("²d",), "window '²d' is none"),
        ("count", "7d", "window '7' is none"),
    ],
)
def test_a_declaration_that_cannot_be_computed_says_why(op, windows, message):
    with pytest.raises(DeclarationError, match=message):
        Feature("plays", op, "play_id", "x", windows)


def test_two_features_of_one_name_are_refused():
    features = (
        Feature("plays", "count", "play_id", "x"),
        Feature("plays", "count", "track_id", "y", ("7d",)),
    )
    with pytest.raises(DeclarationError, match="plays_count_7d"):
        FeatureGroup("g", "user_id", "m", features).contract()


def test_a_window_is_whole_days():
    assert [days(window) for window in ("1d", "7d", "365d")] == [1, 7, 365]


def test_a_range_of_a_column_that_may_be_null_lets_null_pass():
    checks = CONTRACTS["plays"].constraints
    assert checks["ms_played_range"] == "ms_played is null or ms_played >= 0"
    assert checks["bucket_range"] == "bucket between 0 and 63"
    assert checks["play_id_told"] == "play_id <> ''"
