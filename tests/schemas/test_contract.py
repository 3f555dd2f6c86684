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
    assert comment == "how long it was played [ms]"


def test_nested_types_are_sparks():
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


def test_a_range_of_a_column_that_may_be_null_lets_null_pass():
    checks = CONTRACTS["plays"].constraints
    assert checks["ms_played_range"] == "ms_played is null or ms_played >= 0"
    assert checks["bucket_range"] == "bucket between 0 and 63"
    assert checks["play_id_not_empty"] == "play_id <> ''"
