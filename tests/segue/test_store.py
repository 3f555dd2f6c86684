from __future__ import annotations

import os
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import segue
from segue import SegueError, UsageError
from segue.paths import make_absolute

DAY, DAY_BEFORE = date(2026, 11, 20), date(2026, 11, 19)
PUBLISHED = datetime(2026, 11, 21, 2, 30, 0, 123456, UTC)


@pytest.fixture
def store(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users))
    return segue.open(lake.root)


# --- look-up: rows


def test_lookup_returns_rows_in_the_order_of_keys_with_nulls_and_repeats(store):
    keys = ["u7", "nobody", "u3", "u7", "", "u199"]
    table = store.lookup("user_features", keys)
    assert table["user_id"].to_pylist() == keys
    assert table["plays_count_7d"].to_pylist() == [20007, None, 20003, 20007, None, 20199]
    assert table["ds"].to_pylist() == [DAY, None, DAY, DAY, None, DAY]


def test_lookup_returns_every_key_on_each_day(store):
    keys = [f"u{i}" for i in range(200)]
    for day in (DAY_BEFORE, DAY):
        table = store.lookup("user_features", keys, day)
        assert table["plays_count_7d"].to_pylist() == [1000 * day.day + i for i in range(200)], day


def test_lookup_returns_values_as_they_were_written(store):
    row = store.lookup("user_features", ["u5"]).to_pylist()[0]
    assert row == {
        "user_id": "u5",
        "feature_at": datetime(2026, 11, 21, tzinfo=UTC),
        "plays_count_7d": 20005,
        "completion_mean_7d": 0.5,
        "plays_hours_30d": [1 / 24] * 24,
        "available_at": PUBLISHED,
        "ds": DAY,
    }


def test_columns_can_be_what_is_gone_through_once(store):
    names = ["plays_count_7d", "ds"]
    assert store.lookup("user_features", ["u1"], columns=iter(names)).column_names == ["user_id", *names]
    assert next(store.scan("user_features", map(str, names))).schema.names == names


def test_lookup_leaves_out_what_is_declared_no_more_and_the_store_says_what_is_deprecated(lake, make_user):
    entry = lake.publish("user_features", [make_user("u1")])
    table = DeltaTable(lake.path("user_features"))
    table.alter.set_column_metadata("completion_mean_7d", {"segue.removed": "declared no more"})
    # a mark that no longer holds is empty
    table.alter.set_column_metadata("plays_count_7d", {"segue.removed": "", "segue.deprecated": "use 8d"})
    lake.release(user_features=replace(entry, version=table.version()))
    store = segue.open(lake.root)
    assert "completion_mean_7d" not in store.lookup("user_features", ["u1"]).column_names
    assert store.lookup("user_features", ["u1"], columns=["completion_mean_7d"]).num_rows == 1
    assert store.deprecated("user_features") == {
        "plays_count_7d": "use 8d",
        "completion_mean_7d": "declared no more",
    }
    labels = pa.table({"user_id": ["u1"], "label_at": [PUBLISHED]})
    assert (
        "user_features__completion_mean_7d" not in store.training_set(labels, ["user_features"]).column_names
    )
    with pytest.raises(UsageError, match="completion_mean_7d"):
        store.training_set(labels, ["user_features:completion_mean_7d"])


def test_lookup_takes_available_at_from_the_log_not_from_the_path(store):
    table = store.lookup("user_features", ["u1", "u2"])
    assert table.schema.field("available_at").type == pa.timestamp("us", "UTC")
    assert table.schema.field("ds").type == pa.date32()
    assert table["available_at"].to_pylist() == [PUBLISHED, PUBLISHED]


def test_lookup_returns_nullable_columns(store):
    assert all(field.nullable for field in store.lookup("user_features", ["nobody"]).schema)


@pytest.mark.parametrize(
    "keys",
    [
        np.array(["u2", "u1"]),
        ("u2", "u1"),
        pa.array(["u2", "u1"]),
        pa.array(["u2", "u1"], pa.large_string()),
        pa.array(["u2", "u1"], pa.string_view()),
        pa.array(["u2", "u1"]).dictionary_encode(),
        pa.chunked_array([["u2"], ["u1"]]),
    ],
    ids=lambda keys: type(keys).__name__,
)
def test_lookup_accepts_keys_as_any_sequence_of_strings(store, keys):
    table = store.lookup("user_features", keys, columns=["plays_count_7d"])
    assert table.to_pydict() == {"user_id": ["u2", "u1"], "plays_count_7d": [20002, 20001]}


def test_lookup_returns_no_rows_for_no_keys_and_nulls_for_a_null_key(store):
    assert store.lookup("user_features", []).num_rows == 0
    table = store.lookup("user_features", [None, "u1"], columns=["plays_count_7d"])
    assert table.to_pydict() == {"user_id": [None, "u1"], "plays_count_7d": [None, 20001]}


# --- look-up: columns and days


def test_lookup_returns_each_requested_column_once_after_the_key(store):
    table = store.lookup("user_features", ["u1"], columns=["ds", "plays_count_7d", "ds", "bucket"])
    assert table.to_pydict() == {"user_id": ["u1"], "ds": [DAY], "plays_count_7d": [20001], "bucket": [63]}


def test_lookup_leaves_the_key_where_it_was_requested(store):
    table = store.lookup("user_features", ["u1"], columns=["plays_count_7d", "user_id"])
    assert table.column_names == ["plays_count_7d", "user_id"]


def test_lookup_and_scan_return_the_bucket_only_on_request(store):
    assert "bucket" not in store.lookup("user_features", ["u1"]).column_names
    assert "bucket" not in next(store.scan("user_features")).schema.names


def test_lookup_accepts_a_day_as_text(store):
    table = store.lookup("user_features", ["u1"], "2026-11-19")
    assert table["plays_count_7d"].to_pylist() == [19001]


def test_lookup_reads_a_table_without_days(lake):
    rows = [{"track_id": f"t{i}", "title": f"Title {i}", "artist_name": None} for i in range(30)]
    lake.release(tracks=lake.publish("tracks", rows))
    store = segue.open(lake.root)
    assert store.lookup("tracks", ["t9", "t99"]).to_pydict() == {
        "track_id": ["t9", "t99"],
        "title": ["Title 9", None],
        "artist_name": [None, None],
        "available_at": [PUBLISHED, None],
    }
    assert store.days("tracks") == []


# --- scan and days


def test_scan_returns_all_days_oldest_first_with_partition_columns(store, many_users):
    batches = list(store.scan("user_features"))
    assert all(isinstance(batch, pa.RecordBatch) for batch in batches)
    rows = pa.Table.from_batches(batches)
    expected = sorted((r["ds"], r["user_id"], r["plays_count_7d"]) for r in many_users)
    actual = zip(*(rows[c].to_pylist() for c in ("ds", "user_id", "plays_count_7d")), strict=True)
    assert sorted(actual) == expected
    assert rows["ds"].to_pylist() == sorted(rows["ds"].to_pylist())
    assert set(rows["available_at"].to_pylist()) == {PUBLISHED}


def test_scan_sorts_by_day_whichever_was_published_last(lake, make_user):
    lake.publish("user_features", [make_user("u1", DAY)])
    lake.release(user_features=lake.publish("user_features", [make_user("u1", DAY_BEFORE)]))
    rows = pa.Table.from_batches(segue.open(lake.root).scan("user_features", ["ds"]))
    assert rows["ds"].to_pylist() == [DAY_BEFORE, DAY]
    lake.publish("user_features", [make_user("u1", DAY_BEFORE)])
    lake.release(user_features=lake.publish("user_features", [make_user("u1", DAY)]))
    rows = pa.Table.from_batches(segue.open(lake.root).scan("user_features", ["ds"]))
    assert rows["ds"].to_pylist() == [DAY_BEFORE, DAY]


def test_scan_returns_one_day_and_some_columns(store):
    rows = pa.Table.from_batches(store.scan("user_features", ["plays_count_7d"], DAY_BEFORE))
    assert rows.column_names == ["plays_count_7d"]
    assert sorted(rows["plays_count_7d"].to_pylist()) == [19000 + i for i in range(200)]


def test_days_returns_days_in_order(store):
    assert store.days("user_features") == [DAY_BEFORE, DAY]


# --- what a release pins


def test_open_store_reads_nothing_later_than_its_release(lake, make_user):
    first = lake.publish("user_features", [make_user("u1", plays_count_7d=1), make_user("u2", DAY_BEFORE)])
    lake.release(user_features=first)
    before = segue.open(lake.root)
    later = [make_user("u1", plays_count_7d=2), make_user("u1", DAY + timedelta(1), plays_count_7d=3)]
    second = lake.publish("user_features", later, PUBLISHED + timedelta(hours=1))
    unreleased = segue.open(lake.root)
    lake.release(DAY + timedelta(1), user_features=second)
    after = segue.open(lake.root)

    def read_count(store):
        return store.lookup("user_features", ["u1"], columns=["plays_count_7d"])["plays_count_7d"].to_pylist()

    assert read_count(before) == [1]
    assert read_count(unreleased) == [1], "a commit that no release names was seen"
    assert read_count(after) == [3]
    assert read_count(segue.open(lake.root, "2026-11-20.1")) == [1]
    assert after.lookup("user_features", ["u1"], DAY)["available_at"].to_pylist() == [
        PUBLISHED + timedelta(hours=1)
    ]
    assert after.days("user_features") == [DAY_BEFORE, DAY, DAY + timedelta(1)]


def test_open_store_describes_its_release(lake, make_user):
    version = lake.publish("user_features", [make_user("u1")])
    release = lake.release(user_features=version)
    store = segue.open(lake.root)
    assert (store.release, store.released_at) == ("2026-11-20.1", release.released_at)
    assert dict(store.tables) == {"user_features": segue.TableVersion(1, 1, "hash-user_features-1")}


def test_a_store_of_a_relative_root_stays_with_it_when_the_working_folder_changes(
    lake, make_user, tmp_path, monkeypatch
):
    lake.release(user_features=lake.publish("user_features", [make_user("u1", plays_count_7d=1)]))
    monkeypatch.chdir(lake.root.parent)
    store = segue.open(lake.root.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for each in (pickle.loads(pickle.dumps(store)), store):
        assert each.root == str(lake.root), "the root is not kept in full"
        assert each.lookup("user_features", ["u1"])["plays_count_7d"].to_pylist() == [1]
    assert make_absolute("s3a://lake/root/") == "s3a://lake/root"
    assert make_absolute("~/lake") == os.path.expanduser("~/lake")


# --- pruning


def test_lookup_opens_only_files_that_can_hold_the_key(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users, files=8))
    lake.remove_files_without("user_features", "u11", DAY)
    store = segue.open(lake.root)
    assert store.lookup("user_features", ["u11"])["plays_count_7d"].to_pylist() == [20011]
    with pytest.raises(SegueError, match=r"has lost files.*Hint: use a newer release"):
        list(store.scan("user_features"))
    with pytest.raises(SegueError, match=r"has lost files"):
        store.lookup("user_features", ["u11"], DAY_BEFORE)


# --- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.lookup("user_feature", ["u1"]), "table 'user_feature' is unknown.*'user_features'"),
        (lambda s: s.scan("users"), "table 'users' is unknown in release 2026-11-20.1"),
        (lambda s: s.lookup("user_features", ["u1"], columns=["plays_count_7"]), "Hint.*'plays_count_7d'"),
        (lambda s: s.scan("user_features", ["nope"]), "column 'nope' is unknown in table user_features"),
        (lambda s: s.lookup("user_features", ["u1"], columns="ds"), "columns must be a list of strings"),
        (lambda s: s.lookup("user_features", ["u1"], columns=7), "columns must be a list of strings; got 7"),
        (lambda s: s.lookup("user_features", ["u1"], day=""), "a day is a datetime.date or text .*; got ''"),
        (lambda s: s.lookup("user_features", "u1"), r"keys must be a list.*got 'u1'.*write \[key\]"),
        (
            lambda s: s.lookup("user_features", [1, 2]),
            "keys must be a list of strings; got values of type int64",
        ),
        (lambda s: s.lookup("user_features", ["u1", 2]), "keys must be a list of strings"),
        (
            lambda s: s.lookup("user_features", ["u1"], "2026-12-01"),
            "day '2026-12-01' is unknown.*2026-11-20, 20",
        ),
        (
            lambda s: s.lookup("user_features", ["u1"], "yesterday"),
            "a day is a datetime.date.*got 'yesterday'",
        ),
        (lambda s: s.scan("user_features", day=PUBLISHED), "a day is a datetime.date"),
    ],
)
def test_lookup_and_scan_refuse_wrong_arguments_in_one_line(store, call, message):
    with pytest.raises(UsageError, match=message) as refusal:
        call(store)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_lookup_refuses_tables_with_many_rows_per_key_or_no_entity(lake):
    plays = lake.publish("plays", [{"play_id": f"p{i}", "user_id": "u1", "ds": DAY} for i in range(3)])
    rejected = lake.publish("rejected_plays", [{"reject_id": "r1", "ds": DAY}])
    lake.release(plays=plays, rejected_plays=rejected)
    store = segue.open(lake.root)
    with pytest.raises(UsageError, match=r"plays has many rows for one user_id \(its key is play_id\)"):
        store.lookup("plays", ["u1"])
    with pytest.raises(UsageError, match=r"rejected_plays has no column that look-ups ask by"):
        store.lookup("rejected_plays", ["r1"])
    assert sorted(r for b in store.scan("plays", ["play_id"]) for r in b["play_id"].to_pylist()) == [
        "p0",
        "p1",
        "p2",
    ]
    assert [b.to_pylist() for b in store.scan("rejected_plays")] == [
        [{"reject_id": "r1", "available_at": PUBLISHED, "ds": DAY}]
    ]


def test_lookup_refuses_two_rows_of_one_key(lake, make_user):
    rows = [make_user("u1", plays_count_7d=1), make_user("u1", plays_count_7d=2)]
    lake.release(user_features=lake.publish("user_features", rows))
    with pytest.raises(SegueError, match=r"2 rows for 1 values of user_id"):
        segue.open(lake.root).lookup("user_features", ["u1"])


def test_open_refuses_a_root_without_releases(tmp_path):
    with pytest.raises(SegueError, match=r"there are no releases under .*expected the folder 'releases'"):
        segue.open(tmp_path)


def test_open_lists_the_releases_for_an_unknown_one(store):
    with pytest.raises(UsageError, match=r"release '2026-11-20.2' is unknown; known: 2026-11-20.1"):
        segue.open(store.root, "2026-11-20.2")


@pytest.mark.parametrize("length", [0, 3, 100])
def test_a_file_that_ends_too_early_is_one_line(store, lake, length):
    for file in lake.path("user_features").rglob("*.parquet"):
        os.truncate(file, length)
    for read in (lambda: store.lookup("user_features", ["u1"]), lambda: list(store.scan("user_features"))):
        with pytest.raises(
            SegueError, match=r"version 1 of .*user_features' cannot be read: .* Hint: segue verify"
        ):
            read()


def test_lookup_names_the_version_that_cannot_be_read(lake, make_user):
    lake.publish("user_features", [make_user("u1")])
    lake.release(user_features=segue.TableVersion(99, 1, ""))
    with pytest.raises(SegueError, match=r"version 99 of the table at .*user_features' cannot be read"):
        segue.open(lake.root).lookup("user_features", ["u1"])
