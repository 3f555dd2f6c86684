"""Look-ups by pages against the same look-ups by row groups."""

from __future__ import annotations

import pickle
import random
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from segue import SegueError, key_pages
from segue.lookup import Key, read_by_key
from segue.paged_file import PagedFile
from segue.storage import Snapshot, table_uri

DAY, DAY_BEFORE = date(2026, 11, 20), date(2026, 11, 19)


@pytest.fixture
def pages_read(monkeypatch):
    """Of each file that pages are read of, small ones too, it and the columns that are read."""
    read, calls = PagedFile.read, []

    def read_pages(file, columns, rows):
        calls.append((file, columns))
        return read(file, columns, rows)

    monkeypatch.setattr(PagedFile, "read", read_pages)
    monkeypatch.setattr(key_pages, "BYTES_OF_KEY", 1)
    monkeypatch.setattr(key_pages, "LARGEST_SHARE", 1)
    return calls


def read_both_ways(monkeypatch, pages_read, read):
    by_pages = read()
    assert pages_read
    del pages_read[:]
    monkeypatch.setattr(key_pages, "BYTES_OF_KEY", 2**60)
    by_groups = read()
    assert not pages_read
    return by_pages, by_groups


@pytest.fixture
def root(lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users, files=3))
    return lake.root


@pytest.mark.parametrize("day", [DAY, DAY_BEFORE])
@pytest.mark.parametrize("columns", [None, ["ds", "bucket", "available_at"], ["plays_hours_30d"], []])
def test_rows_equal_those_of_row_groups(root, monkeypatch, pages_read, day, columns):
    keys = random.Random(1).choices(
        ["u7", "u7", "nobody", None, "", "u199", *(f"u{n}" for n in range(250))], k=40
    )

    def read():
        return segue.open(root).lookup("user_features", keys, day, columns)

    by_pages, by_groups = read_both_ways(monkeypatch, pages_read, read)
    assert by_pages.equals(by_groups)
    assert by_pages["user_id"].to_pylist() == keys


def test_column_that_came_later_is_null_in_files_of_before(lake, pages_read):
    rows = [{"track_id": f"t{i}", "title": f"Title {i}", "artist_name": "A"} for i in range(30)]
    lake.release(tracks=lake.publish("tracks", rows, files=1))
    (file,) = lake.path("tracks").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(file).read().drop_columns("artist_name"), file, write_page_index=True)
    found = segue.open(lake.root).lookup("tracks", ["t9", "t99"])
    assert pages_read
    assert found["title"].to_pylist() == ["Title 9", None]
    assert found["artist_name"].to_pylist() == [None, None]


def test_rows_of_keys_of_several_parts_equal_those_of_row_groups(lake, monkeypatch, pages_read):
    rows = [{"play_id": f"p{n}", "user_id": f"u{n % 50}", "ds": DAY} for n in range(500)]
    lake.release(plays=lake.publish("plays", rows))
    plays = pa.table({"user_id": ["u1", "u2", "u2", "u9"], "play_id": ["p1", "p2", "p3", "p459"]})
    keys = {name: Key.of(plays[name]).of_rows(range(4)) for name in plays.column_names}

    def read():
        snapshot = Snapshot.at(table_uri(lake.root, "plays"), 1)
        found, places = read_by_key(snapshot, keys, snapshot.files, ["play_id", "bucket"])
        return [None if place < 0 else found.slice(place, 1).to_pylist() for place in places]

    by_pages, by_groups = read_both_ways(monkeypatch, pages_read, read)
    assert by_pages == by_groups
    assert [row and row[0]["play_id"] for row in by_pages] == ["p1", "p2", None, "p459"]


def test_files_without_a_page_index_are_read_by_row_groups(lake, many_users, pages_read):
    lake.page_index = False
    lake.release(user_features=lake.publish("user_features", many_users))
    store = segue.open(lake.root)
    for _ in range(2):
        assert store.lookup("user_features", ["u7"])["plays_count_7d"].to_pylist() == [20007]
    assert not pages_read


def test_keys_that_are_on_most_pages_are_read_by_row_groups(root, monkeypatch, pages_read):
    monkeypatch.setattr(key_pages, "LARGEST_SHARE", 0.5)
    store = segue.open(root)
    assert store.lookup("user_features", ["u7"])["plays_count_7d"].to_pylist() == [20007]
    assert pages_read
    del pages_read[:]
    rows = store.lookup("user_features", [f"u{n}" for n in range(200)])
    assert rows["plays_count_7d"].to_pylist() == [20000 + n for n in range(200)]
    # which rows the keys have is known by then, and no more
    assert all(columns == ["user_id"] for _, columns in pages_read)


def test_store_in_another_process_reads_the_same(root, pages_read):
    store = segue.open(root)
    rows = store.lookup("user_features", ["u7"])
    assert pickle.loads(pickle.dumps(store)).lookup("user_features", ["u7"]).equals(rows)
    assert len({id(file) for file, _ in pages_read}) == 2


def test_key_that_two_rows_have_is_refused(lake, make_user, pages_read):
    lake.release(user_features=lake.publish("user_features", [make_user("u1")] * 2, files=1))
    with pytest.raises(SegueError, match="2 rows for 1 values"):
        segue.open(lake.root).lookup("user_features", ["u1"])
    assert pages_read


def test_lost_file_is_one_error(root, lake, pages_read):
    store = segue.open(root)
    store.days("user_features")
    for file in lake.path("user_features").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(SegueError, match="has lost files"):
        store.lookup("user_features", ["u7"])
