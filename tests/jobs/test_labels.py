"""Labels as pandas and spreadsheets write them, with columns of any name and type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from features.joins.splits import is_sampled, split
from jobs import build_training_set
from jobs.errors import WrongUsage
from jobs.training.labels import find_label_table, locate_labels, read_labels
from jobs.training.manifest import Manifest, save
from jobs.training.request import Request

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
US = timedelta(microseconds=1)


def write(folder, columns, name="labels.parquet"):
    path = folder / name
    pq.write_table(pa.table(columns), path, version="2.6")
    return str(path)


def nanoseconds(instants, zone="UTC"):
    return pa.array(instants, pa.int64()).cast(pa.timestamp("ns", zone))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo", None])
def test_read_labels_rounds_nanoseconds_down_to_microseconds(spark, tmp_path, zone):
    """Of today, where a double is off by 128 ns; and of before 1970, where a division rounds the other way."""
    micros = [1_795_176_000_123_456, 0, -1, -1_000_001]
    instants = [micro * 1000 + off for micro in micros for off in (0, 1, 999)]
    path = write(tmp_path, {"label_at": nanoseconds(instants, zone), "n": pa.array(range(len(instants)))})
    labels = read_labels(spark.newSession(), path, "label_at")
    rows = labels.rows.selectExpr("n", "unix_micros(label_at) micros").orderBy("n").collect()
    assert [row.micros for row in rows] == [micro for micro in micros for _ in range(3)]
    assert labels.count == len(instants)


def test_read_labels_refuses_instants_after_the_calendar_in_words_of_the_client(spark, tmp_path):
    late = pa.array([1767744000000 * 1000], pa.timestamp("ms", "UTC"))
    path = write(tmp_path, {"user_id": ["u1"], "label_at": late})
    with pytest.raises(
        WrongUsage, match=r"'label_at' go up to the year 57987; .* microseconds for milliseconds"
    ):
        read_labels(spark, path, "label_at")


def test_read_labels_takes_other_columns_of_nanoseconds_too(spark, tmp_path):
    columns = {
        "label_at": [AT],
        "shown_at": nanoseconds([1_795_176_000_123_456_789]),
        "n": [1_795_176_000_123_456_789],
    }
    rows = read_labels(spark.newSession(), write(tmp_path, columns), "label_at").rows
    assert [kind for _, kind in rows.dtypes] == ["timestamp", "timestamp", "bigint"]


def test_read_labels_parses_csv_with_quotes_commas_and_line_ends(spark, tmp_path):
    path = tmp_path / "labels.csv"
    text = 'user_id,label_at,note\n007,2026-11-20 12:00:00,"a, ""b""\nc"\n"u,1",2026-11-20T13:00:00Z,\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    labels = read_labels(spark, str(path), "label_at")
    rows = {row.user_id: row for row in labels.rows.collect()}
    assert {key: row.note for key, row in rows.items()} == {"007": 'a, "b"\nc', "u,1": None}
    assert (labels.first, labels.last) == (AT, AT + timedelta(hours=1))


@pytest.mark.parametrize(
    "line",
    ["u2,2026-11-20 12:00:00,x,more", "u2,2026-11-20 12:00:00", "a, b,2026-11-20 12:00:00,x", "u2"],
    ids=["more", "fewer", "a comma without quotes", "one"],
)
def test_read_labels_refuses_lines_that_are_not_of_the_header(spark, tmp_path, line):
    """Spark would drop a value or make one null, and read keys that are others."""
    path = tmp_path / "labels.csv"
    good = 'u1,2026-11-20 12:00:00,"a, ""b""\nc"\n'
    path.write_text(f"user_id,label_at,note\n{good}{line}\n{good}{line} again\n")
    with pytest.raises(WrongUsage) as refusal:
        read_labels(spark, str(path), "label_at")
    expected = (
        f"labels {path}: lines with more or fewer fields than the 3 of the header: 2; the first is {line!r}. "
    )
    assert str(refusal.value).startswith(expected), "the number of such lines, and the first as it is written"


@pytest.mark.parametrize("content", ["", "user_id,label_at\n"], ids=["no byte", "no label"])
def test_read_labels_says_where_a_csv_has_none(spark, tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(WrongUsage, match=f"labels {path}: there are none"):
        read_labels(spark, str(path), "label_at")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_read_labels_takes_a_name_for_a_name_and_not_for_a_pattern(spark, tmp_path, suffix):
    """`labels[12].csv` as a pattern is `labels1.csv`, which lies beside it."""
    for name, user in (("labels[12]", "meant"), ("labels1", "another")):
        if suffix == "parquet":
            write(tmp_path, {"user_id": [user], "label_at": [AT]}, f"{name}.parquet")
        else:
            (tmp_path / f"{name}.csv").write_text(f"user_id,label_at\n{user},2026-11-20T12:00:00Z\n")
    labels = read_labels(spark, str(tmp_path / f"labels[12].{suffix}"), "label_at")
    assert [row.user_id for row in labels.rows.collect()] == ["meant"]


def test_labels_by_the_name_of_a_table_of_events_are_its_rows():
    assert find_label_table("plays").event_time == "played_at"
    assert [locate_labels(name) for name in ("plays", "sessions")] == ["plays", "sessions"]
    for path in ("./plays", "user_features", "rejected_plays", "track_embeddings", "plays.csv"):
        assert find_label_table(path) is None and Path(locate_labels(path)).is_absolute(), path
    assert locate_labels("s3a://labels/plays") == "s3a://labels/plays"


def test_the_home_folder_is_found_where_a_shell_leaves_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate_labels("~/labels.csv") == str(tmp_path / "labels.csv")
    (tmp_path / "set").mkdir()
    save(Manifest(Request("labels"), "2026-11-20.1", {}, "code", 0, ""), f"{tmp_path}/set")
    options = ["--root", str(tmp_path / "root"), "--replay=~/set", "--out=~/again", "--provisional"]
    # found, and read: what it refuses comes after that
    with pytest.raises(WrongUsage, match="got --provisional beside it"):
        build_training_set.main(options)


def test_a_sample_by_hash_is_of_whole_keys_and_of_every_split(spark):
    """A larger sample has all of a smaller one, and neither is of those that a split takes first."""
    key = F.col("id").cast("string")
    rows = spark.range(20_000).select(
        is_sampled(key, 0.02).alias("small"),
        is_sampled(key, 0.1).alias("large"),
        is_sampled(key, 1).alias("all"),
        split(F.lit(AT), entity=key, shares=(0.5, 0.5)).alias("split"),
    )
    counts = rows.groupBy("small", "large", "all", "split").count().collect()
    assert all(row["all"] and row["large"] >= row["small"] for row in counts)
    for name, share in (("small", 0.02), ("large", 0.1)):
        for part in ("train", "test"):
            found = sum(row["count"] for row in counts if row[name] and row["split"] == part)
            assert abs(found / 10_000 - share) < 0.01, (name, part)


def maps(*entries):
    return pa.array(entries, pa.map_(pa.string(), pa.int64()))


def test_read_labels_hashes_columns_of_any_name_and_maps_in_any_order(spark, tmp_path):
    def hash_of(name, tags):
        columns = {
            "label_at": [AT, AT + US],
            "item.price": [1.5, None],
            "a`b c": ["x", "y"],
            "tags": maps(*tags),
        }
        return read_labels(spark, write(tmp_path, columns, name), "label_at").content_hash

    one = hash_of("one.parquet", [[("a", 1), ("b", 2)], None])
    assert hash_of("two.parquet", [[("b", 2), ("a", 1)], None]) == one
    others = (
        [[("a", 2), ("b", 1)], None],
        [[("a", 1)], None],
        [[("a", 1), ("b", None)], None],
        [None, [("a", 1), ("b", 2)]],
    )
    hashes = [hash_of(f"other{n}.parquet", tags) for n, tags in enumerate(others)]
    assert len({one, *hashes}) == 1 + len(others)


def test_read_labels_refuses_maps_within_others(spark, tmp_path):
    tags = pa.array([[[("a", 1)]]], pa.list_(pa.map_(pa.string(), pa.int64())))
    with pytest.raises(WrongUsage, match="tags has maps within, which cannot be hashed; leave it out"):
        read_labels(spark, write(tmp_path, {"label_at": [AT], "tags": tags}), "label_at")
