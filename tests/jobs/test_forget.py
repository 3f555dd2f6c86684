"""Who was erased is nowhere, everybody else is untouched, and the receipt says what is still held."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import segue
from jobs import forget, release_tables
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.publishing.retention import vacuum
from jobs.publishing.warehouse import Warehouse, stale_days
from reference.flows import FIRST, LAST, expected_tables
from reference.rows import assert_same
from reference.staged import stage
from schemas import CONTRACTS
from segue.errors import SegueError

WITH_USERS = (
    "plays", "rejected_plays", "sessions", "user_partials", "user_features", "user_track_partials",
    "user_artist_partials", "user_embeddings", "candidates",
)  # fmt: skip


# Rejected rows that do not say whose they are, by reject: the listener in their text.
NAMELESS = {"r1": "ann-1", "r2": "ann-12"}


def rows_of(root, table):
    return [row for batch in segue.open(root).scan(table) for row in batch.to_pylist()]


def receipt_of(root):
    paths = list(Path(root, "quality", "receipts").glob("*.json"))
    assert len(paths) == 1, f"expected one receipt, found {paths}"
    return json.loads(paths[0].read_text())


@pytest.fixture(scope="module")
def erased(night, tmp_path_factory):
    """The night without its busiest listener, all who heard its rarest track, and one who never was."""
    copy = night.copied_to(tmp_path_factory.mktemp("erased"))
    copy.before = {table: rows_of(copy.root, table) for table in segue.open(copy.root).tables}
    copy.old_release = segue.open(copy.root).release
    busiest = Counter(row["user_id"] for row in copy.before["plays"]).most_common(1)
    heard = listeners(copy.before["plays"])
    rarest = min(sorted(heard), key=lambda track: len(heard[track]))
    copy.gone = sorted({user for user, _ in busiest} | heard[rarest])
    copy.lonely = [track for track, users in heard.items() if users <= set(copy.gone)]
    copy.code = forget.main(["--root", copy.root, "--run-id", "forget-test", "--user", *copy.gone, "nobody"])
    return copy


def listeners(plays):
    """Who heard each track."""
    heard = defaultdict(set)
    for row in plays:
        heard[row["track_id"]].add(row["user_id"])
    return heard


def test_tracks_that_only_they_heard_stay_and_the_release_is_made(erased):
    assert erased.lonely, "every track was heard by others too: the test shows nothing"
    left = {row["track_id"] for row in rows_of(erased.root, "track_features")}
    assert set(erased.lonely) <= left
    assert segue.open(erased.root).release != erased.old_release


def test_an_erased_listener_is_in_no_table_and_all_others_are_as_they_were(erased):
    for table in WITH_USERS:
        wanted = [row for row in erased.before[table] if row["user_id"] not in erased.gone]
        found = rows_of(erased.root, table)
        key = CONTRACTS[table].key
        by_key = [{tuple(row[name] for name in key): row for row in rows} for rows in (wanted, found)]
        assert len(wanted) < len(erased.before[table]) or table == "rejected_plays", f"{table} never had them"
        assert by_key[0] == by_key[1], (
            f"{table}: other listeners' rows changed, or the erased ones are still there"
        )
    assert rows_of(erased.root, "track_features") == erased.before["track_features"]


def test_what_is_left_is_what_plain_python_makes_of_the_plays_left(erased):
    plays = rows_of(erased.root, "plays")
    for table, key in (("sessions", ("play_id",)), ("user_features", ("user_id", "ds"))):
        drop = ("available_at", "session_id", "bucket")
        wanted, found = (
            [{name: value for name, value in row.items() if name not in drop} for row in rows]
            for rows in (expected_tables(plays)[table], rows_of(erased.root, table))
        )
        assert_same(wanted, found, key, plays, "user_id")


def test_nothing_is_stale_afterwards_and_the_flow_adds_nothing(erased):
    warehouse = Warehouse(erased.root)
    assert stale_days(warehouse, "sessions", warehouse.state("plays").cumulative_fingerprints()) == []
    versions = erased.versions()
    assert erased.flow(erased.day(LAST)) == 0
    assert erased.versions() == versions, (
        "a rerun after an erasure published something: the listeners may be back"
    )


def test_the_receipt_says_what_went_what_is_held_and_what_was_trained(erased):
    receipt = receipt_of(erased.root)
    rows = {each["table"]: each["rows"] for each in receipt["tables"]}
    assert rows == {
        table: sum(row["user_id"] in erased.gone for row in erased.before[table]) for table in WITH_USERS
    }
    assert set(receipt["sha256_of_ids"]) == {
        hashlib.sha256(id_.encode()).hexdigest() for id_ in (*erased.gone, "nobody")
    }
    assert erased.code == 1, "nobody is in no table, and whoever asked must know that"
    assert receipt["sha256_of_missing_ids"] == [hashlib.sha256(b"nobody").hexdigest()]
    assert receipt["release"] == segue.open(erased.root).release != erased.old_release
    held = {each["by"]: each for each in receipt["still_held"]}
    assert held[f"release {erased.old_release}"]["until"] > str(datetime.now(UTC) + timedelta(days=35))
    assert {each["table"] for each in receipt["trained_with_them"]} == set(forget.AGGREGATES)


def test_no_text_under_the_root_names_them(erased):
    texts = [
        path
        for path in Path(erased.root).rglob("*.json")
        if "_delta_log" in path.parts or "quality" in path.parts
    ]
    assert len(texts) > 10, "no logs were looked at"
    named = [path for path in texts for user in erased.gone if f'"{user}"' in path.read_text()]
    assert not named, f"an erased id stands in {named[:3]}"


def test_once_the_old_release_is_over_no_file_holds_them(erased, tmp_path):
    warehouse = Warehouse(erased.copied_to(tmp_path).root)
    later = datetime.now(UTC) + timedelta(days=40)

    def holding():
        return [
            path
            for table in WITH_USERS
            for path in Path(warehouse.table_path(table)).rglob("*.parquet")
            if "_delta_log" not in path.parts
            and set(erased.gone) & set(pq.ParquetFile(path).read(["user_id"])["user_id"].to_pylist())
        ]

    assert holding(), "nothing was held: the test shows nothing"
    for table in WITH_USERS:
        vacuum(warehouse, warehouse.table(table), table, later)
    assert not holding(), "files with erased listeners outlived the release that held them"
    assert len(rows_of(warehouse.root, "plays")) > 0


def test_going_back_to_before_the_erasure_is_refused(erased):
    with pytest.raises(SegueError, match="would bring the listener back"):
        segue.rollback(erased.root, erased.old_release)


@pytest.fixture
def few(night, tmp_path):
    """Three of the tables, to spoil: an erasure and the release after it take half a second a table."""
    return night.copied_to(tmp_path, tables=("plays", "rejected_plays", "sessions"))


def test_a_step_that_read_before_cannot_publish_after(spark, few, capsys):
    release_tables.main(["--root", few.root])
    slow = Job("slow", few.root, "run-slow", say=lambda text: None)
    days = slow.warehouse.state("sessions").days
    rows = slow.read("sessions", days)
    batch = slow.batch("sessions", days, parameters={"slow": 1})
    user = rows.first().user_id
    arguments = ["--root", few.root, "--run-id", "forget-test", "--user"]
    assert forget.main([*arguments, user]) == 0
    with pytest.raises(JobError, match="a listener was erased from sessions"):
        slow.publish(batch, rows)
    assert user not in {row["user_id"] for row in rows_of(few.root, "sessions")}
    assert forget.main([*arguments, user]) == 0, "in no table now, and yet in the release of before"
    assert forget.main([*arguments, user.upper(), "--ignore-missing"]) == 0
    assert f"1 of 1 ids are in no table and in no release: {user.upper()}." in capsys.readouterr().out
    assert len(set(Path(few.root, "quality", "receipts").iterdir())) == 3, "a receipt was written over"


def test_staged_batches_and_rejected_rows_go_as_well(spark, few):
    job = Job("test", few.root, "run-staged", say=lambda text: None)
    day = job.warehouse.state("sessions").days[-1]
    rows = job.read("sessions", [day])
    staged = stage(job, job.batch("sessions", [day], parameters={"staged": 1}), rows)
    killed = Path(few.root, "tables", "plays", "batch-killed-1", "ds=2026-01-01", "part-0.parquet")
    killed.parent.mkdir(parents=True)
    killed.write_bytes(b"half of a file")
    nameless = spark.createDataFrame(
        [
            (id_, "s", None, "f", f'{{"listener": "{user}"}}', ["x"], day)
            for id_, user in (("r1", "ann-1"), ("r2", "ann-12"))
        ],
        "reject_id string, source string, user_id string, file string, raw string, reasons array<string>, ds date",
    )
    filled = dict.fromkeys(("reject_id", "source", "file", "raw"), "")
    job.publish(job.batch("rejected_plays", appends=True, parameters={"n": 1}), not_null(nameless, filled))
    ids = ["ann-1", rows.first().user_id]
    assert forget.main(["--root", few.root, "--run-id", "forget-test", "--user", *ids]) == 0, (
        "ann-1 stands in the text of a rejected row alone, and is not missing"
    )
    assert not Path(staged.path).exists(), "a staged batch still holds the listener"
    assert not killed.exists(), "files of a write that was killed are in no log, and still there"
    left = {row.reject_id for row in Job("look", few.root).read("rejected_plays").collect()}
    assert "r1" not in left and "r2" in left, "ids must match as whole words: ann-1 is not ann-12"


def not_null(rows, filled):
    """To the planner, columns made from Python may be null."""
    from pyspark.sql import functions as F

    columns = {name: F.coalesce(name, F.lit(value)) for name, value in filled.items()}
    day = F.coalesce("ds", F.lit(FIRST))
    return rows.withColumns(columns | {"ds": day, "reasons": F.coalesce("reasons", F.array(F.lit("")))})


def test_nobody_named_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage, match="nobody to erase"):
        forget.main(["--root", str(tmp_path)])
    with pytest.raises(WrongUsage, match="no-such-file"):
        forget.main(["--root", str(tmp_path), "--users", str(tmp_path / "no-such-file")])
    with pytest.raises(JobError, match="holds listeners"):
        forget.main(["--root", str(tmp_path), "--user", "u"])
