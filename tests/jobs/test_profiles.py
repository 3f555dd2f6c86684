"""Profiles of batches as they are recorded and read. Without Spark: rows are laid, and few bytes are the driver's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from simulation.laid import remove_spark

from expectations.column_profiles import ColumnProfile, bin_of
from expectations.verdict import Refused
from jobs import maintain, retract, verify
from jobs.publishing import record_tables, staged_profiles
from jobs.publishing.declared_columns import schema_of
from jobs.publishing.profiles import append_profiles, read_profiles
from jobs.publishing.record_tables import PROFILES
from jobs.publishing.staged_profiles import profile_staged
from jobs.publishing.warehouse import Warehouse
from reference.golden import unpack
from reference.published import DAYS, NOON, opening
from reference.staged import REFUSED, LaidJob
from schemas.feature_profiles import FEATURE_PROFILES


class ProfiledJob(LaidJob):
    profiles = True


@pytest.fixture(autouse=True)
def few_listeners(monkeypatch):
    """As no test has twenty of them."""
    monkeypatch.setenv("SEGUE_PROFILE_LISTENERS", "2")


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "root")


@pytest.fixture
def job(root):
    return lambda run="run-test": ProfiledJob("test", root, run, say=lambda text: None)


def make_sessions(day, lengths, **overrides):
    """A row of each length in ms, each of another listener."""
    at = NOON + timedelta(days=day)
    return [
        opening(f"p{day}-{n}", at, user_id=f"u{n}", ms_played=ms, **overrides) for n, ms in enumerate(lengths)
    ]


def publish_sessions(job, *days, verdict=None, **overrides):
    """`days`: lengths by the number of the day."""
    if verdict:
        job.verdict = verdict
    rows = [row for day, lengths in days for row in make_sessions(day, lengths, **overrides)]
    batch = job.batch("sessions", [DAYS[day] for day, _ in days], parameters={"rows": str(rows)})
    return job.publish(batch, rows)


def publish_tracks(job, lengths):
    rows = [{"track_id": f"t{n}", "track_ms": ms, "source": "test"} for n, ms in enumerate(lengths)]
    return job.publish(job.batch("tracks", parameters={"rows": str(rows)}), rows)


def add_plays(job, name, lengths, day=0):
    rows = [
        {"play_id": f"{name}{n}", "user_id": f"u{n}", "track_id": "t", "source": name, "ms_played": ms}
        | {"played_at": NOON + timedelta(days=day), "ds": DAYS[day]}
        for n, ms in enumerate(lengths)
    ]
    return job.publish(job.batch("plays", appends=True, parameters={"name": name}), rows)


def read(root, **options):
    return read_profiles(Warehouse(root), **options)


def read_column(root, table, column, day=0):
    (row,) = read(root, tables=[table], columns=[column], days=None if day is None else [DAYS[day]])
    return row


def test_profile_of_a_published_day_has_its_counts_and_says_whose_attempt_it_was(root, job):
    publish_sessions(job("run-1"), (0, [1, 2, 2, 31]), (1, [5, None]))
    row = read_column(root, "sessions", "ms_played")
    assert (row["ds"], row["run_id"], row["outcome"], row["appends"]) == (DAYS[0], "run-1", "passed", False)
    assert (row["kind"], row["rows"], row["nulls"], row["nans"], row["mean"]) == ("number", 4, 0, 0, 9.0)
    assert row["bins"] == dict(zip(bin_of([1, 2, 31]).tolist(), [1, 2, 1], strict=True))
    assert row["quantiles"] == [1, 1, 1, 2, 2, 31, 31]
    assert set(row) == set(FEATURE_PROFILES.names)
    other = ColumnProfile.from_row(read_column(root, "sessions", "ms_played", day=1))
    assert other == ColumnProfile("number", 2, 1), "one of two listeners has a value, which is one's own"


def test_profiles_hold_no_id_and_no_key_and_how_many_listened(root, job):
    publish_sessions(job(), (0, [1, 2, 3]))
    rows = read(root)
    names = {row["column"] for row in rows}
    assert {"ms_played", "played_at", "is_bot", "user_id"} <= names
    assert not {"play_id", "track_id", "artist_id", "session_id", "bucket", "ds"} & names
    (listeners,) = [row for row in rows if row["column"] == "user_id"]
    assert (listeners["distinct_values"], listeners["top_values"], listeners["bins"]) == (3, None, {})
    assert "'u1'" not in str(PROFILES.read(Warehouse(root), FEATURE_PROFILES.names).to_pylist())


def test_a_day_that_is_published_again_has_its_newest_profile(root, job):
    publish_sessions(job(), (0, [1, 1]), (1, [7, 7]))
    publish_sessions(job(), (0, [3, 5, 7]))
    assert read_column(root, "sessions", "ms_played")["mean"] == 5
    assert read_column(root, "sessions", "ms_played", day=1)["mean"] == 7


def test_a_day_that_is_added_to_has_the_profile_of_all_its_batches(root, job):
    for name, lengths in (("a", [1, 3]), ("b", [5, 31]), ("c", [None, 2, 2])):
        add_plays(job(), name, lengths)
    add_plays(job(), "d", [8, 8], day=1)
    row = read_column(root, "plays", "ms_played")
    assert (row["rows"], row["nulls"], row["mean"]) == (7, 1, pytest.approx(44 / 6))
    assert row["bins"] == dict(zip(bin_of([1, 2, 3, 5, 31]).tolist(), [1, 2, 1, 1, 1], strict=True))
    assert row["quantiles"][3] == 2
    assert read_column(root, "plays", "source")["top_values"] == {"c": 3, "a": 2, "b": 2}
    assert [row["rows"] for row in read(root, columns=["ms_played"], fields=["rows", "nulls"])] == [7, 2]


@pytest.mark.parametrize(("gone", "bins"), [(2, {2_000: 2}), (1, {1: 2, 2_000: 2}), (0, {1: 2, 2_000: 2})])
def test_a_day_that_was_taken_out_and_sent_again_has_the_profile_of_what_was_sent_last(
    root, job, gone, bins, monkeypatch
):
    """Where it has as many rows as the day; else nobody can tell what was taken out, and all of it stands there."""
    add_plays(job(), "wrong", [1, 1])
    if gone:
        with monkeypatch.context() as patch:
            remove_spark(patch)
            assert retract.main(["--root", root, "--play", *(f"wrong{n}" for n in range(gone))]) == 0
    add_plays(job(), "right", [2_000] * 2)
    (row,) = read(root, tables=["plays"], columns=["ms_played"])
    assert row["bins"] == {int(bin_of(ms)): rows for ms, rows in bins.items()}


def test_a_refused_batch_is_recorded_and_not_read_as_published(root, job):
    publish_sessions(job(), (0, [1, 1]))
    with pytest.raises(Refused):
        publish_sessions(job("run-bad"), (0, [9, 9]), verdict=REFUSED)
    assert read_column(root, "sessions", "ms_played")["mean"] == 1
    recorded = PROFILES.read(
        Warehouse(root), ("run_id", "outcome", "mean"), pc.field("column") == "ms_played"
    )
    assert {tuple(row.values()) for row in recorded.to_pylist()} == {
        ("run-test", "passed", 1.0),
        ("run-bad", "refused", 9.0),
    }


def test_a_batch_of_which_no_profile_can_be_made_is_published_and_says_so(root, job, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("cannot count 'u1'")

    monkeypatch.setattr(staged_profiles, "profile_columns", fail)
    publish_sessions(job(), (0, [1, 2]))
    assert "sessions has no profiles: cannot count '…'" in caplog.text
    assert Warehouse(root).state("sessions").rows == 2 and read(root) == []


def test_a_batch_that_passed_and_was_never_committed_is_not_read_as_published(root, job):
    publish_sessions(job(), (0, [1, 1]))
    killed = job()
    rows = make_sessions(0, [9, 9])
    staged = killed.stage(killed.batch("sessions", DAYS[:1], parameters={"n": 2}), rows)
    profiles = profile_staged(None, killed.warehouse, staged.batch)
    append_profiles(killed.warehouse, "run-killed", staged.batch, "passed", profiles)
    assert profiles[DAYS[0], "ms_played"].mean == 9
    assert read_column(root, "sessions", "ms_played")["mean"] == 1


def test_a_batch_that_was_killed_before_its_commit_and_tried_again_counts_once(root, job):
    add_plays(job(), "a", [1, 3])
    batch = job().batch("plays", appends=True, parameters={"name": "b"})
    profiles = {(DAYS[0], "ms_played"): ColumnProfile("number", 3, bins={int(bin_of(31)): 3})}
    # the revision of the one that is tried again may be another
    for revision in (1, 2):
        killed = replace(batch, attempt=f"killed{revision}", revision=revision)
        append_profiles(job().warehouse, "run-killed", killed, "passed", profiles)
    add_plays(job(), "b", [5, 31, 31])
    row = read_column(root, "plays", "ms_played")
    assert row["bins"] == dict(zip(bin_of([1, 3, 5, 31]).tolist(), [1, 1, 1, 2], strict=True))


def test_a_table_without_days_has_one_profile_whatever_days_are_meant(root, job):
    publish_tracks(job(), [200_000, 300_000])
    publish_tracks(job(), [100_000, 300_000])
    row = read_column(root, "tracks", "track_ms", day=None)
    assert (row["ds"], row["mean"], row["maximum"]) == (None, 200_000, 300_000)
    assert read(root, first_day=DAYS[0], last_day=DAYS[1], columns=["track_ms"]) == [row]


def test_only_what_is_named_is_read(root, job):
    publish_tracks(job(), [200_000, 300_000])
    publish_sessions(job(), *((day, [1, 2]) for day in range(3)))
    columns = ["ms_played", "position", "track_ms"]
    found = read(root, tables=["sessions"], columns=columns, first_day=DAYS[1], fields=["mean"])
    assert found == [
        {"table_name": "sessions", "ds": day, "column": column, "mean": mean}
        for day in DAYS[1:3]
        for column, mean in (("ms_played", 1.5), ("position", 1.0), ("track_ms", row_mean(root, day)))
    ]
    assert {row["ds"] for row in read(root, days=DAYS[:1], tables=["sessions"])} == {DAYS[0]}
    assert read(root, tables=[]) == read(root, columns=["no such column"]) == []


def row_mean(root, day):
    (row,) = read(root, tables=["sessions"], columns=["track_ms"], days=[day])
    return row["mean"]


def test_columns_that_are_taken_over_keep_the_profile_of_before(root, job):
    publish_sessions(job("run-1"), (0, [1, 1]))
    adding = job("run-2")
    batch = adding.batch(
        "sessions", DAYS[:1], parameters={"n": 2}, base=adding.find("sessions"), extends=["position"]
    )
    adding.publish(batch, make_sessions(0, [1, 1], position=3))
    assert read_column(root, "sessions", "position")["run_id"] == "run-2"
    assert read_column(root, "sessions", "ms_played")["run_id"] == "run-1"


def test_a_day_that_lost_its_rows_has_a_profile_of_none(root, job):
    publish_sessions(job(), (0, [1, 1]))
    publish_sessions(job(), (0, []))
    found = ColumnProfile.from_row(read_column(root, "sessions", "ms_played"))
    assert found == ColumnProfile("number", 0)


def test_maintenance_joins_the_files_of_profiles_and_changes_none(root, job, monkeypatch):
    monkeypatch.setattr(record_tables, "FILES_BEFORE_COMPACTION", 2)
    for n in range(4):
        publish_sessions(job(), (0, [n, n]))
    before = read(root)
    maintain.main(["--root", root])
    assert read(root) == before
    assert len(record_tables.find_table(PROFILES.path(Warehouse(root))).file_uris()) == 1


def test_verify_looks_at_the_profiles_too(root, job):
    publish_sessions(job(), (0, [1, 1]))
    assert [each for each in verify.examine(root) if each.where.startswith("quality")] == []
    path = record_tables.find_table(PROFILES.path(Warehouse(root))).file_uris()[0]
    with open(path.removeprefix("file://"), "r+b") as file:
        file.truncate(100)
    assert [each.where for each in verify.examine(root) if each.where.startswith("quality/profiles")]


def test_a_root_from_before_there_were_profiles_has_none_and_is_whole(tmp_path):
    unpack(tmp_path)
    root = str(tmp_path / "root")
    assert read(root) == []
    assert [each for each in verify.examine(root) if each.wrong] == []


@pytest.mark.parametrize("table", record_tables.RECORD_TABLES, ids=lambda table: table.called)
def test_schema_of_records_is_that_of_delta(table):
    expected = pa.schema(schema_of(table.contract).to_arrow())
    assert table.schema.equals(expected, check_metadata=True), "what is read without Spark has other types"
