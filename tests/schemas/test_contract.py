"""What `conform` refuses, and which columns and errors follow from declarations."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from reference.frames import frame
from reference.rows import bucket
from reference.worlds import USERS
from schemas import CONTRACTS, Column, Contract, ContractError, conform

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


def conform_error(df):
    with pytest.raises(ContractError) as error:
        conform(df, SMALL)
    return str(error.value)


def test_conform_raises_every_discrepancy_at_once_by_kind(small):
    faulty_rows = small.select(
        F.lit(1).alias("user_id"),
        F.lit(None).cast("timestamp").alias("played_at"),
        F.array(F.lit(1.0).cast("float")).alias("hours"),
        F.lit("x").alias("colour"),
        F.lit("y").alias("shape"),
    )
    assert conform_error(faulty_rows) == (
        "table small breaks its contract; missing: score; unexpected: colour, shape; "
        "wrong type: user_id (is int, contract says string), "
        "hours (is array<float>, contract says array<double>); "
        "null where the contract allows none: played_at"
    )


@pytest.mark.parametrize("absent", ["played_at", "score", "user_id"])
def test_conform_names_an_absent_column_that_others_follow_from(small, absent):
    assert conform_error(small.drop(absent, "bucket")).startswith(
        f"table small breaks its contract; missing: {absent}"
    )


def test_conform_compares_names_with_their_case(small):
    assert "missing: score; unexpected: Score" in conform_error(small.withColumnRenamed("score", "Score"))


def test_conform_orders_columns_as_the_contract_does(small):
    rows = small.select(*reversed(SMALL.names))
    assert conform(rows, SMALL).columns == list(SMALL.names)


def test_conform_adds_derived_columns_and_keeps_existing_ones(spark):
    rows = [{"user_id": user, "bucket": -1} for user in USERS]
    contract = Contract(
        "keys", "ids", (SMALL.columns[0], *SMALL.columns[-2:]), ("user_id",), "user_id", buckets=64
    )
    full_rows = frame(spark, rows, contract)
    buckets = {
        r["user_id"]: r["bucket"]
        for r in conform(full_rows.drop("bucket", "available_at"), contract).collect()
    }
    assert buckets == {user: bucket(user) for user in USERS}
    assert {row["bucket"] for row in conform(full_rows, contract).collect()} == {-1}
    assert (
        conform(full_rows.drop("available_at"), contract).schema["available_at"].dataType.typeName()
        == "timestamp"
    )


def test_conform_accepts_a_column_without_nulls_where_null_is_allowed(small):
    assert conform(small.withColumn("score", F.lit(0.5)), SMALL).columns == list(SMALL.names)


def test_conform_refuses_a_repeated_column(small):
    assert "score" in conform_error(small.select("*", F.lit(0.1).alias("score")))


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_a_contract_refers_to_its_own_columns(contract):
    columns = {*contract.key, *contract.partitions, *contract.statistics}
    columns |= {name for name in (contract.entity, contract.event_time) if name}
    assert columns <= set(contract.names)
    assert len(set(contract.names)) == len(contract.names), "a column stands twice"
    assert (contract.entity is not None) == (contract.buckets > 0) == ("bucket" in contract.names)
    assert [field.name for field in contract.struct().fields] == list(contract.names)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_contract_has_no_statistics_of_strings(contract):
    text_columns = {name for name in contract.statistics if contract.column(name).type == "string"}
    assert not text_columns, "the log would keep what erasure must remove"


def test_struct_has_comments_with_their_unit():
    comment = CONTRACTS["plays"].struct()["ms_played"].metadata["comment"]
    assert comment == "how long it was played [ms]"


def test_struct_has_the_nested_types_of_spark():
    contract = Contract(
        "nested",
        "types",
        (
            Column("plays", "array<struct<at:timestamp,play_id:string,value:bigint>>", "listed"),
            Column("sum", "decimal(38,12)", "exact"),
            Column("sketch", "binary", "bytes"),
        ),
        (),
    )
    types = [field.dataType.simpleString() for field in contract.struct()]
    assert types == [column.type for column in contract.columns]


def test_constraints_of_a_range_accept_null_where_the_column_may_be_null():
    constraints = CONTRACTS["plays"].constraints
    assert constraints["ms_played_range"] == "ms_played is null or ms_played >= 0"
    assert constraints["bucket_range"] == "bucket between 0 and 63"
    assert constraints["play_id_not_empty"] == "play_id <> ''"


def test_contracts_say_where_an_entity_has_one_row():
    one = {name for name, contract in CONTRACTS.items() if contract.one_row_per_entity}
    assert {"tracks", "user_features", "user_embeddings", "similar_tracks"} <= one
    assert not {"plays", "sessions", "user_partials", "user_track_partials", "releases"} & one
