"""A fault is put in by hand, shown to be there, and named in words; a whole root is found whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.schema import Field, PrimitiveType

from expectations.profile import profile
from jobs.errors import JobError, WrongUsage
from jobs.job import Job
from jobs.publishing.commits import Change, list_file_days, swap
from jobs.publishing.state import read_state
from jobs.publishing.warehouse import Warehouse
from jobs.verify import examine, verify
from reference.frames import frame
from reference.published import pass_every_batch
from reference.worlds import heard, play
from schemas import CONTRACTS, Column
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS
from segue.releases import TableVersion, append_release, list_releases
from segue.storage import Snapshot

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(2)]
NEWEST = 3  # of both tables: created, constrained, and two batches


@pytest.fixture(scope="module")
def unaudited():
    """What is verified here are logs and files."""
    with pytest.MonkeyPatch.context() as patch:
        pass_every_batch(patch)
        yield


@pytest.fixture(scope="module")
def published(spark, unaudited, tmp_path_factory) -> Path:
    """Two days of sessions, one of them replaced; two batches of plays appended to one day; released twice."""
    root = tmp_path_factory.mktemp("published") / "root"
    publish(root, "sessions", sessions(spark, DAYS), days=DAYS)
    release(root)
    publish(root, "sessions", sessions(spark, DAYS[1:], track_id="t9"), days=DAYS[1:])
    for n in range(2):
        rows = frame(spark, [play(play_id=f"p{n}", played_at=NOON)], PLAYS)
        publish(root, "plays", rows, appends=True, parameters={"n": n})
    release(root)
    return root


def sessions(spark, days, **overrides):
    instants = [NOON + (day - DAYS[0]) + timedelta(minutes=n) for day in days for n in range(3)]
    rows = [
        heard(**{"play_id": f"p{at}", "played_at": at, "session_started_at": at, **overrides})
        for at in instants
    ]
    return frame(spark, rows, SESSIONS)


def publish(root, table, rows, days=None, appends=False, parameters=None):
    job = Job("test", str(root), "run-test", say=lambda text: None)
    measures = {"rejected_share": 0.0, "duplicate_share": 0.0}
    assert job.publish(job.batch(table, days, appends=appends, parameters=parameters), rows, measures).version


def release(root, **other):
    states = {name: Warehouse(str(root)).state(name) for name in ("sessions", "plays")}
    versions = {n: TableVersion(s.version, s.rows, s.content_hash) for n, s in states.items() if s}
    return append_release(root, DAYS[-1], {**versions, **other})


@pytest.fixture
def root(published, tmp_path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "root"))


def wrong(root, hashes=False) -> list[str]:
    return [f"{found.where}: {found.what}" for found in examine(str(root), hashes) if found.wrong]


def notes(root) -> list[str]:
    return [f"{found.where}: {found.what}" for found in examine(str(root)) if not found.wrong]


def says(lines, *words) -> str:
    """The one line that says all of `words`."""
    held = [line for line in lines if all(word in line for word in words)]
    assert len(held) == 1, f"{len(held)} lines say {words}:\n" + "\n".join(lines)
    return held[0]


def entry(root, version, table="sessions") -> Path:
    return root / "tables" / table / "_delta_log" / f"{version:020}.json"


def data_file(root, day=DAYS[0], table="sessions") -> Path:
    folder = root / "tables" / table
    return next(folder / path for path, of in list_file_days(DeltaTable(folder)) if of == day)


def forget_releases(root):
    shutil.rmtree(root / "releases")


def change_entry(root, version, change, table="sessions"):
    """Rewrites an entry of a log; the actions of `change` are those there were, changed in place."""
    path = entry(root, version, table)
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    change(actions)
    path.write_text("\n".join(json.dumps(action) for action in actions))


def opens(table, version=None) -> bool:
    try:
        return DeltaTable(table, version=version) is not None
    except DeltaError:
        return False


# --- nothing is wrong


def test_a_whole_root_is_found_whole(root, capsys):
    assert list(examine(str(root))) == []
    assert verify(str(root)) == 0
    assert capsys.readouterr().out.startswith("nothing wrong under ")


def test_the_log_may_be_summed_up_and_cleaned(root):
    table = DeltaTable(root / "tables" / "sessions")
    table.create_checkpoint()
    forget_releases(root)  # the older names a version that cannot be opened any more
    for version in range(NEWEST):
        entry(root, version).unlink()
    assert DeltaTable(root / "tables" / "sessions").version() == NEWEST
    assert list(examine(str(root))) == []


def test_a_log_that_no_longer_says_what_the_table_holds_is_named(root):
    DeltaTable(root / "tables" / "sessions").create_checkpoint()
    for version in range(NEWEST + 1):
        entry(root, version).unlink()
    assert read_state(DeltaTable(root / "tables" / "sessions")).day_states == {}
    says(wrong(root), "table sessions, version 3", "publishing would take it for empty")


def test_neither_a_session_nor_a_jvm_is_needed(root):
    code = (
        f"import sys; from jobs.verify import verify; code = verify({str(root)!r}); "
        "assert 'pyspark' not in sys.modules; sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JAVA_HOME": "", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_root_that_is_not_there_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage, match="is not there"):
        verify(str(tmp_path / "nowhere"))


def test_a_root_without_tables_has_nothing_to_verify(tmp_path):
    with pytest.raises(JobError, match="no tables"):
        verify(str(tmp_path))


def test_programs_get_one_object_a_line(root, capsys):
    data_file(root).unlink()
    assert verify(str(root), as_json=True) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"wrong"} == {each["severity"] for each in found}
    assert any(data_file(root).name in each["where"] and "is gone" in each["what"] for each in found)


# --- the log


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_off_entry_that_no_release_names_can_go(root, share):
    forget_releases(root)
    whole = entry(root, NEWEST).read_bytes()
    entry(root, NEWEST).write_bytes(whole[: int(len(whole) * share)])
    assert not opens(root / "tables" / "sessions"), "the fault is not there"
    line = says(wrong(root), "table sessions, version 3", "is cut off")
    assert f"Move _delta_log/{NEWEST:020}.json away: the table is at version 2 again" in line
    assert "Nobody can write to this table" in line and "Readers through a release are not affected" in line
    entry(root, NEWEST).rename(root / "moved-away")
    assert [each for each in wrong(root) if "sessions" in each] == [], "what it tells to do does not help"


def test_a_cut_off_entry_that_a_release_names_must_stay(root):
    entry(root, NEWEST).write_bytes(entry(root, NEWEST).read_bytes()[:-20])
    newest, older = list_releases(root)
    found = wrong(root)
    assert f"Do not move it away, as release {newest.release_id} names it" in says(found, "is cut off")
    assert "does not open" in says(found, f"release {newest.release_id}:", "version 3 of table sessions")
    assert opens(root / "tables" / "sessions", older.tables["sessions"].version)
    assert not [line for line in found if f"release {older.release_id}:" in line]


def test_an_empty_entry_is_seen_though_readers_take_it_for_a_commit(root):
    forget_releases(root)
    entry(root, NEWEST + 1).touch()
    assert DeltaTable(root / "tables" / "sessions").version() == NEWEST + 1
    assert "changed nothing" in says(wrong(root), "table sessions, version 4", "is empty")


def test_an_entry_that_lacks_whole_lines_is_seen_by_its_rows(root):
    def lose_the_last_file(actions):
        actions.remove([action for action in actions if "add" in action][-1])

    change_entry(root, NEWEST, lose_the_last_file)
    assert opens(root / "tables" / "sessions"), "the log is cut where nobody notices"
    assert "have 0 rows" in says(wrong(root), f"version 3, {DAYS[1]}", "note of the commit says 3")


def test_a_lost_entry_in_the_middle_is_named(root):
    entry(root, 2).unlink()
    assert not opens(root / "tables" / "sessions")
    line = says(wrong(root), "table sessions, version 2", "is not in the log")
    assert f"Restore _delta_log/{2:020}.json" in line


def test_a_lost_first_entry_is_named_though_the_table_opens(root):
    entry(root, 0).unlink()
    assert opens(root / "tables" / "sessions")
    says(wrong(root), "table sessions, version 0", "is not in the log")


def test_a_spoiled_checkpoint_is_named(root):
    DeltaTable(root / "tables" / "plays").create_checkpoint()
    checkpoint = entry(root, NEWEST, "plays").with_suffix(".checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    assert not opens(root / "tables" / "plays")
    assert "checkpoint" in says(wrong(root), "table plays, version 3: does not open")


def test_a_lost_log_is_named(root):
    shutil.rmtree(root / "tables" / "plays" / "_delta_log")
    says(wrong(root), "table plays: has files and no log")


def test_a_folder_that_was_only_leased_is_no_table_yet(root):
    (root / "tables" / "tracks").mkdir()
    (root / "tables" / "tracks" / ".lease").touch()
    assert list(examine(str(root))) == []


def test_a_commit_of_another_engine_is_named(root):
    table = DeltaTable(root / "tables" / "sessions")
    rows = Snapshot(str(root / "tables" / "sessions"), table)
    before = len(rows.files)
    again = rows.read(rows.files[:1], rows.schema.names)
    write_deltalake(table, again, mode="append")
    assert len(DeltaTable(root / "tables" / "sessions").file_uris()) == before + 1
    found = wrong(root)
    line = says(found, "table sessions, version 4", "no note of ours", "delta-rs")
    assert "the table is at version 3 again" in line
    says(found, "table sessions, version 4, ", "note of the commit says")


def test_a_batch_that_was_published_twice_is_named(root):
    table = DeltaTable(root / "tables" / "sessions")
    batch = DeltaTable(root / "tables" / "sessions").history(1)[0]["userMetadata"]
    swap(table, Change(json.loads(batch)["batch"], "publish", read_state(table)))
    says(wrong(root), f"batch {json.loads(batch)['batch']}", "published 2 times")


def test_a_feature_that_readers_would_need_is_named(root):
    def ask_for_more(actions):
        next(action for action in actions if "protocol" in action)["protocol"]["minReaderVersion"] = 2

    change_entry(root, 1, ask_for_more)
    assert DeltaTable(root / "tables" / "sessions").protocol().min_reader_version == 2
    says(wrong(root), "table sessions: asks readers for version 2")


# --- files


def test_a_lost_file_is_named_by_table_and_by_release(root):
    data_file(root).unlink()
    found = wrong(root)
    assert "is gone" in says(found, "table sessions, file ", data_file(root).name)
    both = [each.release_id for each in list_releases(root)]
    for release_id in both:
        says(found, f"release {release_id}: names version", "has lost 1 files")


def test_a_file_with_a_byte_less_is_named(root):
    path = data_file(root)
    path.write_bytes(path.read_bytes()[:-1])
    size = path.stat().st_size
    says(wrong(root), "table sessions, file ", path.name, f"has {size:,} bytes, the log says {size + 1:,}")


def test_a_file_whose_footer_is_spoiled_is_named(root):
    path = data_file(root)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    assert path.stat().st_size == size
    says(wrong(root), "table sessions, file ", path.name, "footer cannot be read")


def overwrite(root, change, day=DAYS[0]):
    """Another file in the place of one, its size in the log put right: the log alone cannot tell."""
    path = data_file(root, day)
    changed = change(pq.read_table(path, partitioning=None))
    pq.write_table(changed, path)
    path.with_name(f".{path.name}.crc").unlink()

    def resize(actions):
        for action in actions:
            if action.get("add", {}).get("path", "").endswith(path.name):
                action["add"]["size"] = path.stat().st_size

    for version in range(2, NEWEST + 1):
        change_entry(root, version, resize)


def test_a_file_with_a_row_less_is_named(root):
    overwrite(root, lambda rows: rows.slice(1))
    line = says(wrong(root), "table sessions, file ", data_file(root).name)
    assert "has 2 rows, the log says 3" in line


def test_a_file_of_the_quality_results_counts_as_well(root):
    path = next((root / "quality" / "results").glob("*.parquet"))
    path.unlink()
    found = wrong(root)
    says(found, "quality/results, file ", path.name, "is gone")
    says(found, "quality/results: cannot be read")


def test_a_published_batch_without_a_record_is_named(root):
    shutil.rmtree(root / "quality")
    batches = [
        json.loads(line["userMetadata"])["batch"] for line in DeltaTable(root / "tables" / "plays").history(2)
    ]
    for batch in batches:
        says(wrong(root), f"table plays, batch {batch}", "no record")


# --- worth knowing


def test_a_fast_clock_is_noted(root):
    ahead = datetime.now(UTC) + timedelta(hours=3)

    def set_ahead(actions):
        for action in actions:
            if "add" in action:
                action["add"]["partitionValues"]["available_at"] = ahead.strftime("%Y-%m-%d %H:%M:%S.%f")

    change_entry(root, NEWEST, set_ahead)
    assert wrong(root) == []
    says(notes(root), "table sessions", "1 files lies ahead", "clock was fast", f"{ahead:%H:%M:%S}")


def test_a_batch_whose_audit_refused_it_counts_as_unrecorded(root):
    results = DeltaTable(root / "quality" / "results")
    rows = Snapshot(str(root / "quality" / "results"), results)
    held = rows.read(rows.files, rows.schema.names)
    refused = pa.array(["refused"] * len(held), pa.string())
    place = held.schema.get_field_index("outcome")
    write_deltalake(results, held.set_column(place, "outcome", refused), mode="overwrite")
    assert len([line for line in wrong(root) if "no record that its audit passed" in line]) == 4


def test_a_batch_that_nobody_finished_is_noted_once_it_is_old(root):
    folder = root / "tables" / "sessions" / "batch-abandoned-1"
    folder.mkdir()
    (folder / "part-0.parquet").write_bytes(b"12345")
    assert notes(root) == []
    four_days_ago = time.time() - 4 * 86_400
    os.utime(folder / "part-0.parquet", (four_days_ago, four_days_ago))
    assert "5 bytes" in says(notes(root), "batch-abandoned-1", "left over since")
    assert verify(str(root)) == 0, "what is left over is nothing wrong"


# --- releases


def test_a_release_that_names_another_content_is_named(root):
    held = list_releases(root)[0].tables["sessions"]
    assert held.content_hash != "f" * 16
    made = release(root, sessions=replace(held, content_hash="f" * 16))
    line = says(wrong(root), f"release {made.release_id}: names version 3 of table sessions")
    assert "f" * 16 in line and held.content_hash in line


def test_a_release_that_names_what_is_not_there_is_named(root):
    made = release(root, sessions=TableVersion(99, 1, "0" * 16), tracks=TableVersion(2, 1, "0" * 16))
    found = wrong(root)
    says(found, f"release {made.release_id}", "version 99 of table sessions", "does not open")
    says(found, f"release {made.release_id}", "version 2 of table tracks", "no such table")


def test_releases_that_cannot_be_read_are_named(root):
    (root / "releases" / "_delta_log" / f"{1:020}.json").write_text("{")
    found = wrong(root)
    says(found, "releases: cannot be read")
    assert "not affected" not in says(found, "releases, version 1", "is cut off")


# --- rows


def test_the_rows_of_a_whole_root_are_those_published(spark, root):
    assert list(examine(str(root), hashes=True)) == []


def one_ms_longer(rows):
    place = rows.schema.get_field_index("ms_played")
    longer = [value + 1 for value in rows["ms_played"].to_pylist()]
    return rows.set_column(place, "ms_played", pa.array(longer, rows.schema.field(place).type))


def test_a_value_that_was_changed_is_seen_by_the_hash_alone(spark, root):
    overwrite(root, one_ms_longer)
    assert wrong(root) == []
    line = says(wrong(root, hashes=True), f"table sessions, version 3, {DAYS[0]}")
    part = Warehouse(str(root)).state("sessions").day_states[DAYS[0]]
    assert f"was published as 3 rows of content hash {part.content_hash:016x}" in line


def test_a_flipped_bit_in_the_rows_is_seen(spark, root):
    path = data_file(root, table="plays")
    spoiled = bytearray(path.read_bytes())
    spoiled[40] ^= 1
    path.write_bytes(bytes(spoiled))
    path.with_name(f".{path.name}.crc").unlink()
    assert wrong(root) == []
    says(wrong(root, hashes=True), "table plays, version 3", "rows cannot be read", path.name)


def add_a_column(root, table):
    add_missing_columns = DeltaTable(root / "tables" / table)
    note = json.dumps({"kind": "widen", "state": read_state(add_missing_columns).dumps()})
    properties = CommitProperties(custom_metadata={"userMetadata": note})
    add_missing_columns.alter.add_columns(
        [Field("country", PrimitiveType("string"))], commit_properties=properties
    )


def test_rows_published_before_a_column_was_added_keep_their_hash(spark, root, monkeypatch):
    column = Column("country", "string", "where it was heard")
    wider = replace(SESSIONS, columns=(*SESSIONS.columns, column))
    monkeypatch.setitem(CONTRACTS, "sessions", wider)
    add_a_column(root, "sessions")
    folder = str(root / "tables" / "sessions")
    today = profile(spark.read.format("delta").load(folder), wider).days
    then = Warehouse(str(root)).state("sessions").day_states
    assert {day: today[day].content_hash for day in DAYS} == {day: then[day].content_hash for day in DAYS}
    assert wrong(root, hashes=True) == []


def test_a_value_that_was_changed_is_seen_beside_a_column_that_was_added(spark, root):
    add_a_column(root, "sessions")
    overwrite(root, one_ms_longer)
    says(wrong(root, hashes=True), f"table sessions, version 4, {DAYS[0]}", "was published as 3 rows")


def test_rows_that_share_a_key_are_counted(spark, root):
    def twice(rows):
        return pa.concat_tables([rows.slice(1), rows.slice(1, 1)])

    overwrite(root, twice)
    found = wrong(root, hashes=True)
    says(found, "1 rows share their key")
