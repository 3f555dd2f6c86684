"""The table of input files: what an ingest writes into it, and reads nothing twice by it; steps run without Spark."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from simulation.laid import remove_spark
from simulation.month import Ingest, Play
from simulation.root import Killed, SimulatedRoot, kill_at_commit

from expectations.verdict import Refused
from jobs import FLOW, file_records, forget, ingest_plays, retract, show_files
from jobs.errors import JobError, WrongUsage
from jobs.file_records import erase_paths, list_records
from jobs.job import Job
from jobs.known_files import KnownFiles, load_known_files
from jobs.looks import has_work
from jobs.publishing.record_tables import FILES
from jobs.publishing.transactions import list_transactions
from jobs.source_flows import has_new_files
from reference.published import pass_every_batch
from reference.staged import REFUSED

AT = datetime(2024, 2, 12, 12, tzinfo=UTC)
OLD = datetime(2024, 1, 1, 12, tzinfo=UTC)
COUNTS = ("rows", "new_rows", "duplicate_rows", "late_rows", "rejected_rows", "left_out_rows")
STEP = next(step for step in FLOW if step.name == "ingest-plays")


def make_play(name, at=AT):
    return Play(name, "u1", "t1", at, 1000)


class Landing:
    """A root and a folder of files; `read` are the names of the files that were read."""

    def __init__(self, folder, patch):
        self.patch, self.read = patch, []
        pass_every_batch(patch)
        remove_spark(patch)
        self.root = SimulatedRoot(folder, patch, allowed_days=7)
        self.folder = folder / "landing"
        self.folder.mkdir()
        real = ingest_plays.read_rows

        def read_rows(spark, source, files, columns):
            self.read += [Path(each.path).name for each in files]
            return real(spark, source, files, columns)

        patch.setattr(ingest_plays, "read_rows", read_rows)

    def write(self, name, *plays):
        self.root.folder = self.folder
        path = self.folder / f"{name}.csv"
        path.unlink(missing_ok=True)
        self.root.write(Ingest(name, plays))
        return path

    @property
    def arguments(self):
        return ["--root", self.root.root, "--source", str(self.root.source), "--input", str(self.folder)]

    def ingest(self, *arguments):
        """Names of the files that were read."""
        before = len(self.read)
        assert ingest_plays.main([*self.arguments, *arguments]) == 0
        return self.read[before:]

    def records(self):
        return list_records(self.root.warehouse, "plays")

    def fates(self):
        """Of each file the newest, and its counts."""
        newest = {}
        for each in self.records():
            counts = None if each["rows"] is None else tuple(each[name] for name in COUNTS)
            newest.setdefault(Path(each["path"]).stem, (each["fate"], counts))
        return newest

    def plays(self):
        return sorted(row["play_id"] for row in self.root.read("plays"))


@pytest.fixture
def landing(tmp_path, monkeypatch):
    return Landing(tmp_path, monkeypatch)


def test_a_folder_is_read_file_by_file_and_each_row_is_accounted_for(landing):
    landing.write("a", make_play("p1"), make_play("p2"))
    assert landing.ingest() == ["a.csv"]
    b = landing.write("b", make_play("p2"), make_play("p3"), make_play("old", OLD))
    assert landing.ingest() == ["b.csv"]
    assert landing.fates() == {"a": ("read", (2, 2, 0, 0, 0, 0)), "b": ("read", (3, 1, 1, 1, 0, 0))}
    assert landing.ingest() == []
    b.rename(landing.folder / "renamed.csv")
    os.utime(landing.folder / "a.csv", (1, 1))
    assert landing.ingest() == [], "a file that was renamed, and one that was touched"
    assert {landing.fates()[name][0] for name in ("a", "renamed")} == {"recognised"}
    landing.write("a", make_play("p1"), make_play("p2"), make_play("p4"))
    assert landing.ingest() == ["a.csv"]
    assert landing.fates()["a"] == ("read", (3, 1, 2, 0, 0, 0))
    assert landing.plays() == ["p1", "p2", "p3", "p4"]
    assert landing.ingest("--force") == ["a.csv", "renamed.csv"]
    assert landing.plays() == ["p1", "p2", "p3", "p4"]
    assert landing.ingest() == []


def test_files_that_add_nothing_are_in_without_a_commit_of_plays(landing):
    landing.write("a", make_play("p1"))
    landing.ingest()
    version = landing.root.warehouse.state("plays").version
    landing.write("late", make_play("old", OLD))
    landing.write("twice", make_play("p1"), make_play("p1"))
    assert landing.ingest() == ["late.csv", "twice.csv"]
    assert landing.ingest() == []
    assert landing.root.warehouse.state("plays").version == version
    assert landing.fates()["late"] == ("read", (1, 0, 0, 1, 0, 0))


@pytest.mark.parametrize("table", ["plays", "late_plays"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_commit_loses_no_file_and_doubles_no_play(landing, table, after):
    landing.write("a", make_play("p1"))
    landing.ingest()
    landing.write("b", make_play("p2"), make_play("old", OLD))
    with pytest.raises(Killed), kill_at_commit(lambda name: name == table, after):
        landing.ingest()
    is_in = table == "plays" and after
    assert ("b" in {Path(e["path"]).stem for e in landing.records() if e["fate"] == "read"}) == is_in
    assert landing.read[1:] == ["b.csv"]
    assert landing.ingest() == ([] if is_in else ["b.csv"])
    assert (landing.plays(), len(landing.root.read("late_plays"))) == (["p1", "p2"], 1)
    assert landing.ingest() == []


def test_another_table_of_the_same_name_gets_all_files_again(landing):
    landing.write("a", make_play("p1"))
    landing.ingest()
    tables = Path(landing.root.root, "tables")
    tables.rename(landing.folder.parent / "gone")
    assert landing.ingest() == ["a.csv"]
    assert landing.plays() == ["p1"]


def test_records_that_are_gone_are_made_again_of_what_the_log_says(landing):
    landing.write("a", make_play("p1"))
    landing.ingest()
    Path(landing.root.root, "quality", "files").rename(landing.folder.parent / "gone")
    assert landing.ingest() == []
    assert landing.fates() == {"a": ("read", None)}


def test_another_source_file_makes_files_be_read_again_and_lateness_does_not(landing):
    landing.write("a", make_play("p1"))
    landing.ingest()
    assert landing.ingest("--allowed-lateness", "30") == []
    source = landing.root.source
    source.write_text(source.read_text().replace('name = "test"', 'name = "test"\nabout = "prose"'))
    assert landing.ingest() == []
    source.write_text(source.read_text().replace('track_id = "track"', 'track_id = "upper(track)"'))
    assert landing.ingest() == ["a.csv"]
    assert landing.ingest() == []


def edit_source(landing, old, new):
    source = landing.root.source
    assert old in source.read_text(), "the source file of the simulation is written otherwise"
    source.write_text(source.read_text().replace(old, new))


def rename_plays(patch):
    """The rows of the same files have other ids."""
    real = ingest_plays.read_rows

    def read_rows(*args):
        rows = real(*args)
        return type(rows)(row | {"play_id": row["play_id"].replace("p", "q")} for row in rows)

    patch.setattr(ingest_plays, "read_rows", read_rows)


@pytest.mark.parametrize("at", [AT, OLD])
def test_rows_whose_ids_the_source_file_changes_are_not_published_again(landing, monkeypatch, at):
    """As where no column has ids, and they are hashes of what another expression changes: in CSV of the same bytes."""
    landing.write("a", make_play("p1", at), make_play("p2", at))
    landing.ingest()
    landing.write("b", make_play("p3"))
    landing.ingest()
    edit_source(landing, 'ms_played = "ms"', 'ms_played = "ms * 1000"')
    with monkeypatch.context() as patch:
        rename_plays(patch)
        with pytest.raises(
            JobError, match=r"source test: 3 rows of 2 files .* as source test, would be in plays twice"
        ) as stop:
            landing.ingest()
        assert "segue retract --of-source test" in str(stop.value), "the message has no way out"
        assert landing.plays() == ["p1", "p2", "p3"], "something was published all the same"
        assert not landing.root.warehouse.state("late_plays"), "late plays were published all the same"
        assert retract.main(["--root", landing.root.root, "--of-source", "test"]) == 0
        landing.ingest()
    assert landing.plays() == ["q1", "q2", "q3"], "the way out that the message names does not lead out"


def test_files_of_another_source_file_are_read_where_ids_stay_and_by_the_same_whatever_they_hold(landing):
    landing.write("a", make_play("p1"), make_play("p2"))
    landing.write("b", make_play("p3"))
    landing.ingest()
    landing.write("b", make_play("p4"))
    assert landing.ingest() == ["b.csv"], "by the same source file a file may hold other rows than before"
    edit_source(landing, 'track_id = "track"', 'track_id = "upper(track)"')
    landing.write("a", make_play("p1"), make_play("p2"), make_play("p5"))
    assert landing.ingest() == ["a.csv", "b.csv"], "rows were added, and ids are those of before"
    assert landing.plays() == ["p1", "p2", "p3", "p4", "p5"]
    assert landing.fates() == {"a": ("read", (3, 1, 2, 0, 0, 0)), "b": ("read", (1, 0, 1, 0, 0, 0))}


def test_a_source_that_is_only_renamed_is_refused_before_its_files_are_read(landing, monkeypatch):
    landing.write("a", make_play("p1"))
    landing.ingest()
    edit_source(landing, 'name = "test"', 'name = "radio"')
    assert landing.ingest() == ["a.csv"], "ids that the files have are the same under any name"
    assert landing.plays() == ["p1"]
    edit_source(landing, 'play_id = "id"\n', "")
    assert landing.ingest() == ["a.csv"]
    edit_source(landing, 'name = "radio"', 'name = "station"')
    with pytest.raises(
        JobError, match=r"1 files were read before .* as source radio; .* keep name = \"radio\""
    ):
        landing.ingest()
    edit_source(landing, 'ms_played = "ms"', 'ms_played = "ms * 1000"')
    with (
        monkeypatch.context() as patch,
        pytest.raises(JobError, match=r"1 rows of 1 .* as source radio, would be in"),
    ):
        rename_plays(patch)
        landing.ingest()
    assert landing.plays() == ["p1"], "something was published all the same"
    landing.write("b", make_play("p2"))
    (landing.folder / "a.csv").unlink()
    assert landing.ingest() == ["b.csv"], "files that no other source has read are those of the new name"


def test_what_was_retracted_comes_back_from_a_file_of_another_time(landing):
    path = landing.write("a", make_play("p1"), make_play("p2"))
    landing.ingest()
    assert retract.main(["--root", landing.root.root, "--play", "p1"]) == 0
    assert landing.ingest() == []
    os.utime(path, (1, 1))
    assert landing.ingest() == ["a.csv"]
    assert landing.plays() == ["p1", "p2"]


def test_refused_files_are_not_in_and_their_record_says_why(landing, monkeypatch):
    landing.write("a", make_play("p1"))
    with monkeypatch.context() as patch, pytest.raises(Refused):
        patch.setattr(ingest_plays.Job, "verdict", REFUSED)
        landing.ingest()
    (record,) = landing.records()
    assert (record["fate"], record["rows"], record["new_rows"]) == ("refused", 1, 1)
    assert "expected right; observed wrong" in record["error"]
    assert landing.ingest() == ["a.csv"]


def fail_at(name):
    def read_rows(spark, source, files, columns):
        path = next(each.path for each in files if each.path.endswith(name))
        raise JobError(f"file {path}: it is gzip")

    return read_rows


def test_a_file_that_cannot_be_read_is_named_and_those_that_it_held_up_are_not(landing, monkeypatch):
    for name in ("a", "b"):
        landing.write(name, make_play(name))
    with monkeypatch.context() as patch, pytest.raises(JobError):
        patch.setattr(ingest_plays, "read_rows", fail_at("b.csv"))
        landing.ingest()
    errors = {Path(each["path"]).stem: each["error"] for each in landing.records()}
    assert errors["b"].endswith("b.csv: it is gzip")
    assert errors["a"] == "not read, as another file of the same run could not be"
    assert landing.ingest() == ["a.csv", "b.csv"]


def test_of_a_personal_source_no_path_is_kept(landing, monkeypatch):
    source = landing.root.source
    source.write_text(source.read_text().replace('name = "test"', 'name = "test"\npersonal = true'))
    landing.write("ada-lovelace", make_play("p1"))
    with monkeypatch.context() as patch, pytest.raises(JobError):
        patch.setattr(ingest_plays, "read_rows", fail_at("lovelace.csv"))
        landing.ingest()
    assert landing.ingest() == ["ada-lovelace.csv"]
    assert landing.ingest() == []
    rows = FILES.read(landing.root.warehouse, FILES.contract.names).to_pylist()
    assert len(rows) == 2 and "lovelace" not in str(rows)
    assert "(this file): it is gzip" in str(rows)


def test_a_path_in_an_error_of_spark_is_hidden_and_erased_though_it_is_a_uri(landing, monkeypatch):
    def fail(spark, source, files, columns):
        uri = Path(next(each.path for each in files if "ada" in each.path).removeprefix("file:")).as_uri()
        raise JobError(f"Encountered error while reading file {uri}. SQLSTATE: KD001")

    landing.write("ada smith 100%", make_play("p1"))
    landing.write("other", make_play("p2"))
    with monkeypatch.context() as patch, pytest.raises(JobError):
        patch.setattr(ingest_plays, "read_rows", fail)
        landing.ingest()
    errors = {Path(each["path"]).stem: each["error"] for each in landing.records()}
    assert errors["ada smith 100%"].endswith("ada smith 100%.csv. SQLSTATE: KD001")
    assert errors["other"] == "not read, as another file of the same run could not be"
    assert erase_paths(landing.root.warehouse, ["ada smith 100%"]) == 1
    assert not [each for each in landing.records() if "ada" in f"{each['path']}{each['error']}"]


def test_an_erasure_takes_paths_away_and_leaves_files_known(landing):
    landing.write("export-u1-2024", make_play("p1"))
    landing.write("export-u12-2024", Play("p2", "u12", "t1", AT, 1000))
    landing.ingest()
    assert forget.main(["--root", landing.root.root, "--user", "u1"]) == 0
    folder = Path(landing.root.root, "quality", "files")
    paths = [path for file in folder.glob("*.parquet") for path in pq.read_table(file)["path"].to_pylist()]
    assert paths and not [path for path in paths if path and "u1-2024" in path]
    assert not [log for log in folder.glob("_delta_log/*") if "u1-2024" in log.read_text()]
    paths = {each["path"] and Path(each["path"]).stem for each in landing.records()}
    assert paths == {None, "export-u12-2024"}
    assert landing.ingest() == []
    assert landing.plays() == ["p2"]


def test_an_erasure_that_was_killed_before_old_files_were_removed_is_ended_by_the_next(landing, monkeypatch):
    def kill(table, days):
        raise Killed

    landing.write("export-u1-2024", make_play("p1"))
    landing.ingest()
    warehouse, folder = landing.root.warehouse, Path(landing.root.root, "quality", "files")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(file_records, "remove_old_files", kill)
        erase_paths(warehouse, ["u1"])
    assert erase_paths(warehouse, ["u1"]) == 0, "the first erasure was killed before its commit"
    left = [path for file in folder.glob("*.parquet") for path in pq.read_table(file)["path"].to_pylist()]
    assert left == [None], "a file of quality/files still has the path that was erased"


def test_a_look_agrees_with_what_an_ingest_would_read_and_writes_nothing(landing, monkeypatch):
    def look():
        with monkeypatch.context() as patch:
            patch.setattr(ingest_plays, "Job", Job)
            return has_work(STEP, landing.arguments)

    path = landing.write("a", make_play("p1"))
    assert look()
    landing.ingest()
    assert not look()
    path.rename(landing.folder / "renamed.csv")
    before = len(landing.records())
    assert not look()
    assert len(landing.records()) == before
    landing.write("b", make_play("p2"))
    assert look()


def test_rounds_of_a_flow_look_for_files_of_any_of_its_tables(landing, monkeypatch):
    landing.write("a", make_play("p1"))
    with monkeypatch.context() as patch:
        patch.setattr(ingest_plays, "Job", Job)
        assert has_new_files(landing.arguments)
        assert not has_new_files([*landing.arguments, "--skip", "ingest-plays"])
    landing.ingest()
    with monkeypatch.context() as patch:
        patch.setattr(ingest_plays, "Job", Job)
        assert not has_new_files(landing.arguments)


def show(*arguments):
    parser = ArgumentParser()
    show_files.configure(parser)
    return show_files.run(parser.parse_args(list(arguments)))


def test_segue_files_shows_each_file_once_or_each_of_its_runs(landing, capsys):
    root = landing.root.root
    # one that is not there would be refused as misspelt
    Path(root).mkdir()
    assert show("--root", root) == 0
    assert capsys.readouterr().out == f"no file was read into plays under {root}\n"
    landing.write("a", make_play("p1"), make_play("p2"))
    landing.ingest("--run-id", "first")
    landing.ingest("--force", "--run-id", "second")
    capsys.readouterr()
    assert show("plays", "--root", root) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["fate", "rows", "new", "duplicate"] and len(lines) == 1
    assert lines[0].split()[:4] == ["read", "2", "0", "2"] and lines[0].endswith("/landing/a.csv")
    assert show("plays", "--root", root, "--history", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["run_id"], row["new_rows"], row["fate"]) for row in rows] == [
        ("second", 0, "read"),
        ("first", 2, "read"),
    ]
    assert show("plays", "--root", root, "--history", "--last", "1") == 0
    assert "1 more; --last N shows as many" in capsys.readouterr().out
    with pytest.raises(WrongUsage, match="no files are read into 'sessions'"):
        show("sessions", "--root", root)


def test_without_records_nothing_is_known(tmp_path, landing):
    assert load_known_files(landing.root.warehouse, "plays") == KnownFiles()


def test_a_commit_that_is_taken_out_of_the_log_takes_its_files_with_it(landing):
    """As after a power cut, by the message of a log entry that was cut short."""
    landing.write("a", make_play("p1"))
    landing.ingest("--complete-through", "2024-02-12")
    b = landing.write("b", make_play("p2"))
    landing.ingest("--complete-through", "2024-02-12")
    b.rename(landing.folder / "c.csv")
    assert landing.ingest() == []
    table = landing.root.warehouse.table("plays")
    Path(landing.root.warehouse.table_path("plays"), "_delta_log", f"{table.version():020}.json").unlink()
    assert landing.plays() == ["p1"]
    assert landing.ingest() == ["c.csv"]
    assert landing.plays() == ["p1", "p2"]


def test_transactions_are_those_of_the_checkpoint_and_of_the_entries_since(landing):
    expected = set()
    for n in range(4):
        landing.write(f"{n}", make_play(f"p{n}"))
        landing.ingest()
        expected |= {each["transaction"] for each in landing.records() if each["transaction"]}
        if n == 1:
            landing.root.warehouse.table("plays").create_checkpoint()
            for entry in Path(landing.root.warehouse.table_path("plays"), "_delta_log").glob("*0[012].json"):
                entry.unlink()
    table = landing.root.warehouse.table("plays")
    assert list_transactions(landing.root.warehouse, "plays") == expected and len(expected) == 4
    assert all(table.transaction_version(each) is not None for each in expected)
    assert landing.ingest() == []
