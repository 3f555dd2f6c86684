"""Vectors of two spaces in a training set by Spark: refused, or left out, as the client without Spark does."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from jobs import build_training_set
from jobs.errors import WrongUsage
from jobs.publishing.warehouse import Warehouse
from jobs.training.manifest import load
from jobs.training.record import list_training_sets
from reference.published import lay
from schemas import CONTRACTS
from segue.errors import SegueError, UsageError

FIRST = date(2026, 11, 1)
DAYS = [FIRST + timedelta(days=n) for n in (0, 1, 2, 3, 6)]
# Of the listeners' vectors the second space begins a day later: on that day the tables do not fit together.
SPACES = {
    "track_embeddings": dict(zip(DAYS, ("s1", "s1", "s2", "s2", "s3"), strict=True)),
    "user_embeddings": dict(zip(DAYS, ("s1", "s1", "s1", "s2", "s3"), strict=True)),
}
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("track_id", pa.string()),
        ("label_at", pa.timestamp("us", "UTC")),
        ("n", pa.int64()),
    ]
)
US, HOUR = timedelta(microseconds=1), timedelta(hours=1)
BOTH = ["track_embeddings:vector", "user_embeddings:vector"]


def end_of_day(ds):
    return datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(days=1)


def make_rows(table, spaces):
    """One entity with vectors that tell days apart; of tracks, one of which nothing is known."""
    entity = CONTRACTS[table].entity
    for n, (day, space) in enumerate(spaces.items(), 1):
        common = {
            "feature_at": end_of_day(day),
            "version_id": "v",
            "space_id": space,
            "ds": day,
            "support": 1,
        }
        common |= {"available_at": end_of_day(day) + (9 if entity == "user_id" else 6) * HOUR}
        vectors = {
            "vector": [0.6, 0.8],
            "in_vector": [n, 1.0],
            "out_vector": [0.0, n],
            "norm": 1.0,
            "weight": 1.0,
        }
        yield common | vectors | {entity: f"{entity[0]}1", "source": "learned"}
        if table == "track_embeddings":
            yield common | dict.fromkeys((*vectors, "in_state"), None) | {entity: "t2", "source": "none"}


@pytest.fixture(scope="module")
def root(spark, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("spaces") / "root")
    warehouse = Warehouse(folder)
    tables = {
        table: segue.TableVersion(lay(warehouse, table, make_rows(table, spaces)), 1, "hash")
        for table, spaces in SPACES.items()
    }
    segue.append_release(folder, DAYS[-1], tables)
    return folder


def make_labels(*days, users=("u1",), tracks=("t1",)):
    """Around the end of each day, and around the two instants of publication."""
    instants = [
        end_of_day(day) + after + offset
        for day in days
        for after in (0 * HOUR, 6 * HOUR, 9 * HOUR)
        for offset in (-US, 0 * US, US)
    ]
    keys = [(user, track, at) for at in instants for user in users for track in tracks]
    return [{"user_id": u, "track_id": t, "label_at": at, "n": n} for n, (u, t, at) in enumerate(keys)]


def build_by_both(root, folder, labels, features, **options):
    """The rows by the client and by Spark, and the manifest; or what both say against it."""
    pq.write_table(pa.Table.from_pylist(labels, SCHEMA), folder / "labels.parquet")
    out = folder / f"set{len(list(folder.iterdir()))}"
    arguments = ["--root", root, "--labels", str(folder / "labels.parquet"), "--out", str(out)]
    arguments += ["--features", *features]
    for flag, value in options.items():
        flag_value = value / timedelta(days=1) if isinstance(value, timedelta) else value
        arguments += [f"--{flag.replace('_', '-')}", *([] if value is True else [str(flag_value)])]
    errors = []
    try:
        expected = segue.open(root).training_set(pa.Table.from_pylist(labels, SCHEMA), features, **options)
    except SegueError as refusal:
        errors.append(f"{type(refusal).__name__}: {refusal}")
    try:
        build_training_set.main(arguments)
    except SegueError as refusal:
        errors.append(f"{type(refusal).__name__}: {refusal}")
        assert not out.exists(), "a refused training set left something"
    if errors:
        return errors
    assert dict(list_training_sets(Warehouse(root)))[str(out)] == load(str(out))
    actual = pq.ParquetDataset(out).read().sort_by("n").select(expected.column_names)
    return expected.to_pylist(), actual.to_pylist(), load(str(out))


@pytest.mark.parametrize(
    ("days", "options"),
    [
        (DAYS, {"space": "s2"}),
        (DAYS, {"space": "s1", "as_published": True}),
        (DAYS[:1], {"space": "s3"}),
        (DAYS, {"space": "s3", "max_age": timedelta(days=2)}),
    ],
    ids=["a space", "a space, as published", "a space of later days", "a space, not too old"],
)
def test_build_training_set_of_one_space_gives_the_rows_of_the_client(root, tmp_path, days, options):
    labels = make_labels(*days, users=("u1", None), tracks=("t1", "t2", "stranger", None))
    expected, actual, manifest = build_by_both(
        root, tmp_path, labels, [*BOTH, "track_embeddings:space_id"], **options
    )
    assert actual == expected
    assert (manifest.space, manifest.request.space) == (options["space"], options["space"])
    spaces = {row["track_embeddings__space_id"] for row in actual} - {None}
    assert spaces == ({options["space"]} if len(days) > 1 else set())
    assert {row["track_embeddings__feature_at"] for row in actual} > {end_of_day(days[0])}, (
        "days are told all the same"
    )


@pytest.mark.parametrize(
    ("days", "features", "options", "message"),
    [
        (
            DAYS,
            BOTH,
            {},
            r"vectors of 3 spaces \(s1: track_embeddings from 2026-11-01, user_embeddings from 2026",
        ),
        (
            DAYS,
            BOTH[:1],
            {"as_published": True},
            r"vectors of 3 spaces \(s1: track_embeddings from 2026-11-01; s2: track",
        ),
        (
            DAYS[2:3],
            BOTH,
            {"max_age": 1 * HOUR},
            r"2 spaces \(s2: track_embeddings from 2026-11-03; s1: user_emb",
        ),
        (
            DAYS[:1],
            BOTH,
            {"space": "s9"},
            "space 's9' is unknown in the tables of the features; known: s1, s2, s3",
        ),
    ],
    ids=["two tables", "as published", "two tables on one day", "no such space"],
)
def test_build_training_set_refuses_mixed_spaces_in_the_words_of_the_client(
    root, tmp_path, days, features, options, message
):
    by_client, by_spark = build_by_both(root, tmp_path, make_labels(*days), features, **options)
    assert by_client == by_spark
    assert UsageError.__name__ in by_client
    assert re.search(message, by_client), by_client


def test_build_training_set_ignores_spaces_that_no_label_gets(root, tmp_path):
    labels = make_labels(DAYS[0]) + [
        row | {"track_id": None, "n": row["n"] + 100} for row in make_labels(*DAYS)
    ]
    expected, actual, manifest = build_by_both(root, tmp_path, labels, ["track_embeddings"])
    assert actual == expected
    assert manifest.space == "s1"
    outer_labels = [
        row
        for row in make_labels(*DAYS)
        if row["label_at"] < end_of_day(DAYS[1]) or row["label_at"] > end_of_day(DAYS[3])
    ]
    assert build_by_both(root, tmp_path, outer_labels, BOTH[:1])[0].startswith("UsageError"), (
        "in between, days are of two spaces"
    )
    expected, actual, _ = build_by_both(
        root, tmp_path, outer_labels[:9], ["track_embeddings:support", *BOTH[:1]]
    )
    assert expected == actual


def test_build_training_set_without_vectors_needs_no_space(root, tmp_path):
    expected, actual, manifest = build_by_both(
        root, tmp_path, make_labels(*DAYS), ["track_embeddings:space_id"]
    )
    assert actual == expected
    assert manifest.space is None
    assert {row["track_embeddings__space_id"] for row in actual} == {None, "s1", "s2", "s3"}


def test_replay_keeps_the_space_of_the_manifest(root, tmp_path):
    _, _, manifest = build_by_both(root, tmp_path, make_labels(*DAYS), BOTH, space="s2")
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    arguments = ["--root", root, "--replay", str(folder), "--out", str(tmp_path / "again")]
    with pytest.raises(WrongUsage, match="makes the set that its manifest describes; got --space beside it"):
        build_training_set.main([*arguments, "--space", "s1"])
    assert build_training_set.main(arguments) == 0
    assert load(str(tmp_path / "again")).content_hash == manifest.content_hash
    assert load(str(tmp_path / "again")).space == "s2"
