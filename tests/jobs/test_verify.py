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
from jobs.publishing.part_files import name_part_file
from jobs.publishing.state import read_state
from jobs.publishing.warehouse import Warehouse
from jobs.verify import examine, verify
from reference.frames import frame
from reference.published import pass_every_batch
from reference.worlds import play, session_play
from schemas import CONTRACTS, Column
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS
from segue.releases import TableVersion, append_release, list_releases
from segue.storage import Snapshot

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(2)]
NEWEST = 3  # of both tables: created, constrained, and two batches


@pytest.fixture(scope="module")
def without_audit():
    """What is verified here are logs and files."""
    with pytest.MonkeyPatch.context() as patch:
        pass_every_batch(patch)
        yield


@pytest.fixture(scope="module")
def published_root(spark, without_audit, tmp_path_factory) -> Path:
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
        session_play(**{"play_id": f"p{at}", "played_at": at, "session_started_at": at, **overrides})
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
def root(published_root, tmp_path) -> Path:
    return Path(shutil.copytree(published_root, tmp_path / "root"))


def list_errors(root, hashes=False) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in examine(str(root), hashes) if finding.wrong]


def list_notes(root) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in examine(str(root)) if not finding.wrong]


def assert_one_line(lines, *words) -> str:
    """The one line that says all of `words`."""
    matches = [line for line in lines if all(word in line for word in words)]
    assert len(matches) == 1, f"{len(matches)} lines say {words}:\n" + "\n".join(lines)
    return matches[0]


def entry(root, version, table="sessions") -> Path:
    return root / "tables" / table / "_delta_log" / f"{version:020}.json"


def data_file(root, day=DAYS[0], table="sessions") -> Path:
    folder = root / "tables" / table
    return next(folder / path for path, file_day in list_file_days(DeltaTable(folder)) if file_day == day)


def forget_releases(root):
    shutil.rmtree(root / "releases")


def change_entry(root, version, change, table="sessions"):
    """Rewrites an entry of a log; the actions of `change` are those there were, changed in place."""
    path = entry(root, version, table)
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    change(actions)
    path.write_text("\n".join(json.dumps(action) for action in actions))


def can_open(table, version=None) -> bool:
    try:
        return DeltaTable(table, version=version) is not None
    except DeltaError:
        return False


# --- nothing is wrong


def test_verify_finds_nothing_wrong_in_a_whole_root(root, capsys):
    assert list(examine(str(root))) == []
    assert verify(str(root)) == 0
    assert capsys.readouterr().out.startswith("nothing wrong under ")


def test_verify_accepts_a_log_with_a_checkpoint_and_without_old_entries(root):
    table = DeltaTable(root / "tables" / "sessions")
    table.create_checkpoint()
    forget_releases(root)  # the older names a version that cannot be opened any more
    for version in range(NEWEST):
        entry(root, version).unlink()
    assert DeltaTable(root / "tables" / "sessions").version() == NEWEST
    assert list(examine(str(root))) == []


def test_verify_names_a_log_without_the_state_of_its_table(root):
    DeltaTable(root / "tables" / "sessions").create_checkpoint()
    for version in range(NEWEST + 1):
        entry(root, version).unlink()
    assert read_state(DeltaTable(root / "tables" / "sessions")).day_states == {}
    assert_one_line(list_errors(root), "table sessions, version 3", "publishing would take it for empty")


def test_verify_needs_neither_pyspark_nor_a_jvm(root):
    code = (
        f"import sys; from jobs.verify import verify; code = verify({str(root)!r}); "
        "assert 'pyspark' not in sys.modules; sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "JAVA_HOME": "", "PATH": ""}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_verify_of_a_missing_root_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage, match="is not there"):
        verify(str(tmp_path / "nowhere"))


def test_verify_of_a_root_without_tables_raises(tmp_path):
    with pytest.raises(JobError, match="no tables"):
        verify(str(tmp_path))


def test_verify_as_json_prints_one_object_a_line(root, capsys):
    data_file(root).unlink()
    assert verify(str(root), as_json=True) == 1
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"wrong"} == {each["severity"] for each in findings}
    assert any(data_file(root).name in each["where"] and "is gone" in each["what"] for each in findings)


# --- the log


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_verify_advises_to_remove_a_torn_entry_that_no_release_names(root, share):
    forget_releases(root)
    content = entry(root, NEWEST).read_bytes()
    entry(root, NEWEST).write_bytes(content[: int(len(content) * share)])
    assert not can_open(root / "tables" / "sessions"), "the fault is not there"
    line = assert_one_line(list_errors(root), "table sessions, version 3", "is cut off")
    assert f"Move _delta_log/{NEWEST:020}.json away: the table is at version 2 again" in line
    assert "Nobody can write to this table" in line and "Readers through a release are not affected" in line
    entry(root, NEWEST).rename(root / "moved-away")
    assert [each for each in list_errors(root) if "sessions" in each] == [], (
        "what it tells to do does not help"
    )


def test_verify_advises_to_keep_a_torn_entry_that_a_release_names(root):
    entry(root, NEWEST).write_bytes(entry(root, NEWEST).read_bytes()[:-20])
    newest, older = list_releases(root)
    errors = list_errors(root)
    assert f"Do not move it away, as release {newest.release_id} names it" in assert_one_line(
        errors, "is cut off"
    )
    assert "does not open" in assert_one_line(
        errors, f"release {newest.release_id}:", "version 3 of table sessions"
    )
    assert can_open(root / "tables" / "sessions", older.tables["sessions"].version)
    assert not [line for line in errors if f"release {older.release_id}:" in line]


def test_verify_names_an_empty_entry_that_readers_take_for_a_commit(root):
    forget_releases(root)
    entry(root, NEWEST + 1).touch()
    assert DeltaTable(root / "tables" / "sessions").version() == NEWEST + 1
    assert "changed nothing" in assert_one_line(list_errors(root), "table sessions, version 4", "is empty")


def test_verify_names_an_entry_that_lacks_whole_lines(root):
    def lose_the_last_file(actions):
        actions.remove([action for action in actions if "add" in action][-1])

    change_entry(root, NEWEST, lose_the_last_file)
    assert can_open(root / "tables" / "sessions"), "the log is cut where nobody notices"
    assert "have 0 rows" in assert_one_line(
        list_errors(root), f"version 3, {DAYS[1]}", "note of the commit says 3"
    )


def test_verify_names_a_missing_entry_in_the_middle(root):
    entry(root, 2).unlink()
    assert not can_open(root / "tables" / "sessions")
    line = assert_one_line(list_errors(root), "table sessions, version 2", "is not in the log")
    assert f"Restore _delta_log/{2:020}.json" in line


def test_verify_names_a_missing_first_entry_though_the_table_opens(root):
    entry(root, 0).unlink()
    assert can_open(root / "tables" / "sessions")
    assert_one_line(list_errors(root), "table sessions, version 0", "is not in the log")


def test_verify_names_a_damaged_checkpoint(root):
    DeltaTable(root / "tables" / "plays").create_checkpoint()
    checkpoint = entry(root, NEWEST, "plays").with_suffix(".checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    assert not can_open(root / "tables" / "plays")
    assert "checkpoint" in assert_one_line(list_errors(root), "table plays, version 3: does not open")


def test_verify_names_a_missing_log(root):
    shutil.rmtree(root / "tables" / "plays" / "_delta_log")
    assert_one_line(list_errors(root), "table plays: has files and no log")


def test_verify_ignores_a_folder_with_nothing_but_a_lease(root):
    (root / "tables" / "tracks").mkdir()
    (root / "tables" / "tracks" / ".lease").touch()
    assert list(examine(str(root))) == []


def test_verify_names_a_commit_of_another_engine(root):
    table = DeltaTable(root / "tables" / "sessions")
    rows = Snapshot(str(root / "tables" / "sessions"), table)
    before = len(rows.files)
    copy = rows.read(rows.files[:1], rows.schema.names)
    write_deltalake(table, copy, mode="append")
    assert len(DeltaTable(root / "tables" / "sessions").file_uris()) == before + 1
    errors = list_errors(root)
    line = assert_one_line(errors, "table sessions, version 4", "no note of ours", "delta-rs")
    assert "the table is at version 3 again" in line
    assert_one_line(errors, "table sessions, version 4, ", "note of the commit says")


def test_verify_names_a_batch_that_was_published_twice(root):
    table = DeltaTable(root / "tables" / "sessions")
    batch = DeltaTable(root / "tables" / "sessions").history(1)[0]["userMetadata"]
    swap(table, Change(json.loads(batch)["batch"], "publish", read_state(table)))
    assert_one_line(list_errors(root), f"batch {json.loads(batch)['batch']}", "published 2 times")


def test_verify_names_a_table_that_needs_a_newer_reader(root):
    def require_newer_reader(actions):
        next(action for action in actions if "protocol" in action)["protocol"]["minReaderVersion"] = 2

    change_entry(root, 1, require_newer_reader)
    assert DeltaTable(root / "tables" / "sessions").protocol().min_reader_version == 2
    assert_one_line(list_errors(root), "table sessions: asks readers for version 2")


# --- files


def test_verify_names_a_missing_file_by_table_and_by_release(root):
    data_file(root).unlink()
    errors = list_errors(root)
    assert "is gone" in assert_one_line(errors, "table sessions, file ", data_file(root).name)
    release_ids = [each.release_id for each in list_releases(root)]
    for release_id in release_ids:
        assert_one_line(errors, f"release {release_id}: names version", "has lost 1 files")


def test_verify_names_a_file_with_a_byte_less(root):
    path = data_file(root)
    path.write_bytes(path.read_bytes()[:-1])
    size = path.stat().st_size
    assert_one_line(
        list_errors(root),
        "table sessions, file ",
        path.name,
        f"has {size:,} bytes, the log says {size + 1:,}",
    )


def test_verify_names_a_file_with_a_damaged_footer(root):
    path = data_file(root)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    assert path.stat().st_size == size
    assert_one_line(list_errors(root), "table sessions, file ", path.name, "footer cannot be read")


def overwrite(root, change, day=DAYS[0]):
    """Another file in the place of one, its size in the log put right: the log alone cannot tell."""
    path = data_file(root, day)
    new_rows = change(pq.read_table(path, partitioning=None))
    pq.write_table(new_rows, path)
    path.with_name(f".{path.name}.crc").unlink()

    def resize(actions):
        for action in actions:
            # of another day there may be a file of the same name
            if name_part_file(action.get("add", {}).get("path", "")) == name_part_file(str(path)):
                action["add"]["size"] = path.stat().st_size

    for version in range(2, NEWEST + 1):
        change_entry(root, version, resize)


def test_verify_names_a_file_with_a_row_less(root):
    overwrite(root, lambda rows: rows.slice(1))
    line = assert_one_line(list_errors(root), "table sessions, file ", data_file(root).name)
    assert "has 2 rows, the log says 3" in line


def test_verify_names_a_missing_file_of_the_quality_results(root):
    path = next((root / "quality" / "results").glob("*.parquet"))
    path.unlink()
    errors = list_errors(root)
    assert_one_line(errors, "quality/results, file ", path.name, "is gone")
    assert_one_line(errors, "quality/results: cannot be read")


def test_verify_names_a_published_batch_without_a_record(root):
    shutil.rmtree(root / "quality")
    batches = [
        json.loads(line["userMetadata"])["batch"] for line in DeltaTable(root / "tables" / "plays").history(2)
    ]
    for batch in batches:
        assert_one_line(list_errors(root), f"table plays, batch {batch}", "no record")


# --- worth knowing


def test_verify_notes_a_fast_clock(root):
    ahead = datetime.now(UTC) + timedelta(hours=3)

    def set_ahead(actions):
        for action in actions:
            if "add" in action:
                action["add"]["partitionValues"]["available_at"] = ahead.strftime("%Y-%m-%d %H:%M:%S.%f")

    change_entry(root, NEWEST, set_ahead)
    assert list_errors(root) == []
    assert_one_line(
        list_notes(root), "table sessions", "1 files lies ahead", "clock was fast", f"{ahead:%H:%M:%S}"
    )


def test_verify_names_published_batches_that_their_audit_refused(root):
    results = DeltaTable(root / "quality" / "results")
    rows = Snapshot(str(root / "quality" / "results"), results)
    table = rows.read(rows.files, rows.schema.names)
    outcomes = pa.array(["refused"] * len(table), pa.string())
    place = table.schema.get_field_index("outcome")
    write_deltalake(results, table.set_column(place, "outcome", outcomes), mode="overwrite")
    assert len([line for line in list_errors(root) if "no record that its audit passed" in line]) == 4


def test_verify_notes_an_abandoned_batch_once_it_is_old(root):
    folder = root / "tables" / "sessions" / "batch-abandoned-1"
    folder.mkdir()
    (folder / "part-0.parquet").write_bytes(b"12345")
    assert list_notes(root) == []
    four_days_ago = time.time() - 4 * 86_400
    os.utime(folder / "part-0.parquet", (four_days_ago, four_days_ago))
    assert "5 bytes" in assert_one_line(list_notes(root), "batch-abandoned-1", "left over since")
    assert verify(str(root)) == 0, "what is left over is nothing wrong"


# --- releases


def test_verify_names_a_release_of_another_content_hash(root):
    version = list_releases(root)[0].tables["sessions"]
    assert version.content_hash != "f" * 16
    new_release = release(root, sessions=replace(version, content_hash="f" * 16))
    line = assert_one_line(
        list_errors(root), f"release {new_release.release_id}: names version 3 of table sessions"
    )
    assert "f" * 16 in line and version.content_hash in line


def test_verify_names_a_release_of_missing_versions_and_tables(root):
    new_release = release(root, sessions=TableVersion(99, 1, "0" * 16), tracks=TableVersion(2, 1, "0" * 16))
    errors = list_errors(root)
    assert_one_line(
        errors, f"release {new_release.release_id}", "version 99 of table sessions", "does not open"
    )
    assert_one_line(errors, f"release {new_release.release_id}", "version 2 of table tracks", "no such table")


def test_verify_names_releases_that_cannot_be_read(root):
    (root / "releases" / "_delta_log" / f"{1:020}.json").write_text("{")
    errors = list_errors(root)
    assert_one_line(errors, "releases: cannot be read")
    assert "not affected" not in assert_one_line(errors, "releases, version 1", "is cut off")


# --- rows


def test_verify_hashes_finds_nothing_wrong_in_a_whole_root(spark, root):
    assert list(examine(str(root), hashes=True)) == []


def add_one_ms(rows):
    place = rows.schema.get_field_index("ms_played")
    longer = [value + 1 for value in rows["ms_played"].to_pylist()]
    return rows.set_column(place, "ms_played", pa.array(longer, rows.schema.field(place).type))


def test_verify_hashes_finds_a_changed_value(spark, root):
    overwrite(root, add_one_ms)
    assert list_errors(root) == []
    line = assert_one_line(list_errors(root, hashes=True), f"table sessions, version 3, {DAYS[0]}")
    part = Warehouse(str(root)).state("sessions").day_states[DAYS[0]]
    assert f"was published as 3 rows of content hash {part.content_hash:016x}" in line


def test_verify_hashes_finds_a_flipped_bit_in_the_rows(spark, root):
    path = data_file(root, table="plays")
    page = pq.read_metadata(path).row_group(0).column(0)
    content = bytearray(path.read_bytes())
    # in the rows: a header of a page has bits that nobody reads
    content[page.data_page_offset + page.total_compressed_size - 1] ^= 1
    path.write_bytes(bytes(content))
    path.with_name(f".{path.name}.crc").unlink()
    assert list_errors(root) == []
    assert_one_line(
        list_errors(root, hashes=True), "table plays, version 3", "rows cannot be read", path.name
    )


def add_a_column(root, table):
    delta_table = DeltaTable(root / "tables" / table)
    note = json.dumps({"kind": "widen", "state": read_state(delta_table).dumps()})
    properties = CommitProperties(custom_metadata={"userMetadata": note})
    delta_table.alter.add_columns([Field("country", PrimitiveType("string"))], commit_properties=properties)


def test_verify_hashes_accepts_rows_published_before_a_column_was_added(spark, root, monkeypatch):
    column = Column("country", "string", "where it was heard")
    wider = replace(SESSIONS, columns=(*SESSIONS.columns, column))
    monkeypatch.setitem(CONTRACTS, "sessions", wider)
    add_a_column(root, "sessions")
    folder = str(root / "tables" / "sessions")
    current_states = profile(spark.read.format("delta").load(folder), wider).days
    published_states = Warehouse(str(root)).state("sessions").day_states
    assert {day: current_states[day].content_hash for day in DAYS} == {
        day: published_states[day].content_hash for day in DAYS
    }
    assert list_errors(root, hashes=True) == []


def test_verify_hashes_finds_a_changed_value_beside_an_added_column(spark, root):
    add_a_column(root, "sessions")
    overwrite(root, add_one_ms)
    assert_one_line(
        list_errors(root, hashes=True), f"table sessions, version 4, {DAYS[0]}", "was published as 3 rows"
    )


def test_verify_hashes_counts_rows_that_share_a_key(spark, root):
    def repeat_a_row(rows):
        return pa.concat_tables([rows.slice(1), rows.slice(1, 1)])

    overwrite(root, repeat_a_row)
    errors = list_errors(root, hashes=True)
    assert_one_line(errors, "1 rows share their key")
