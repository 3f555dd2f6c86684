"""Each trouble that is put into a root raises its own alert and no other. Without Spark."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.verdict import Result
from jobs import show_health
from jobs.catalogue.inventory import Inventory
from jobs.errors import JobError, WrongUsage
from jobs.health import storage
from jobs.health.examine import examine
from jobs.health.freshness import format_age
from jobs.health.indicators import FINE, KINDS, NOTE, WRONG, sort_urgent_first
from jobs.health.refusals import check_refusals, find_bad_attempts
from jobs.health.root import Root, load_promises
from jobs.health.skew import check_skew
from jobs.health.storage import check_disk
from jobs.publishing.record_tables import FILES
from jobs.publishing.records import (
    REWRITE_SUFFIX,
    append_results,
    list_attempts,
    read_known_failures,
    read_results,
)
from jobs.publishing.retention import count_removable, vacuum
from jobs.publishing.warehouse import Warehouse
from reference.delta_files import rows_of
from reference.golden import unpack
from reference.published import lay
from reference.staged import LaidJob
from segue.errors import SegueError
from segue.project import VARIABLE
from segue.releases import append_release, list_releases
from segue.schedule import parse_schedule

# The golden root ends on 2026-01-09, and was released much later.
MORNING = datetime(2026, 1, 10, 5, tzinfo=UTC)
LAST_DAY = date(2026, 1, 9)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TABLES = (
    "plays",
    "rejected_plays",
    "tracks",
    "user_features",
    "track_features",
    "user_embeddings",
    "candidates",
)
NIGHTLY = parse_schedule("30 4 * * *")
REASON = Result("expect_x", "plays_count_7d", "critical", False, "seen", "wanted")


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder / "root"


@pytest.fixture
def root(golden, tmp_path):
    """Some of its tables, to spoil; files of rows are never written over, so that these are shared."""

    def leave_out(folder, names):
        return [name for name in names if name not in TABLES] if folder.endswith("/tables") else []

    def copy(source, target):
        return os.link(source, target) if source.endswith(".parquet") else shutil.copyfile(source, target)

    return shutil.copytree(golden, tmp_path / "root", ignore=leave_out, copy_function=copy)


def measure(root, now=MORNING, schedule=NIGHTLY, **promises):
    return examine(Root(Inventory(str(root), now=now), promises or {"user_features": 30 * HOUR}, schedule))


def wrong(indicators):
    return [(each.kind, each.subject) for each in sort_urgent_first(indicators) if each.status == WRONG]


def find(indicators, kind):
    (found,) = (each for each in indicators if each.kind == kind and each.subject != "releases")
    return found


def record(root, table, outcome, number, run="run-9", result=REASON):
    about = {"run_id": run, "attempt_id": f"a{number}", "table_name": table, "batch_id": f"b-{number}"}
    about |= {"first_ds": None, "last_ds": None, "rows": 7, "outcome": outcome}
    append_results(Warehouse(str(root)), about, [result])


def release_again(root, **changes):
    """One more release, of tables that are otherwise; None leaves one out."""
    newest = list_releases(root)[0]
    tables = {name: replace(entry, **changes.get(name) or {}) for name, entry in newest.tables.items()}
    kept = {name: entry for name, entry in tables.items() if changes.get(name, ()) is not None}
    return append_release(root, newest.day, kept)


def lay_late_plays(root, count):
    rows = [
        {
            "play_id": f"late-{n}",
            "user_id": "u1",
            "track_id": "t1",
            "source": "app",
            "played_at": datetime(2025, 12, 3, n, tzinfo=UTC),
            "arrived_at": MORNING,
            "ds": date(2026, 1, 9),
        }
        for n in range(count)
    ]
    lay(Warehouse(str(root)), "late_plays", rows)


def drop_a_day(root, table="user_features"):
    """Rows of a day go, and a release follows: nobody needs their files once the release before is over."""
    log = DeltaTable(root / "tables" / table)
    log.delete("ds = '2026-01-05'")
    release_again(root, **{table: {"version": log.version()}})


def tear(root, table):
    log = sorted((root / "tables" / table / "_delta_log").glob("*.json"))[-1]
    log.write_text(log.read_text()[:50])


def record_skew(root, *shares):
    features = [
        {
            "feature": f"user_features:x{n}",
            "rows": 0 if share is None else 100,
            "differing_share": share or 0.0,
            "beyond_bound": bool(share),
        }
        for n, share in enumerate(shares)
    ]
    content = {"checked_at": "2026-01-10T03:00:00+00:00", "bound": 0.001, "features": features}
    (root / "quality" / "skew").mkdir(exist_ok=True)
    (root / "quality" / "skew" / "ranker.json").write_text(json.dumps(content))


def test_nothing_is_wrong_with_the_golden_root(golden):
    indicators = measure(golden, user_features=30 * HOUR, tracks=400 * DAY, releases=36 * HOUR)
    assert wrong(indicators) == []
    values = {each.key: each.value for each in indicators if each.kind in ("stale", "missed", "late")}
    # the clock is before the release was made
    tracks = values.pop("stale tracks")
    assert values == {"stale user_features": 5, "stale releases": 0, "missed flow": 0, "late late_plays": 0}
    assert tracks == 0 and len({each.key for each in indicators}) == len(indicators)


@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_a_refused_batch_is_one_alert_with_its_reason_until_a_good_one(root, outcome):
    record(root, "user_features", outcome, 1)
    record(root, "user_features", outcome, 2)
    indicators = measure(root)
    assert wrong(indicators) == [("refused", "user_features")]
    refused = find(indicators, "refused")
    assert refused.what.startswith(f"its 2 newest batches were {outcome}") and "wanted" in refused.what
    assert refused.state == "a2" and "--run-id run-9" in refused.to_do
    # that files were joined is no news of the rows
    joined = Result("expect_compact_to_keep_all_other_content", None, "critical", True, "as many", "equal")
    record(root, "user_features", "passed", 3, result=joined)
    assert wrong(measure(root)) == [("refused", "user_features")]
    record(root, "user_features", "passed", 4, result=replace(REASON, success=True))
    assert wrong(measure(root)) == []


@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_a_refused_batch_is_over_once_inputs_make_what_is_published(root, outcome):
    job = LaidJob("ingest-tracks", str(root), "run-10", say=lambda text: None)
    record(root, "tracks", outcome, 1)
    record(root, "tracks", "abandoned", 2)
    # of what a job did not look at, it says nothing
    job.nothing_to_do("tracks", "no late ones wait")
    assert wrong(measure(root)) == [("refused", "tracks")]
    before = list_attempts(job.warehouse)
    for _ in range(2):
        job.up_to_date("tracks", "this very batch is published")
        assert wrong(measure(root)) == []
    (settled,) = [each for each in list_attempts(job.warehouse) if each not in before]
    assert (settled["outcome"], settled["run_id"], settled["batch_id"]) == ("unchanged", "run-10", "b-1")
    (row,) = read_results(job.warehouse, "run-10")
    assert (row["success"], row["severity"]) == (True, "info") and "this very batch" in row["observed"]


def record_files(root, source, outcome, hours, run="run-9"):
    about = {"run_id": run, "table_name": "plays", "file_id": f"{source}{hours}", "source": source}
    FILES.append(Warehouse(str(root)), [about | {"outcome": outcome, "recorded_at": MORNING + hours * HOUR}])


def test_a_source_whose_files_were_refused_is_an_alert_though_a_batch_of_another_passed(root):
    now = MORNING + 10 * HOUR
    record(root, "plays", "refused", 1)
    record_files(root, "radio", "refused", 1)
    assert wrong(measure(root, now)) == [("refused", "plays")], "one alert of a table will do"
    record(root, "plays", "passed", 2)
    record_files(root, "app", "read", 2)
    (found,) = [each for each in measure(root, now) if each.kind == "refused"]
    assert (found.subject, found.status) == ("plays", WRONG)
    assert found.what.endswith("none was read since: radio (refused 2026-01-10 06:00)")
    assert found.to_do.startswith("segue report --run-id run-9")
    # nobody waits for good files of a source that is gone
    month = Root(Inventory(str(root), now=now + 28 * DAY))
    assert [each.status for each in check_refusals(month)] == [FINE]
    record_files(root, "radio", "recognised", 3)
    assert wrong(measure(root, now)) == []
    record_files(root, "radio", "refused", 4)
    assert wrong(measure(root, now)) == [("refused", "plays")]
    # the files were taken away, and a step found nothing to do
    record(root, "plays", "unchanged", 3)
    assert wrong(measure(root, now)) == []


def test_a_table_that_was_never_refused_gets_no_record_of_being_up_to_date(root):
    job = LaidJob("ingest-tracks", str(root), "run-10", say=lambda text: None)
    before = list_attempts(job.warehouse)
    job.up_to_date("tracks", "this very batch is published")
    assert list_attempts(job.warehouse) == before


def test_what_is_known_is_what_the_batch_before_did_not_hold(root):
    warehouse, warn = Warehouse(str(root)), replace(REASON, severity="warning")
    record(root, "user_features", "passed", 1, "run-1", replace(warn, column="old"))
    record(root, "user_features", "passed", 2, "run-2", replace(warn, column="before"))
    record(root, "track_features", "passed", 3, "run-2", replace(warn, success=True))
    record(root, "track_features", "passed", 5, "run-3", replace(warn, column="now"))
    # what was not audited held nothing
    for number, outcome in enumerate(("unchanged", "failed", "abandoned"), 6):
        record(root, "user_features", outcome, number, "run-2", replace(REASON, column=outcome))
    record(root, "user_features", "passed", 9, "run-3", replace(warn, column="now"))
    known = read_known_failures(warehouse, read_results(warehouse, "run-3"))
    assert known == {("user_features", "expect_x", "before")}
    assert read_known_failures(warehouse, []) == set()


def test_maintenance_is_not_the_newest_run(root):
    record(root, "tracks", "passed", 1, "run-night")
    record(
        root, "tracks", "passed", 2, "run-maintain", replace(REASON, expectation="expect_x" + REWRITE_SUFFIX)
    )
    record(root, "tracks", "abandoned", 3, "run-maintain")
    assert {row["run_id"] for row in read_results(Warehouse(str(root)))} == {"run-night"}


def test_a_release_that_was_refused_is_an_alert(root):
    record(root, "releases", "refused", 1)
    assert wrong(measure(root)) == [("refused", "releases")]


@pytest.mark.parametrize(("hours", "expected"), [(54, FINE), (54.01, WRONG)])
def test_a_table_is_stale_once_its_promise_is_over(root, hours, expected):
    now = datetime(2026, 1, 10, tzinfo=UTC) + hours * HOUR
    indicators = measure(root, now, None, user_features=54 * HOUR, track_features=100 * HOUR)
    assert wrong(indicators) == ([("stale", "user_features")] if expected == WRONG else [])


def test_a_release_is_stale_once_its_promise_is_over(root):
    released_at = list_releases(root)[0].released_at
    for age, expected in ((36 * HOUR, []), (36 * HOUR + timedelta(seconds=1), [("stale", "releases")])):
        assert wrong(measure(root, released_at + age, None, releases=36 * HOUR)) == expected


def test_a_table_that_was_promised_and_never_published_is_stale(root):
    assert wrong(measure(root, late_plays=30 * HOUR)) == [("stale", "late_plays")]


def test_a_table_without_days_is_as_old_as_its_publication(root):
    (published_at,) = {row["available_at"] for row in rows_of(DeltaTable(root / "tables" / "tracks"))}
    indicators = measure(root, published_at + 3 * HOUR, None, tracks=3 * HOUR)
    assert wrong(indicators) == [] and [i.value for i in indicators if i.key == "stale tracks"] == [3]
    assert wrong(measure(root, published_at + 3 * HOUR, None, tracks=2 * HOUR)) == [("stale", "tracks")]


def test_what_readers_have_counts_and_not_what_no_release_took(root):
    row = next(row for row in rows_of(DeltaTable(root / "tables" / "user_features")) if row["ds"] == LAST_DAY)
    lay(Warehouse(str(root)), "user_features", [row | {"ds": LAST_DAY + DAY}])
    stale = find(measure(root, MORNING + DAY, None), "stale")
    assert stale.value == 29
    release_again(root, user_features={"version": DeltaTable(root / "tables" / "user_features").version()})
    stale = find(measure(root, MORNING + DAY, None), "stale")
    assert stale.value == 5


def test_of_a_provisional_day_what_was_delivered_counts(root):
    release_again(root, user_features={"complete_through": MORNING - 20 * HOUR})
    stale = find(measure(root), "stale")
    assert (stale.value, stale.status) == (20, FINE)
    assert wrong(measure(root, user_features=19 * HOUR)) == [("stale", "user_features")]


@pytest.mark.parametrize(("days", "expected"), [(1, []), (2, [("missed", "flow")])])
def test_one_run_may_be_on_and_two_are_missed(root, days, expected):
    # at 04:00 the run of the day is still to come
    indicators = measure(root, MORNING + days * DAY, user_features=90 * HOUR)
    assert wrong(indicators) == expected
    assert [each.value for each in indicators if each.kind == "missed"] == [days]
    before_the_run = measure(root, MORNING + days * DAY - HOUR, user_features=90 * HOUR)
    assert [each.value for each in before_the_run if each.kind == "missed"] == [days - 1]


@pytest.mark.parametrize(("lag", "status"), [(1, NOTE), (3, NOTE), (4, WRONG)])
def test_a_lag_is_wrong_beyond_half_of_its_bound(root, lag, status):
    release_again(root, user_embeddings={"lag_days": lag})
    indicators = measure(root)
    found = find(indicators, "lag")
    assert (found.subject, found.status, found.value) == ("user_embeddings", status, lag)
    assert wrong(indicators) == ([("lag", "user_embeddings")] if status == WRONG else [])


def test_a_table_that_need_not_have_rows_each_night_may_lag(root):
    release_again(root, rejected_plays={"lag_days": 6})
    assert [(i.subject, i.status) for i in measure(root) if i.kind == "lag"] == [("rejected_plays", NOTE)]
    release_again(root, rejected_plays=None)
    assert wrong(measure(root)) == []


def test_a_table_that_left_the_release_is_an_alert(root):
    release_again(root, candidates=None)
    assert wrong(measure(root)) == [("lag", "candidates")]


@pytest.mark.parametrize(("count", "status"), [(0, FINE), (1, NOTE), (2, WRONG)])
def test_late_plays_are_wrong_beyond_a_share_of_a_day(root, count, status):
    # the seven newest days have 991 plays on five
    if count:
        lay_late_plays(root, count)
    indicators = measure(root)
    late = find(indicators, "late")
    assert (late.value, late.status) == (count, status)
    assert wrong(indicators) == ([("late", "late_plays")] if status == WRONG else [])
    if count:
        assert "the oldest of 2025-12-03" in late.what and late.bound == 0.01 * round(991 / 5)


@pytest.mark.parametrize("beyond", [True, False])
def test_skew_that_was_recorded_is_an_alert(root, beyond):
    record_skew(root, 0.2 if beyond else 0.0)
    assert wrong(measure(root)) == ([("skew", "ranker")] if beyond else [])


def test_features_of_which_no_row_was_compared_are_not_said_to_be_as_released(root):
    # None: no row was compared
    record_skew(root, 0.0, None, 0.0)
    (found,) = check_skew(Root(Inventory(str(root))))
    assert (found.status, found.what.split(",")[0]) == (NOTE, "2 of its 3 features are as released")
    assert found.what.endswith("; no row was compared of user_features:x1")
    record_skew(root, 0.2, None)
    (found,) = check_skew(Root(Inventory(str(root))))
    assert found.status == WRONG and found.what.endswith("; no row was compared of user_features:x1")
    assert found.to_do == f"segue skew --record ranker --logged FILE --root {root}"


def test_features_of_which_not_all_rows_were_compared_are_noted(root):
    """Columns that an older release had not: of its rows nobody knows whether they were served as released."""
    record_skew(root, 0.0, 0.0)
    path = root / "quality" / "skew" / "ranker.json"
    content = json.loads(path.read_text())
    content["features"][1]["not_compared"] = 40
    path.write_text(json.dumps(content))
    (found,) = check_skew(Root(Inventory(str(root))))
    assert found.status == NOTE and found.what.startswith("its 2 features are as released")
    assert found.what.endswith("; some rows were not compared of user_features:x1"), (
        "and not of the other one"
    )


def test_a_record_of_skew_that_is_none_is_said_to_be_none(root):
    record_skew(root, 0.2)
    for text in ("", "{", "{}", "[]", '{"features": [], "bound": 1}', '{"features": 3, "bound": 1}'):
        (root / "quality" / "skew" / "ranker.json").write_text(text)
        with pytest.raises(SegueError, match=r"ranker\.json is no record of segue skew"):
            list(check_skew(Root(Inventory(str(root)))))
    assert wrong(measure(root)) == [("unreadable", "skew")]


Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_nearly_full_is_an_alert(root, monkeypatch):
    # a tenth, and 50 GiB of a large one
    for total, free, status in ((100, 10, FINE), (100, 9.9, WRONG), (10_000, 51, FINE), (10_000, 49, WRONG)):
        usage = Usage(total * 2**30, 0, int(free * 2**30))
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        (disk,) = check_disk(Root(Inventory(str(root))))
        assert disk.status == status
    assert wrong(measure(root)) == [("disk", "disk")]


def test_files_that_maintenance_should_have_removed_are_an_alert(root):
    drop_a_day(root)
    now, warehouse = datetime.now(UTC), Warehouse(str(root))
    log = warehouse.table("user_features")
    # 35 days, one of grace, and a week in which maintenance may run
    for days, is_due in ((43, False), (45, True)):
        at = now + days * DAY
        assert wrong(measure(root, at, None, plays=900 * DAY)) == (
            [("debt", "maintenance")] if is_due else []
        )
        # what maintenance itself would remove then
        removable = vacuum(warehouse, log, "user_features", at - storage.SLACK, dry_run=True).files
        assert count_removable(warehouse, "user_features", log.version(), at - storage.SLACK) == removable
        assert (removable > 0) == is_due
    vacuum(warehouse, log, "user_features", now + 45 * DAY)
    assert wrong(measure(root, now + 45 * DAY, None, plays=900 * DAY)) == []


def test_a_batch_that_was_left_over_is_an_alert(root):
    folder = root / "tables" / "user_features" / "batch-left-over"
    folder.mkdir()
    now = datetime.now(UTC)
    for days, expected in ((10, []), (12, [("debt", "maintenance")])):
        old = (now - days * DAY).timestamp()
        os.utime(folder, (old, old))
        assert wrong(measure(root, now, None, plays=900 * DAY)) == expected


@pytest.mark.parametrize(
    ("name", "most", "what", "measured"),
    [
        ("MANY_COMMITS", 1, r"readers read commits .*late_plays has .*\d commits since a", (3, 1, "commits")),
        ("MANY_SMALL_FILES", 0, r"readers open small files .*late_plays has 2 small files", (2, 0, "files")),
    ],
)
def test_many_commits_and_many_small_files_are_an_alert(root, monkeypatch, name, most, what, measured):
    """Of its own, with a value beyond its bound: nothing of theirs has waited for a week."""
    lay_late_plays(root, 1)
    # appended twice: two files of one day and instant
    lay_late_plays(root, 1)
    (small,) = [each for each in measure(root) if each.kind == "debt"]
    assert small.status == FINE and "2 small files to be joined" in small.what
    monkeypatch.setattr(storage, name, most)
    found = measure(root)
    assert ("debt", "maintenance") in wrong(found)
    (debt,) = [each for each in found if each.kind == "debt"]
    assert re.match(what, debt.what), f"the alert is of another debt: {debt.what}"
    assert (debt.value, debt.bound, debt.unit) == measured, f"of {debt.what}"


@pytest.mark.parametrize("table", ["user_features", "plays", "late_plays"])
def test_a_torn_log_hides_nothing_else(root, table):
    lay_late_plays(root, 1)
    record(root, "track_features", "refused", 1)
    tear(root, table)
    expected = [("unreadable", table), ("refused", "track_features")]
    # readers have the version of the release, but what follows it cannot be read
    assert wrong(measure(root, user_features=30 * HOUR, plays=30 * HOUR)) == expected


@pytest.mark.parametrize(
    ("folder", "subject"), [("releases", "releases"), ("quality/results", "quality results")]
)
def test_a_torn_record_is_one_alert(root, folder, subject):
    log = sorted((root / folder / "_delta_log").glob("*.json"))[-1]
    log.write_text(log.read_text()[:50])
    for checkpoint in (root / folder / "_delta_log").glob("*checkpoint*"):
        checkpoint.unlink()
    assert wrong(measure(root)) == [("unreadable", subject)]


def test_a_root_without_tables_is_no_healthy_one(tmp_path):
    with pytest.raises(JobError, match="no table is published"):
        measure(tmp_path / "nothing")


def test_tables_that_were_never_released_are_measured_as_they_are_published(root):
    shutil.rmtree(root / "releases")
    indicators = measure(root)
    assert wrong(indicators) == []
    assert {each.key: each.status for each in indicators}["stale releases"] == NOTE
    assert ("stale", "releases") in wrong(measure(root, releases=36 * HOUR))


# --- parts


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abz"), st.sampled_from(["refused", "failed", "passed", "abandoned", "unchanged"])
        )
    )
)
def test_bad_attempts_equal_what_a_loop_finds(pairs):
    tables = {"a": "plays", "b": "sessions", "z": "no_longer_made"}
    newest_first = [
        {"table_name": tables[t], "outcome": o, "attempt_id": n} for n, (t, o) in enumerate(pairs)
    ]
    expected: dict[str, list[int]] = {}
    passed = set()
    for attempt in newest_first:
        table, outcome = attempt["table_name"], attempt["outcome"]
        if outcome in ("passed", "unchanged"):
            passed.add(table)
        elif outcome != "abandoned" and table not in passed and table != "no_longer_made":
            expected.setdefault(table, []).append(attempt["attempt_id"])
    found = {
        each[0]["table_name"]: [a["attempt_id"] for a in each] for each in find_bad_attempts(newest_first)
    }
    assert found == expected


def test_ages_grow_as_they_are_written():
    minutes = (0, 1, 59, 60, 119, 120, 47 * 60 + 59, 48 * 60, 71 * 60, 72 * 60)
    texts = [format_age(timedelta(minutes=n)) for n in minutes]
    shorter = ["0 minutes", "1 minute", "59 minutes", "1 hour", "1 hour", "2 hours", "47 hours"]
    assert texts == [*shorter, "2 days", "2 days", "3 days"]


# --- the command


@pytest.fixture
def project(tmp_path, monkeypatch):
    def write(text):
        (tmp_path / "segue.toml").write_text(text)
        monkeypatch.setenv(VARIABLE, str(tmp_path))

    return write


def run(*argv):
    parser = argparse.ArgumentParser()
    show_health.configure(parser)
    return show_health.run(parser.parse_args(argv))


def test_promises_are_of_tables_that_there_are(project):
    project('[slo]\nuser_features = "30h"\nreleases = "2d"')
    assert load_promises() == {"user_features": 30 * HOUR, "releases": 48 * HOUR}
    project('[slo]\nuser_featurs = "30h"\nuser_track_features = "1h"')
    with pytest.raises(WrongUsage, match=r"'user_featurs' is unknown.*\n.*'user_track_features' is unknown"):
        load_promises()


def test_the_command_says_what_is_wrong_first_and_ends_with_4(root, project, capsys):
    project('owner = "the data team"\n[slo]\nuser_features = "30h"')
    assert run("--root", str(root)) == 4
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("1 thing is wrong under")
    first = out.splitlines()[2:5]
    assert first[0].startswith("STALE user_features: what readers have of it ends at 2026-01-10 00:00, ")
    assert first[1:] == [
        f"  look: segue describe user_features --root {root}",
        "  page: docs/runbook/stale.md; owner: the data team",
    ]
    assert run("--root", str(root), "--json") == 4
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # the same, as numbers
    assert [rows[0][name] for name in ("kind", "subject", "status")] == ["stale", "user_features", "wrong"]
    assert rows[0]["value"] > rows[0]["bound"] == 30 and rows[0]["unit"] == "hours"
    urgency = ("wrong", "note", "fine")
    assert all(urgency.index(a["status"]) <= urgency.index(b["status"]) for a, b in pairwise(rows))


def test_the_command_ends_with_0_where_nothing_is_wrong(root, project, capsys):
    project('[slo]\nuser_features = "9999d"')
    assert run("--root", str(root)) == 0
    assert capsys.readouterr().out.startswith("nothing is wrong under")


def test_notifying_nobody_is_wrong_usage(root, project):
    project("")
    with pytest.raises(WrongUsage, match="names nobody"):
        run("--root", str(root), "--notify")


def test_each_kind_has_one_word_and_a_meaning():
    assert all(kind.isalpha() and meaning for kind, meaning in KINDS.items())
    assert Path(__file__).parents[2].joinpath("docs/runbook").is_dir()
