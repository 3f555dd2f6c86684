"""The content hash sees every change of content, and nothing else; duplicates are counted exactly."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from expectations.profile import profile, profile_days
from reference.batches import DAY, NOON, batch, spoil
from reference.frames import frame
from schemas import PLAYS, TRACK_EMBEDDINGS, TRACKS
from schemas.contract import Column, Contract
from schemas.row_hash import row_hash

PAIR = Contract(
    name="pairs",
    meaning="two columns of each type, side by side",
    columns=(
        Column("a", "string", "a"),
        Column("b", "string", "b"),
        Column("x", "array<string>", "x"),
        Column("y", "array<string>", "y"),
    ),
    key=("a", "b"),
    partitions=(),
)


def profile_rows(spark, rows, contract=PLAYS):
    return profile(frame(spark, rows, contract), contract)


def hash_rows(spark, rows, contract):
    """Hash of each row."""
    df = frame(spark, rows, contract)
    return [row[0] for row in df.select(row_hash(df, contract.names)).collect()]


def test_profile_counts_rows_by_day(spark):
    rows = batch(PLAYS, 3) + batch(PLAYS, 2, ds=DAY + timedelta(days=1))
    batch_profile = profile_rows(spark, rows)
    assert (batch_profile.rows, {day: part.rows for day, part in batch_profile.days.items()}) == (
        5,
        {DAY: 3, DAY + timedelta(days=1): 2},
    )


def test_profile_of_a_table_without_days_has_one_part(spark):
    assert profile_rows(spark, batch(TRACKS, 3), TRACKS).days[None].rows == 3
    empty_profile = profile_rows(spark, [], TRACKS)
    assert (empty_profile.rows, empty_profile.duplicate_keys, empty_profile.content_hash) == (0, 0, "0" * 16)
    assert list(empty_profile.days) == [None]


def test_profile_of_an_empty_batch_has_no_days(spark):
    empty_profile = profile_rows(spark, [])
    assert (empty_profile.rows, empty_profile.duplicate_keys, empty_profile.days) == (0, 0, {})


def test_profile_ignores_row_order_and_partitions(spark):
    rows = batch(PLAYS, 50)
    permutation = random.Random(1).sample(rows, len(rows))
    batch_profile = profile(frame(spark, rows, PLAYS).repartition(7), PLAYS)
    assert batch_profile == profile(frame(spark, permutation, PLAYS).coalesce(1), PLAYS)


def test_profile_ignores_the_instant_of_publication(spark):
    rows = batch(PLAYS, 3)
    assert profile_rows(spark, rows) == profile_rows(spark, spoil(rows, 0, 1, 2, available_at=NOON))


def test_kept_hash_of_some_columns_is_the_content_hash_of_a_table_of_them(spark):
    rows = batch(PLAYS, 20) + batch(PLAYS, 30, ds=DAY + timedelta(days=1))
    df, names = frame(spark, rows, PLAYS), PLAYS.names[::2]
    narrow = replace(PLAYS, columns=tuple(PLAYS.column(name) for name in names))
    days, whole, of_narrow = profile_days(df, PLAYS, names), profile_days(df, PLAYS), profile_days(df, narrow)
    assert {day: each.kept_hash for day, each in days.items()} == {
        day: each.content_hash for day, each in of_narrow.items()
    }
    assert {day: replace(each, kept_hash=0) for day, each in days.items()} == whole
    assert {each.kept_hash for each in days.values()}.isdisjoint(each.content_hash for each in whole.values())


def test_content_hash_is_the_sum_of_the_hashes_of_disjoint_parts(spark):
    first, second = batch(PLAYS, 20), batch(PLAYS, 30, ds=DAY + timedelta(days=1))
    parts, whole = (
        (profile_rows(spark, first), profile_rows(spark, second)),
        profile_rows(spark, first + second),
    )
    assert whole.days == {**parts[0].days, **parts[1].days}
    total = sum(int(part.content_hash, 16) for part in parts) % 2**64
    assert whole.content_hash == f"{total:016x}"


def test_row_hash_changes_with_every_value(spark):
    row = batch(PLAYS, 1)[0]
    changes = [
        {},
        {"track_id": "other"},
        {"artist_id": None},
        {"ms_played": None},
        {"track_ms": None},
        {"skipped": None},
        {"saved": None},
        {"ms_played": 4},
        {"played_at": NOON + timedelta(microseconds=1)},
        {"track_id": row["artist_id"], "artist_id": row["track_id"]},
    ]
    hashes = hash_rows(spark, [{**row, **change} for change in changes], PLAYS)
    collisions = [
        (changes[i], changes[j]) for i, j in combinations(range(len(hashes)), 2) if hashes[i] == hashes[j]
    ]
    assert not collisions, f"rows that differ hash alike: {collisions}"


def test_content_hash_changes_when_two_rows_exchange_values(spark):
    rows = batch(PLAYS, 20)
    first = spoil(spoil(rows, 4, ms_played=9), 5, ms_played=7)
    second = spoil(spoil(rows, 4, ms_played=7), 5, ms_played=9)
    assert profile_rows(spark, first).content_hash != profile_rows(spark, second).content_hash


def test_content_hash_counts_repeated_rows(spark):
    rows = batch(PLAYS, 3)
    hashes = [profile_rows(spark, rows + rows[:1] * more).content_hash for more in (0, 1, 2)]
    assert len(set(hashes)) == 3, "a sum must see what an exclusive or would cancel"


NEIGHBOURS = [
    (("v", None, [], []), (None, "v", [], [])),
    (("", None, [], []), (None, "", [], [])),
    (("ab", "c", [], []), ("a", "bc", [], [])),
    (("v", "v", ["p"], ["q"]), ("v", "v", ["p", "q"], [])),
    (("v", "v", [None, "p"], []), ("v", "v", ["p", None], [])),
    (("v", "v", ["p"], []), ("v", "v", ["p", None], [])),
    (("v", "v", [], []), ("v", "v", None, [])),
    (("v", "v", [], None), ("v", "v", None, [])),
]


def test_row_hash_distinguishes_neighbouring_columns(spark):
    rows = [dict(zip("abxy", row, strict=True)) for pair in NEIGHBOURS for row in pair]
    hashes = hash_rows(spark, rows, PAIR)
    collisions = [pair for n, pair in enumerate(NEIGHBOURS) if hashes[2 * n] == hashes[2 * n + 1]]
    assert not collisions, f"rows that differ hash alike: {collisions}"


def test_content_hash_covers_vectors(spark):
    rows = batch(TRACK_EMBEDDINGS, 3)
    other = spoil(rows, 1, in_vector=[0.8, 0.6])
    assert (
        profile_rows(spark, rows, TRACK_EMBEDDINGS).content_hash
        != profile_rows(spark, other, TRACK_EMBEDDINGS).content_hash
    )


def test_profile_counts_duplicate_keys_within_and_across_days(spark):
    rows = batch(PLAYS, 4)
    within = rows + spoil(rows[:2], 0, 1, ms_played=1)
    across = rows + spoil(rows[:1], 0, ds=DAY + timedelta(days=1))
    counts = {
        name: profile_rows(spark, r).duplicate_keys
        for name, r in (("none", rows), ("within", within), ("across", across))
    }
    assert counts == {"none": 0, "within": 2, "across": 1}


def test_profile_counts_duplicate_keys_with_nulls(spark):
    def count_duplicates(*keys):
        return profile_rows(spark, [{"a": a, "b": b, "x": [], "y": []} for a, b in keys], PAIR).duplicate_keys

    assert count_duplicates((None, "k"), ("k", None)) == 0
    assert count_duplicates((None, "k"), (None, "k"), (None, "k")) == 2


def test_profile_counts_no_duplicates_for_colliding_hashes(spark, monkeypatch):
    from pyspark.sql import functions as F

    monkeypatch.setattr(F, "xxhash64", lambda *columns: F.lit(7).cast("bigint"))
    assert profile_rows(spark, batch(PLAYS, 5)).duplicate_keys == 0


def test_profile_runs_one_query_where_no_key_is_doubtful(spark):
    df = frame(spark, batch(PLAYS, 5), PLAYS)
    calls = []
    original = type(df).collect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(df), "collect", lambda self: calls.append(1) or original(self))
        profile(df, PLAYS)
    assert len(calls) == 1, "the batch is scanned by more than one query though no key is doubtful"
