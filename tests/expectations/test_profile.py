"""The content hash sees every change of content, and nothing else; duplicates are counted exactly."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import combinations

import pytest

from expectations.profile import profile, row_hash
from reference.batches import DAY, NOON, batch, spoiled
from reference.frames import frame
from schemas import PLAYS, TRACK_EMBEDDINGS, TRACKS
from schemas.contract import Column, Contract

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


def seen(spark, rows, contract=PLAYS):
    return profile(frame(spark, rows, contract), contract)


def hashes(spark, rows, contract):
    """Hash of each row."""
    df = frame(spark, rows, contract)
    return [row[0] for row in df.select(row_hash(df, contract.names)).collect()]


def test_a_day_is_its_rows_and_their_hash(spark):
    rows = batch(PLAYS, 3) + batch(PLAYS, 2, ds=DAY + timedelta(days=1))
    found = seen(spark, rows)
    assert (found.rows, {day: part.rows for day, part in found.days.items()}) == (
        5,
        {DAY: 3, DAY + timedelta(days=1): 2},
    )


def test_a_table_without_days_is_one_part(spark):
    assert seen(spark, batch(TRACKS, 3), TRACKS).days[None].rows == 3
    empty = seen(spark, [], TRACKS)
    assert (empty.rows, empty.duplicate_keys, empty.content_hash) == (0, 0, "0" * 16)
    assert list(empty.days) == [None]


def test_an_empty_batch_has_no_days(spark):
    empty = seen(spark, [])
    assert (empty.rows, empty.duplicate_keys, empty.days) == (0, 0, {})


def test_order_and_partitions_do_not_matter(spark):
    rows = batch(PLAYS, 50)
    shuffled = random.Random(1).sample(rows, len(rows))
    one = profile(frame(spark, rows, PLAYS).repartition(7), PLAYS)
    assert one == profile(frame(spark, shuffled, PLAYS).coalesce(1), PLAYS)


def test_neither_does_the_instant_of_publication(spark):
    rows = batch(PLAYS, 3)
    assert seen(spark, rows) == seen(spark, spoiled(rows, 0, 1, 2, available_at=NOON))


def test_the_hashes_of_disjoint_parts_add_up(spark):
    first, second = batch(PLAYS, 20), batch(PLAYS, 30, ds=DAY + timedelta(days=1))
    parts, whole = (seen(spark, first), seen(spark, second)), seen(spark, first + second)
    assert whole.days == {**parts[0].days, **parts[1].days}
    total = sum(int(part.content_hash, 16) for part in parts) % 2**64
    assert whole.content_hash == f"{total:016x}"


def test_every_change_of_a_row_changes_its_hash(spark):
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
    found = hashes(spark, [{**row, **change} for change in changes], PLAYS)
    alike = [(changes[i], changes[j]) for i, j in combinations(range(len(found)), 2) if found[i] == found[j]]
    assert not alike, f"rows that differ hash alike: {alike}"


def test_values_that_change_places_between_two_rows_change_the_hash(spark):
    rows = batch(PLAYS, 20)
    swapped = spoiled(spoiled(rows, 4, ms_played=9), 5, ms_played=7)
    other = spoiled(spoiled(rows, 4, ms_played=7), 5, ms_played=9)
    assert seen(spark, swapped).content_hash != seen(spark, other).content_hash


def test_a_row_twice_is_not_the_row_once_nor_none(spark):
    rows = batch(PLAYS, 3)
    hashes = [seen(spark, rows + rows[:1] * more).content_hash for more in (0, 1, 2)]
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


def test_neighbouring_columns_are_told_apart(spark):
    rows = [dict(zip("abxy", row, strict=True)) for pair in NEIGHBOURS for row in pair]
    found = hashes(spark, rows, PAIR)
    alike = [pair for n, pair in enumerate(NEIGHBOURS) if found[2 * n] == found[2 * n + 1]]
    assert not alike, f"rows that differ hash alike: {alike}"


def test_vectors_are_content(spark):
    rows = batch(TRACK_EMBEDDINGS, 3)
    turned = spoiled(rows, 1, in_vector=[0.8, 0.6])
    assert (
        seen(spark, rows, TRACK_EMBEDDINGS).content_hash != seen(spark, turned, TRACK_EMBEDDINGS).content_hash
    )


def test_duplicate_keys_are_counted_within_a_day_and_across_days(spark):
    rows = batch(PLAYS, 4)
    within = rows + spoiled(rows[:2], 0, 1, ms_played=1)
    across = rows + spoiled(rows[:1], 0, ds=DAY + timedelta(days=1))
    counts = {
        name: seen(spark, r).duplicate_keys
        for name, r in (("none", rows), ("within", within), ("across", across))
    }
    assert counts == {"none": 0, "within": 2, "across": 1}


def test_null_keys_are_keys(spark):
    def pairs(*keys):
        return seen(spark, [{"a": a, "b": b, "x": [], "y": []} for a, b in keys], PAIR).duplicate_keys

    assert pairs((None, "k"), ("k", None)) == 0
    assert pairs((None, "k"), (None, "k"), (None, "k")) == 2


def test_hashes_that_collide_are_no_duplicates(spark, monkeypatch):
    from pyspark.sql import functions as F

    monkeypatch.setattr(F, "xxhash64", lambda *columns: F.lit(7).cast("bigint"))
    assert seen(spark, batch(PLAYS, 5)).duplicate_keys == 0


def test_a_profile_is_one_query(spark):
    df = frame(spark, batch(PLAYS, 5), PLAYS)
    collects = []
    original = type(df).collect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(df), "collect", lambda self: collects.append(1) or original(self))
        profile(df, PLAYS)
    assert len(collects) == 1, "the batch is scanned by more than one query though no key is doubtful"
