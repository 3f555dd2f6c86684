"""Rows by pages against the same rows out of the whole file, as pyarrow reads it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue import thrift
from segue.buckets import bucket
from segue.page_index import NoPageIndex, read_locations
from segue.paged_file import PagedFile, PagedFiles

BUCKETS = 4
# what writers of Parquet can be set to
WRITERS = [
    {},
    {"data_page_version": "2.0"},
    {"compression": "zstd", "use_dictionary": False},
    {"compression": "none", "write_page_checksum": True, "use_deprecated_int96_timestamps": True},
    {
        "use_dictionary": False,
        "column_encoding": {"user_id": "DELTA_BYTE_ARRAY", "plays": "DELTA_BINARY_PACKED"},
    },
]


def make_rows(count: int, seed: int = 0) -> pa.Table:
    """Sorted by bucket and key, as files of tables are; every kind of column that they have."""
    draw = random.Random(seed)
    ids = sorted((f"u{n}é" for n in range(count)), key=lambda id_: (bucket(id_, BUCKETS), id_.encode()))
    lists = [
        None
        if draw.random() < 0.1
        else [None if draw.random() < 0.1 else draw.random() for _ in range(draw.randrange(9))]
        for _ in ids
    ]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "user_id": ids,
            "bucket": pa.array([bucket(id_, BUCKETS) for id_ in ids], pa.int32()),
            "plays": pa.array([None if draw.random() < 0.2 else draw.randrange(50) for _ in ids], pa.int64()),
            "is_new": pa.array([draw.random() < 0.5 for _ in ids]),
            "title": pa.array([draw.choice(["", "a" * 90, None, "é"]) for _ in ids]),
            "at": pa.array([at + timedelta(microseconds=n) for n in range(count)], pa.timestamp("us", "UTC")),
            "vector": pa.array(lists, pa.list_(pa.float32())),
            "nothing": pa.nulls(count, pa.float64()),
        }
    )


def write(path: Path, rows: pa.Table, **settings) -> PagedFile:
    defaults = {"row_group_size": 300, "max_rows_per_page": 20, "write_batch_size": 10}
    pq.write_table(rows, path, **{**defaults, "write_page_index": True, **settings})
    return PagedFile(str(path))


def group(places: list[int], group_rows: list[int]):
    """The same rows as numbers of row groups with places in each."""
    ends = np.cumsum(group_rows)
    firsts = ends - group_rows
    found = []
    for number, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        inside = [place - first for place in sorted(places) if first <= place < end]
        if inside:
            found.append((number, np.array(inside, np.int64)))
    return found


def read_whole(path: Path, column: str) -> pa.ChunkedArray:
    file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
    return file.read([column]).column(0)


@pytest.mark.parametrize("writer", WRITERS, ids=str)
def test_rows_by_pages_equal_those_of_the_whole_file(tmp_path, writer):
    path, rows = tmp_path / "rows.parquet", make_rows(1000)
    file = write(path, rows, **writer)
    draw = random.Random(1)
    for count in (0, 1, 2, 40, 1000):
        places = sorted(draw.sample(range(1000), count))
        read = file.read(rows.column_names, group(places, [300, 300, 300, 100]))
        for name, values in zip(rows.column_names, read, strict=True):
            assert (
                values.to_pylist() == read_whole(path, name).take(pa.array(places, pa.int64())).to_pylist()
            ), name


@pytest.mark.parametrize("name", ["bucket", None])
def test_pages_of_keys_hold_all_rows_of_them_and_few_others(tmp_path, name):
    rows = make_rows(1000)
    file = write(tmp_path / "rows.parquet", rows)
    for wanted in (
        rows["user_id"][:1],
        rows["user_id"][500:502],
        rows["user_id"][::137],
        pa.chunked_array([["u", "zz"]]),
    ):
        keys: dict[int, list[bytes]] = {}
        for id_ in wanted.to_pylist():
            keys.setdefault(bucket(id_, BUCKETS) if name else 0, []).append(id_.encode())
        pages = file.find_rows("user_id", {n: sorted(each) for n, each in keys.items()}, name)
        (found,) = file.read(["user_id"], pages)
        known = set(wanted.to_pylist()) & set(rows["user_id"].to_pylist())
        assert known <= set(found.to_pylist())
        # a page has 20 rows; those that two buckets meet in may hold any key, and without buckets each run of keys has
        # a page that may
        assert len(found) <= len(wanted) * 20 * (3 if name else 2 * BUCKETS)


def test_rows_in_any_order_are_found_by_their_pages(tmp_path):
    rows = make_rows(400).take(pa.array(random.Random(3).sample(range(400), 400)))
    file = write(tmp_path / "rows.parquet", rows)
    for id_ in rows["user_id"].to_pylist()[::17]:
        pages = file.find_rows("user_id", {bucket(id_, BUCKETS): [id_.encode()]}, "bucket")
        assert id_ in file.read(["user_id"], pages)[0].to_pylist()


def test_file_without_a_page_index_is_refused(tmp_path):
    file = write(tmp_path / "rows.parquet", make_rows(50), write_page_index=False)
    with pytest.raises(NoPageIndex):
        file.find_rows("user_id", {0: [b"u1"]}, None)
    (tmp_path / "other.parquet").write_bytes(b"PAR1, but not to its end")
    with pytest.raises(NoPageIndex):
        PagedFile(str(tmp_path / "other.parquet"))


def test_column_of_several_leaves_is_refused(tmp_path):
    rows = pa.table({"user_id": ["u1"], "tops": [[{"item": "a", "count": 1}]]})
    file = write(tmp_path / "rows.parquet", rows)
    with pytest.raises(NoPageIndex):
        file.read(["tops"], [(0, np.array([0]))])


def test_damaged_page_is_no_other_value(tmp_path):
    path, rows = tmp_path / "rows.parquet", make_rows(100)
    file = write(path, rows, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    place = data.index("u7é".encode())
    data[place] ^= 1
    path.write_bytes(data)
    every = [(0, np.arange(100))]
    with pytest.raises(OSError, match="CRC"):
        file.read(["user_id"], every)


def test_damaged_index_is_refused_or_changes_nothing(tmp_path):
    path, rows = tmp_path / "rows.parquet", make_rows(200)
    write(path, rows, write_page_checksum=True)
    whole, end = path.read_bytes(), pq.ParquetFile(path).metadata.serialized_size + 8
    draw = random.Random(4)
    for _ in range(150):
        data = bytearray(whole)
        data[len(data) - draw.randrange(1, end)] = draw.randrange(256)
        path.write_bytes(data)
        try:
            PagedFile(str(path)).read(["plays"], [(0, np.array([7, 150]))])
        except (NoPageIndex, OSError):
            continue


def test_files_used_last_stay_open_and_no_more_than_the_limit(tmp_path):
    paths = [str(tmp_path / f"{n}.parquet") for n in range(3)]
    for path in paths:
        size = write(Path(path), make_rows(100)).bytes
    files = PagedFiles(limit=2 * size)
    first, second = files.open(paths[0]), files.open(paths[1])
    assert files.open(paths[0]) is first
    files.open(paths[2])
    assert files.open(paths[0]) is first
    assert files.open(paths[1]) is not second


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**31 - 1), st.integers(0, 2**40)), max_size=20)
)
def test_locations_of_pages_are_read_as_they_were_written(locations):
    structs = [
        {
            n: thrift.Field(kind, value)
            for n, (kind, value) in enumerate(zip((thrift.I64, thrift.I32, thrift.I64), each, strict=True), 1)
        }
        for each in locations
    ]
    struct = {1: thrift.Field(thrift.LIST, thrift.Items(thrift.STRUCT, structs))}
    data = thrift.write_struct(struct)
    assert thrift.read_struct(data) == (struct, len(data))
    pages = read_locations(data)
    assert list(zip(pages.starts, pages.sizes, pages.first_rows, strict=True)) == locations


values = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from([thrift.I32, thrift.I64]), st.integers(-(2**63), 2**63 - 1)),
        st.tuples(st.just(thrift.BINARY), st.binary(max_size=200)),
        st.tuples(st.just(thrift.TRUE), st.booleans()),
        st.tuples(st.just(thrift.DOUBLE), st.binary(min_size=8, max_size=8)),
    ),
    lambda inner: st.tuples(
        st.just(thrift.STRUCT),
        st.dictionaries(st.integers(1, 400), inner.map(lambda pair: thrift.Field(*pair)), max_size=4),
    ),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.dictionaries(st.integers(1, 400), values.map(lambda pair: thrift.Field(*pair)), max_size=20))
def test_structs_are_read_as_they_were_written(struct):
    data = thrift.write_struct(struct)
    assert thrift.read_struct(data) == (struct, len(data))
    for end in {0, len(data) // 2, len(data) - 1}:
        with pytest.raises(ValueError):
            thrift.read_struct(data[:end])
