"""How many files a day becomes and who writes them; and that several files a day are one day to all who read them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.profile import DayProfile
from jobs import forget, inputs
from jobs.errors import JobError
from jobs.job import Job
from jobs.maintain import plan_compactions
from jobs.publishing import layout
from jobs.publishing.layout import (
    Part,
    Target,
    assign_tasks,
    count_tasks,
    estimate_rows,
    find_file_bytes,
    guess_row,
    place_files,
    plan_layout,
)
from jobs.publishing.part_files import name_part_file
from jobs.publishing.rewrite import Rewrite, _check_contents
from jobs.publishing.state import DayState, TableState
from reference.published import DAYS, NOON, opening, session_rows
from reference.rows import bucket
from reference.staged import LaidJob, cut_finely
from reference.worlds import FEW
from schemas.sessions import SESSIONS
from segue import storage
from segue.lookup import Key, read_by_key

MB = 2**20


@pytest.fixture
def job(tmp_path):
    return LaidJob("test", str(tmp_path / "root"), "run-test", say=lambda text: None)


def make_rows(count, day=0, **overrides):
    at = NOON + timedelta(days=day)
    return [opening(f"p{day}-{n}", at, user_id=f"u{n}", **overrides) for n in range(count)]


def publish(job, rows, days, finely=True, **parameters):
    with pytest.MonkeyPatch.context() as patch:
        if finely:
            cut_finely(patch)
        batch = job.batch("sessions", days, parameters=parameters)
        counts = {day: sum(row["ds"] == day for row in rows) for day in days}
        return job.publish(replace(batch, row_counts=counts), rows)


def open_snapshot(job):
    return storage.Snapshot.at(job.warehouse.table_path("sessions"), None)


# --- how many


def test_a_part_file_is_called_by_its_own_day_and_not_by_one_of_the_folders_above():
    table, file = "/data/ds=2026-01-01/tables/t/batch-1", "available_at=null/part-0.parquet"
    assert name_part_file(f"{table}/{file}") == name_part_file(f"batch-1/{file}") == "/part-0.parquet"
    assert name_part_file(f"{table}/ds=2026-10-02/{file}") == "2026-10-02/part-0.parquet"


def test_days_of_very_different_size_get_a_number_of_files_each(job):
    row = guess_row(SESSIONS)
    counts = {DAYS[0]: 10, DAYS[1]: int(128 * MB / row), DAYS[2]: int(1000 * MB / row), DAYS[3]: 10**12}
    layout = plan_layout(None, replace(job.batch("sessions", DAYS), row_counts=counts))
    assert [layout.slots[day].count for day in DAYS] == [1, 1, 8, SESSIONS.buckets]
    assert layout.rows_per_file * row == pytest.approx(256 * MB, rel=1e-3)
    small = plan_layout(
        None, replace(job.batch("sessions", DAYS[:2]), row_counts=dict.fromkeys(DAYS[:2], 100))
    )
    assert (small.tasks, small.splits_days) == (1, False), "small days are one task's, as before"


def test_file_bytes_are_what_the_project_says_of_the_table(tmp_path, monkeypatch):
    (tmp_path / "segue.toml").write_text("file_megabytes = 64\n[file_sizes]\nplays = 256\n")
    monkeypatch.chdir(tmp_path)
    assert (find_file_bytes("plays"), find_file_bytes("sessions")) == (256 * MB, 64 * MB)
    monkeypatch.setenv("SEGUE_FILE_MEGABYTES", "32")
    assert (find_file_bytes("plays"), find_file_bytes("sessions")) == (256 * MB, 32 * MB)


@pytest.mark.parametrize(
    ("published", "inputs", "expected"),
    [
        ({}, {1: 70}, 70),
        ({}, {}, 0),
        # a third as many plays, a third as many partials
        ({0: 300}, {0: 600, 1: 200}, 100),
        # the nearest day is the measure, and the day itself is nearest
        ({0: 300, 3: 10**6}, {0: 600, 1: 600, 3: 600}, 300),
        ({0: 300, 1: 50}, {0: 600, 1: 600}, 50),
        # inputs of which the published day had none say nothing
        ({0: 300}, {1: 200}, 300),
        ({0: 300}, {}, 300),
        # one play on the day before: a row for each listener there ever was, and not a million for each play
        ({0: 300}, {0: 1, 1: 1000}, 1300),
    ],
)  # fmt: skip
def test_rows_of_a_day_follow_its_inputs_as_those_of_the_nearest_day_did(job, published, inputs, expected):
    state = TableState(1, {DAYS[n]: DayState(rows, 0, 0, "") for n, rows in published.items()})
    batch = replace(
        job.batch("sessions", DAYS[1:2]), input_rows={DAYS[n]: rows for n, rows in inputs.items()}
    )
    assert estimate_rows(batch, state) == {DAYS[1]: expected}


def test_rows_that_were_counted_are_not_estimated(job):
    batch = replace(job.batch("sessions", DAYS[:1], appends=True), row_counts={DAYS[2]: 7})
    assert estimate_rows(batch, TableState(1, {DAYS[2]: DayState(10**9, 0, 0, "")})) == {DAYS[2]: 7}
    assert estimate_rows(job.batch("sessions", appends=True), TableState(1)) == {}


def test_a_batch_knows_the_rows_of_its_inputs(job):
    publish(job, session_rows([0, 1]), DAYS[:2])
    batch = job.batch("user_partials", DAYS[:1], [job.table("sessions", DAYS[:1])])
    assert batch.input_rows == {DAYS[0]: 5, DAYS[1]: 5}
    own = job.batch("sessions", DAYS[:1], [job.table("sessions", DAYS[:1])])
    assert own.input_rows == {}, "rows of its own table say nothing of a day to come"


# --- who writes them

_parts = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50), st.integers(1, 4)), max_size=20)


@FEW
@given(_parts)
def test_tasks_write_no_two_days_worth(parts):
    target = 40
    items = [Part(n, *part) for n, part in enumerate(parts)]
    slots = assign_tasks(items, target)
    of_task = defaultdict(list)
    for part in items:
        assert slots[part.key].count == part.pieces
        for piece in range(part.pieces):
            of_task[slots[part.key].first + piece].append(part)
    assert sorted(of_task) == list(range(count_tasks(slots))) or not items
    for shared in of_task.values():
        assert len({part.partition for part in shared}) == len(shared), "two files of a day would become one"
        if len(shared) > 1:
            assert all(part.pieces == 1 for part in shared)
            assert sum(part.bytes for part in shared) <= target / 4


def test_files_that_are_rewritten_stay_files_of_their_own():
    files = [
        {"path": f"batch-1/ds=x/part-{n}", "size_bytes": 10, "partition.ds": DAYS[n // 2]} for n in range(4)
    ]
    paths = [file["path"] for file in files]
    kept = place_files(files, {}, 1000)
    assert len({kept[path] for path in paths[:2]}) == len({kept[path] for path in paths[2:]}) == 2
    joined = place_files(files, dict.fromkeys(paths, Target(1)), 1000)
    assert len(set(joined.values())) == 1, "small days share a task"
    cut = place_files(files, dict.fromkeys(paths, Target(3)), 1000)
    assert [cut[path].first for path in paths] == [0, 0, 3, 3]


@pytest.mark.parametrize(
    ("finely", "needed", "rewritten"),
    [
        (True, lambda files: files, False),
        # how many it would need was estimated
        (True, lambda files: files - 1, False),
        (True, lambda files: files // 2, True),
        (True, lambda files: 1, True),
        (False, lambda files: 1, False),
        # from before a day could be several files
        (False, lambda files: 2, True),
    ],
    ids=["as needed", "one too many", "twice too many", "one needed", "one", "half"],
)
def test_maintain_rewrites_days_of_far_too_many_files_or_too_few(job, monkeypatch, finely, needed, rewritten):
    publish(job, make_rows(16), DAYS[:1], finely)
    sizes = {file.path: file.bytes for file in open_snapshot(job).files}
    pieces = needed(len(sizes))
    monkeypatch.setattr(layout, "MEGABYTE", -(-sum(sizes.values()) // pieces))
    monkeypatch.setenv("SEGUE_FILE_MEGABYTES", "1")
    plans = list(plan_compactions(job.warehouse.table("sessions"), SESSIONS, NOON))
    assert plans == ([dict.fromkeys(sizes, Target(pieces))] if rewritten else [])


# --- one day, to all who read it


def test_several_files_are_the_same_day_as_one(job, tmp_path):
    rows = [*make_rows(40), *make_rows(3, day=1)]
    other = LaidJob("test", str(tmp_path / "other"), "run-test", say=lambda text: None)
    publish(job, rows, DAYS[:2])
    publish(other, rows, DAYS[:2], finely=False)
    assert job.warehouse.state("sessions").day_states == other.warehouse.state("sessions").day_states
    of_day = {day: open_snapshot(job).select(day) for day in DAYS[:2]}
    assert len(of_day[DAYS[0]]) >= 8 and len(of_day[DAYS[1]]) <= 3
    ranges = [file.buckets for file in of_day[DAYS[0]]]
    assert all(before[1] < after[0] for before, after in pairwise(ranges)), ranges
    # a day that was several files is replaced as a whole, by one that is one; and another the other way round
    publish(job, make_rows(40, track_id="t2"), DAYS[:1], finely=False, code="other")
    publish(other, make_rows(40, track_id="t2"), DAYS[:1], code="other")
    assert [len(open_snapshot(each).select(DAYS[0])) > 1 for each in (job, other)] == [False, True]
    assert job.warehouse.state("sessions").content_hash == other.warehouse.state("sessions").content_hash
    assert (
        publish(other, make_rows(40, track_id="t2"), DAYS[:1], finely=False, code="equal").kind == "unchanged"
    )


def test_a_look_up_opens_the_file_of_its_bucket_and_few_row_groups(job, monkeypatch):
    job.rows_per_group = 4
    # of 200 rows some 25 in each file, in row groups of four
    with monkeypatch.context() as patch:
        cut_finely(patch, int(26 * guess_row(SESSIONS) / 128))
        batch = replace(job.batch("sessions", DAYS[:1]), row_counts={DAYS[0]: 200})
        job.publish(batch, make_rows(200))
    snapshot = open_snapshot(job)
    assert len(snapshot.files) == 8
    (file,) = snapshot.select(DAYS[0], [bucket("u7")])
    kept = spoil_other_rows(job, file, bucket("u7"))
    assert 1 <= kept <= 3, "row groups that hold its bucket"
    for other in snapshot.files:
        if other != file:
            Path(job.warehouse.table_path("sessions"), other.path).unlink()
    key = Key.of(pa.chunked_array([["u7"]])).of_rows(np.array([0]))
    rows, places = read_by_key(snapshot, {"user_id": key}, snapshot.select(DAYS[0]), ["play_id"])
    assert (rows["play_id"].to_pylist(), list(places)) == (["p0-7"], [0])


def spoil_other_rows(job, file, wanted):
    """Overwrites every row group that cannot hold the bucket; says how many are left."""
    path = Path(job.warehouse.table_path("sessions"), file.path)
    footer, content, kept = pq.read_metadata(path), bytearray(path.read_bytes()), 0
    for n in range(footer.num_row_groups):
        group = footer.row_group(n)
        columns = [group.column(c) for c in range(group.num_columns)]
        extremes = next(each.statistics for each in columns if each.path_in_schema == "bucket")
        if extremes.min <= wanted <= extremes.max:
            kept += 1
            continue
        for each in columns:
            start = each.dictionary_page_offset or each.data_page_offset
            content[start : start + each.total_compressed_size] = b"\xff" * each.total_compressed_size
    path.write_bytes(content)
    assert kept < footer.num_row_groups, "nothing was spoiled: this shows nothing"
    return kept


def test_an_erasure_opens_files_of_the_listeners_bucket_alone(spark, job):
    """Whatever else the days have is no Parquet any more, and of the size that the log says."""
    publish(job, [*make_rows(40), *make_rows(40, day=1)], DAYS[:2])
    before = open_snapshot(job)
    touched = {file.path for day in DAYS[:2] for file in before.select(day, [bucket("u7")])}
    assert len(touched) == 2 < len(before.files) / 4
    for file in before.files:
        if file.path not in touched:
            Path(job.warehouse.table_path("sessions"), file.path).write_bytes(b"\0" * file.bytes)
    forget._erase_all(Job("test", job.warehouse.root, say=lambda text: None), ["u7"])
    after = open_snapshot(job)
    assert {file.path for file in before.files} - {file.path for file in after.files} == touched
    written = [file for file in after.files if file not in before.files]
    others = sorted(n for n in range(40) if n != 7 and any(f.may_hold([bucket(f"u{n}")]) for f in written))
    rows = after.read(written, ["play_id"])["play_id"].to_pylist()
    assert sorted(rows) == sorted(f"p{day}-{n}" for day in (0, 1) for n in others)


def test_a_read_of_buckets_lists_no_file_without_them(job, monkeypatch):
    publish(job, [*make_rows(40), *make_rows(40, day=1)], DAYS[:2])
    snapshot, read = open_snapshot(job), []
    monkeypatch.setattr(inputs, "read_as_parquet", lambda spark, table, path, files: read.append(files))
    job.spark = None
    buckets = {bucket("u7"), bucket("u8")}
    for days in (None, DAYS[:1]):
        job._read_as_parquet("sessions", snapshot.version, days, buckets)
    of_days = [snapshot.select(day, buckets) for day in DAYS[:2]]
    assert read == [[*of_days[0], *of_days[1]], of_days[0]]
    assert len(read[0]) < len(snapshot.files) / 2


def test_a_rewrite_refuses_a_log_that_hides_rows_of_its_files(job):
    """Read by the buckets that the log says, rows of others would be gone for good."""
    publish(job, make_rows(40), DAYS[:1], finely=False)
    (file,) = open_snapshot(job).files
    rewrite = Rewrite("erase", job.warehouse.table("sessions"), "sessions", (file.path,))
    assert rewrite.rows == 40 and rewrite.buckets == set(range(file.buckets[0], file.buckets[1] + 1))
    read = {DAYS[0]: DayProfile(39, 0)}
    with pytest.raises(JobError, match="read 39 rows of files that have 40"):
        _check_contents(rewrite, read, {}, read)
