"""Trainings one after the other, without Spark: what the next one may ask, and what of it two attempts leave."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.embeddings.sequences import FOLDS
from features.embeddings.settings import Settings
from jobs import train_track_embeddings
from jobs.embeddings import task
from jobs.embeddings.progress import log_progress, note_search
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.task import Plan, run_training
from jobs.embeddings.tracks import SEQUENCES
from reference.planted import sessions, write_scratch

SETTINGS = Settings(dimensions=16, epochs=1, seed=1, threads=1)


@pytest.fixture
def compared(monkeypatch):
    """Of each comparison with a version before, how many pairs it is of."""
    compare, counts = task.ev.compare_hits, []
    monkeypatch.setattr(
        task.ev, "compare_hits", lambda new, old: counts.append(len(old)) or compare(new, old)
    )
    return counts


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_run_training_asks_its_parent_nothing_that_the_parent_learned(tmp_path, compared, start):
    """Of more pairs than before: a warm training learned with its parent, a cold one holds out for itself."""
    few = SETTINGS.replace(pairs=50)
    scratch = write_scratch(tmp_path / "before", sessions(6_000))
    report = run_training(Plan(scratch, few, "cold", False))
    table, share = pq.read_table(scratch.path(report["learned"])), report["measures"]["held_out_share"]
    scratch = write_scratch(tmp_path / "after", sessions(6_000), table)
    measures = run_training(Plan(scratch, SETTINGS, start, True, None, share))["measures"]
    folds = scratch.table(SEQUENCES, ["fold"])["fold"].to_numpy()
    unseen = int((folds < share * FOLDS).sum())
    assert 50 < unseen < 200, "the parent did not hold out few, so this shows nothing"
    assert compared == [unseen], "compared on pairs that the parent learned, or not on all that it did not"
    assert (measures["has_pairs_and_parent"], measures["enough_pairs_and_parent"]) == (1, 0)
    assert measures["held_out_share"] == (share if start == "warm" else 1 / 8)
    assert (measures["pairs"] == unseen) == (start == "warm")


def test_two_attempts_of_a_training_leave_two_files(tmp_path):
    scratch = write_scratch(tmp_path, sessions(300))
    names = [run_training(Plan(scratch, SETTINGS, "cold", False))["learned"] for _ in range(2)]
    tables = [pq.read_table(scratch.path(name)) for name in names]
    assert names[0] != names[1], "a late attempt writes into the file that the driver reads"
    assert tables[0] == tables[1]


def test_a_table_of_the_scratch_appears_whole(tmp_path):
    """Also to who reads all files of its folder."""
    scratch, schema = Scratch(str(tmp_path)), pa.schema({"n": pa.int64()})
    batch = pa.record_batch([pa.array([1, 2])], schema=schema)
    scratch.write_table("folder/a.parquet", schema, iter([batch]))

    def batches():
        yield batch
        assert scratch.names("folder") == ["a.parquet"], "half a table can be read"
        assert scratch.table("folder", ["n"])["n"].to_pylist() == [1, 2], "half a table is read"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scratch.write_table("folder/a.parquet", schema, batches())
    assert scratch.table("folder", ["n"])["n"].to_pylist() == [1, 2], (
        "an attempt that was cut off cut the table"
    )


def test_what_is_done_again_after_a_kill_is_printed_again(tmp_path):
    """Under the names of the notes that were left, and printed by the attempt that was cut off."""
    scratch, printed = Scratch(str(tmp_path)), []
    for line in ("first", "second"):
        write_note = note_search(scratch)
        with log_progress(scratch, printed.append):
            write_note(line)
            write_note("the same")
    assert printed == ["first", "the same", "second", "the same"], "a search that begins again says nothing"


def test_log_progress_prints_no_notes_of_before(tmp_path):
    scratch, printed = Scratch(str(tmp_path)), []
    note_search(scratch)("before")
    with log_progress(scratch, printed.append):
        pass
    assert printed == []


@pytest.mark.parametrize(("catalogue", "same"), [((3, 3), True), ((3, 4), False), ((None, 3), False)])
def test_a_version_is_named_by_what_it_learned_and_by_its_catalogue(catalogue, same):
    """The catalogue fills the rows of tracks that nobody played."""
    first, second = (train_track_embeddings._digest_vectors("0a1b2c3d", each) for each in catalogue)
    assert (first == second) == same, "other rows are published under a name that was taken"
    assert train_track_embeddings._digest_vectors("ffffffff", catalogue[0]) != first
