"""Who was erased is nowhere, everybody else is untouched, and the receipt says what is still held."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from simulation.laid import remove_spark
from simulation.month import FIRST, Ingest, Play
from simulation.root import Killed, SimulatedRoot, kill_at_commit

import segue
from features.reasons import BROKEN_LINE
from features.sessions import GAP_MS
from jobs import forget, receipts, release_tables
from jobs.build_sessions import select_days
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.publishing.retention import vacuum
from jobs.publishing.warehouse import Warehouse
from jobs.receipts import AGGREGATES, _users_of_version, find_erased
from reference.delta_files import rows_of
from reference.flows import LAST, assert_sessions_as_defined
from reference.group_tables import assert_tables_as_defined
from reference.published import pass_every_batch
from reference.releases import count_in_python
from reference.staged import LaidJob
from schemas import CONTRACTS
from schemas.user_features import USER_FEATURE_GROUP
from segue.errors import SegueError
from segue.releases import append_release, list_releases

NOON = datetime.combine(FIRST, time(12), UTC)
USER_TABLES = (
    "plays", "rejected_plays", "sessions", "user_partials", "user_features", "user_track_partials",
    "user_artist_partials", "user_embeddings", "candidates",
)  # fmt: skip
# Rejected rows that do not say whose they are, or say it wrongly as their line is broken: user_id, text, reasons.
REJECTS = {
    "r1": (None, '{"listener": "ann-1"}', ["x"]),
    "r2": (None, '{"listener": "ann-12"}', ["x"]),
    "two on a line": ("bob", '{"user_id": "bob"} {"user_id": "cleo.1"}', [BROKEN_LINE]),
    "of bob, broken": ("bob", "bob,cleo-1", [BROKEN_LINE]),
    "of bob": ("bob", '{"user_id": "bob", "title": "cleo.1"}', ["x"]),
}


def read_receipt(root):
    paths = list(Path(root, "quality", "receipts").glob("*.json"))
    assert len(paths) == 1, f"expected one receipt, found {paths}"
    return json.loads(paths[0].read_text())


@pytest.fixture(scope="module")
def erased_world(night, tmp_path_factory):
    """The night without its busiest listener, all who heard its rarest track, and one who never was."""
    copy = night.copied_to(tmp_path_factory.mktemp("erased"))
    copy.before = {table: copy.released(table) for table in segue.open(copy.root).tables}
    copy.old_release = segue.open(copy.root).release
    busiest = Counter(row["user_id"] for row in copy.before["plays"]).most_common(1)
    listeners_by_track = map_listeners(copy.before["plays"])
    rarest = min(sorted(listeners_by_track), key=lambda track: len(listeners_by_track[track]))
    copy.erased_ids = sorted({user for user, _ in busiest} | listeners_by_track[rarest])
    copy.lonely_tracks = [
        track for track, users in listeners_by_track.items() if users <= set(copy.erased_ids)
    ]
    arguments = ["--root", copy.root, "--run-id", "forget-test", "--user", *copy.erased_ids, "nobody"]
    with pytest.MonkeyPatch.context() as patch:
        count_in_python(patch)
        copy.exit_code = forget.main(arguments)
    return copy


def map_listeners(plays):
    """Who heard each track."""
    listeners_by_track = defaultdict(set)
    for row in plays:
        listeners_by_track[row["track_id"]].add(row["user_id"])
    return listeners_by_track


def test_forget_keeps_tracks_that_only_erased_listeners_played_and_releases(erased_world):
    assert erased_world.lonely_tracks, "every track was heard by others too: the test shows nothing"
    tracks = {row["track_id"] for row in erased_world.released("track_features")}
    assert set(erased_world.lonely_tracks) <= tracks
    assert segue.open(erased_world.root).release != erased_world.old_release


def test_forget_removes_erased_listeners_and_changes_no_other_row(erased_world):
    for table in USER_TABLES:
        expected = [
            row for row in erased_world.before[table] if row["user_id"] not in erased_world.erased_ids
        ]
        actual = erased_world.released(table)
        key = CONTRACTS[table].key
        by_key = [{tuple(row[name] for name in key): row for row in rows} for rows in (expected, actual)]
        assert len(expected) < len(erased_world.before[table]) or table == "rejected_plays", (
            f"{table} never had them"
        )
        assert by_key[0] == by_key[1], (
            f"{table}: other listeners' rows changed, or the erased ones are still there"
        )
    assert erased_world.released("track_features") == erased_world.before["track_features"]


def test_forget_leaves_tables_that_agree_with_plain_python(erased_world):
    sessions = assert_sessions_as_defined(erased_world)
    days = sorted({row["ds"] for row in sessions})
    assert_tables_as_defined(USER_FEATURE_GROUP, sessions, days, erased_world.released)


def test_forget_leaves_no_stale_days_and_the_flow_adds_nothing(erased_world):
    warehouse = Warehouse(erased_world.root)
    states = [warehouse.state(name) for name in ("plays", "sessions")]
    assert select_days(*states, [], GAP_MS)[0] == [], "an erasure makes no day of sessions stale"
    versions = erased_world.versions()
    assert erased_world.flow(erased_world.day(LAST)) == 0
    assert erased_world.versions() == versions, (
        "a rerun after an erasure published something: the listeners may be back"
    )


def test_forget_writes_a_receipt_of_rows_releases_and_trained_tables(erased_world):
    receipt = read_receipt(erased_world.root)
    rows = {each["table"]: each["rows"] for each in receipt["tables"]}
    assert rows == {
        table: sum(row["user_id"] in erased_world.erased_ids for row in erased_world.before[table])
        for table in USER_TABLES
    }
    assert set(receipt["sha256_of_ids"]) == {
        hashlib.sha256(id_.encode()).hexdigest() for id_ in (*erased_world.erased_ids, "nobody")
    }
    assert erased_world.exit_code == 1, "nobody is in no table, and whoever gave that id must know"
    assert receipt["sha256_of_missing_ids"] == [hashlib.sha256(b"nobody").hexdigest()]
    assert receipt["release"] == segue.open(erased_world.root).release != erased_world.old_release
    holders = {each["by"]: each for each in receipt["still_held"]}
    assert holders[f"release {erased_world.old_release}"]["until"] > str(
        datetime.now(UTC) + timedelta(days=35)
    )
    assert {each["table"] for each in receipt["trained_with_them"]} == set(AGGREGATES)


def test_forget_makes_labels_of_the_time_before_it_censored_in_versions_after_it(erased_world):
    warehouse, receipt = Warehouse(erased_world.root), read_receipt(erased_world.root)
    version = next(each["version"] for each in receipt["tables"] if each["table"] == "sessions")
    erased = find_erased(warehouse, "sessions", version)
    hashes = {hashlib.sha256(id_.encode()).hexdigest() for id_ in erased_world.erased_ids}
    assert erased.keys() == hashes, "who was in no table lost nothing"
    assert set(erased.values()) == {datetime.fromisoformat(receipt["erased_at"])}
    assert find_erased(warehouse, "sessions", version - 1) == {}, "an older version has their plays"


def test_forget_leaves_no_id_in_logs_and_quality_files(erased_world):
    texts = [
        path
        for path in Path(erased_world.root).rglob("*.json")
        if "_delta_log" in path.parts or "quality" in path.parts
    ]
    assert len(texts) > 10, "no logs were looked at"
    matches = [path for path in texts for user in erased_world.erased_ids if f'"{user}"' in path.read_text()]
    assert not matches, f"an erased id stands in {matches[:3]}"


def test_vacuum_after_the_old_release_removes_files_of_erased_listeners(erased_world, tmp_path):
    copy = erased_world.copied_to(tmp_path)
    warehouse = Warehouse(copy.root)
    later = datetime.now(UTC) + timedelta(days=40)

    def list_files_of_erased_listeners():
        return [
            path
            for table in USER_TABLES
            for path in Path(warehouse.table_path(table)).rglob("*.parquet")
            if "_delta_log" not in path.parts
            and set(erased_world.erased_ids)
            & set(pq.ParquetFile(path).read(["user_id"])["user_id"].to_pylist())
        ]

    assert list_files_of_erased_listeners(), "nothing was held: the test shows nothing"
    for table in USER_TABLES:
        vacuum(warehouse, warehouse.table(table), table, later)
    assert not list_files_of_erased_listeners(), (
        "files with erased listeners outlived the release that held them"
    )
    assert len(copy.released("plays")) > 0


def test_rollback_refuses_a_release_from_before_an_erasure(erased_world):
    with pytest.raises(SegueError, match="would bring the listener back"):
        segue.rollback(erased_world.root, erased_world.old_release)


@pytest.fixture
def copy_tables(night, tmp_path, monkeypatch):
    """Some of the tables, to spoil: an erasure and the release after it take half a second a table.

    What is published is not audited: who is erased depends on no expectation.
    """
    pass_every_batch(monkeypatch)

    def copy_tables(*names):
        return night.copied_to(tmp_path, names)

    return copy_tables


def test_publish_refuses_a_batch_that_was_read_before_an_erasure(spark, copy_tables):
    tables = copy_tables("sessions")
    slow_job = Job("slow", tables.root, "run-slow", say=lambda text: None)
    days = slow_job.warehouse.state("sessions").days
    rows = slow_job.read("sessions", days)
    batch = slow_job.batch("sessions", days, parameters={"slow": 1})
    user = rows.first().user_id
    forget.main(["--root", tables.root, "--run-id", "forget-test", "--user", user])
    with pytest.raises(JobError, match="a listener was erased from sessions"):
        slow_job.publish(batch, rows)
    assert user not in {row["user_id"] for row in tables.released("sessions")}


def test_forget_exits_with_1_for_ids_in_no_table_and_no_release(copy_tables, monkeypatch, capsys):
    """Without Spark, which looks for ids in the files of tables alone: the erasure above has that."""
    remove_spark(monkeypatch)
    tables = copy_tables("plays")
    release_tables.main(["--root", tables.root])
    user = tables.released("plays")[0]["user_id"]
    arguments = ["--root", tables.root, "--run-id", "forget-test", "--user"]
    assert forget.main([*arguments, user]) == 0
    assert forget.main([*arguments, user]) == 0, "in no table now, and yet in the release of before"
    assert forget.main([*arguments, user.upper()]) == 1
    assert f"1 of 1 ids are in no table and in no release: {user.upper()}." in capsys.readouterr().out
    assert forget.main([*arguments, user.upper(), "--ignore-missing"]) == 0
    assert len(set(Path(tables.root, "quality", "receipts").iterdir())) == 4, "a receipt was written over"


def test_forget_removes_staged_batches_and_rejected_rows(spark, copy_tables):
    tables = copy_tables("rejected_plays", "sessions")
    job = LaidJob("test", tables.root, "run-staged", say=lambda text: None)
    day = job.warehouse.state("sessions").days[-1]
    rows = [row for row in rows_of(job.warehouse.table("sessions")) if row["ds"] == day]
    staged = job.stage(job.batch("sessions", [day], parameters={"staged": 1}), rows)
    abandoned_file = Path(
        tables.root, "tables", "sessions", "batch-killed-1", "ds=2026-01-01", "part-0.parquet"
    )
    abandoned_file.parent.mkdir(parents=True)
    abandoned_file.write_bytes(b"half of a file")
    rejects = [
        {"reject_id": id_, "source": "s", "file": "f", "ds": day}
        | {"user_id": user, "raw": raw, "reasons": reasons}
        for id_, (user, raw, reasons) in REJECTS.items()
    ]
    job.publish(job.batch("rejected_plays", appends=True, parameters={"n": 1}), rejects)
    kept = [Path(tables.root, "quality", "quarantine", name, "a1.json") for name in ("sessions", "tracks")]
    for file in kept:
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    held = job.warehouse.state("rejected_plays").version
    ids = ["ann-1", "cleo.1", rows[0]["user_id"]]
    assert forget.main(["--root", tables.root, "--run-id", "forget-test", "--user", *ids]) == 0, (
        "ann-1 and cleo.1 stand in texts of rejected rows alone, and are not missing"
    )
    assert not Path(staged.path).exists(), "a staged batch still holds the listener"
    assert [file.exists() for file in kept] == [False, True], "rows of listeners are kept, hashed or not"
    assert not abandoned_file.exists(), "files of a write that was killed are in no log, and still there"
    reject_ids = {row["reject_id"] for row in rows_of(job.warehouse.table("rejected_plays"))}
    assert {*REJECTS} & reject_ids == {"r2", "of bob, broken", "of bob"}, (
        "ids must match as whole words: ann-1 is not ann-12; of a broken line the text, and of no other of bob's"
    )
    newest = job.warehouse.state("rejected_plays").version
    assert [_users_of_version(job, "rejected_plays", n, ids[:2]) for n in (held, newest)] == [
        {"ann-1", "cleo.1"},
        set(),
    ], "a receipt must say which releases hold them"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A released root with a play of u1 and one of u2, without Spark."""
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    small = SimulatedRoot(tmp_path, monkeypatch, allowed_days=2)
    plays = (Play(f"p-{user}", user, "t1", NOON, 1_000) for user in ("u1", "u2"))
    small.apply(Ingest("first", tuple(plays)))
    small.build()
    small.release()
    return small


def test_forget_releases_again_where_another_release_came_between(small, monkeypatch):
    """The other one holds the versions from before the erasure, as a slow job had chosen them."""
    old, append, made = list_releases(small.root)[0], release_tables.append_release, []

    def append_later(*arguments):
        if not made:
            made.append(append_release(small.root, old.day, old.tables))
        return append(*arguments)

    monkeypatch.setattr(release_tables, "append_release", append_later)
    assert forget.main(["--root", small.root, "--user", "u1"]) == 0
    newest = list_releases(small.root)[0]
    assert made and newest.number == made[0].number + 1
    assert newest.tables["plays"].version > old.tables["plays"].version
    receipt = read_receipt(small.root)
    assert (receipt["release"], receipt["ended_rollback"]) == (newest.release_id, None)


def test_forget_exits_with_1_where_readers_still_see_them(small, monkeypatch, capsys):
    def refuse(*_):
        raise JobError("the tables do not fit")

    monkeypatch.setattr(release_tables, "append_release", refuse)
    (old,) = list_releases(small.root)
    assert forget.main(["--root", small.root, "--user", "u1"]) == 1
    receipt = read_receipt(small.root)
    assert receipt["release"] == f"none, so release {old.release_id} still holds them: the tables do not fit"
    assert receipt["readers_see_them"] and "Readers still see them" in capsys.readouterr().out


def test_forget_says_that_it_ends_a_rollback(small, capsys):
    small.apply(Ingest("wrong", (Play("p3", "u2", "t1", NOON, 1_000),)))
    small.build()
    small.release()
    old = segue.rollback(small.root, list_releases(small.root)[1].release_id)
    assert forget.main(["--root", small.root, "--user", "u1"]) == 0
    assert f"the rollback by release {old.release_id} ends with it" in capsys.readouterr().out
    assert read_receipt(small.root)["ended_rollback"] == old.release_id


# At a commit: of the rows of a table, or of its mark, the release; and whether that is made.
KILLS = {
    "before rows of sessions go": ("sessions", 1, False),
    "after rows of sessions went": ("sessions", 1, True),
    "after the mark of sessions": ("sessions", 2, True),
    "after all rows went": ("user_features", 2, True),
}


@pytest.mark.parametrize("kill", KILLS)
def test_the_receipt_of_a_rerun_says_what_an_erasure_that_was_killed_took(kill, small, monkeypatch):
    # of what many listeners' plays are in, the small root has none
    monkeypatch.setattr(receipts, "AGGREGATES", ("sessions",))
    before = {name: small.read(name) for name in ("plays", "sessions", "user_features")}
    folder = Path(small.root, "tables", "sessions", "batch-killed-1")
    folder.mkdir()
    (folder / "part-0.parquet").write_bytes(b"half of a file")
    table, nth, after = KILLS[kill]
    commits = []

    def is_victim(name):
        commits.append(name)
        return name == table and commits.count(table) == nth

    with pytest.raises(Killed), kill_at_commit(is_victim, after):
        forget.main(["--root", small.root, "--user", "u1"])
    assert commits[-1] == table and not Path(small.root, "quality", "receipts").exists(), "it was not killed"
    assert forget.main(["--root", small.root, "--user", "u1"]) == 0
    receipt = read_receipt(small.root)
    rows = {name: sum(row["user_id"] == "u1" for row in of_table) for name, of_table in before.items()}
    actual = {each["table"]: each for each in receipt["tables"]}
    assert min(rows.values()) > 0 and {name: actual[name]["rows"] for name in rows} == rows
    assert "killed-1" in actual["sessions"]["staged"], "a staged batch that the killed run removed"
    assert [each["table"] for each in receipt["trained_with_them"]] == ["sessions"], (
        "what was made with their plays is known by the first day of what went"
    )
    assert not list(Path(small.root, "quality", "erasures").iterdir()), "the note outlives the receipt"
    assert forget.main(["--root", small.root, "--user", "u1"]) == 0
    newest = max(
        Path(small.root, "quality", "receipts").glob("*.json"), key=lambda path: path.stat().st_mtime_ns
    )
    assert {each["rows"] for each in json.loads(newest.read_text())["tables"]} == {0}, (
        "an erasure that is done is told again"
    )


def test_forget_leaves_no_file_with_the_id_or_rows_of_refused_batches_but_those_that_old_releases_hold(small):
    id_, root = "ada-of-the-erasure", Path(small.root)
    small.apply(Ingest("second", (Play("p3", id_, "t1", NOON, 1_000),)))
    small.build()
    small.release()
    for name, text in write_texts(id_).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert forget.main(["--root", small.root, "--run-id", "forget-test", "--user", id_]) == 0
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert set(map(root.joinpath, write_texts(id_))) < set(files), "what is looked at is not there"
    named = [path for path in files if id_.encode() in path.read_bytes()]
    assert not named, "these files name an erased listener"
    shown = [path for path in files if b"0af3" in path.read_bytes()]
    assert shown == [root / "quality" / "tracks.html"], (
        "rows of refused batches that may be an erased listener's"
    )


def write_texts(id_):
    """By path below the root, what people read there."""
    shown = '<section class="kept-rows" data-table="{}" data-attempt="a1">0af3</section>'
    steps = [{"step": "ingest-plays", "why": f"file {id_}.csv cannot be read"}]
    return {
        "quality/plays.html": shown.format("plays"),
        "quality/site/batches/a1.html": shown.format("sessions"),
        "quality/tracks.html": shown.format("tracks"),
        "quality/run-1.steps.json": json.dumps(steps),
        "logs/segue.log": f"2026-11-20 04:00:00 ERROR cannot cast '{id_}'\n",
        "logs/spark.log": f"2026-11-20 04:00:00 ERROR {id_}\n",
    }


def test_forget_without_users_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage, match="nobody to erase"):
        forget.main(["--root", str(tmp_path)])
    with pytest.raises(WrongUsage, match="no-such-file"):
        forget.main(["--root", str(tmp_path), "--users", str(tmp_path / "no-such-file")])
    with pytest.raises(JobError, match="holds listeners"):
        forget.main(["--root", str(tmp_path), "--user", "u"])


def test_forget_refuses_a_root_with_tables_that_nothing_declares(tmp_path):
    """Such as those of a project, in a folder that is none of it: their listeners would stay, and nothing said so."""
    write_deltalake(tmp_path / "tables" / "mine_features", pa.table({"user_id": ["u"]}))
    with pytest.raises(
        JobError, match=r"nothing here declares mine_features under .*run this in the project"
    ):
        forget.main(["--root", str(tmp_path), "--user", "u"])
