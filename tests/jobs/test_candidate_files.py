"""Files that tasks map: what is unpacked from a scratch is what was written there, wherever rows lie."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.embeddings.candidate_files import CandidateFiles
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import check_version
from jobs.errors import JobError
from schemas.candidates import ORIGINS
from segue.storage import Snapshot

DAY = date(2026, 11, 20)

TRACKS = pa.schema(
    {"number": pa.int32(), "track_id": pa.string(), "artist_id": pa.string(), "explicit": pa.bool_()}
)
LISTS = pa.schema({"number": pa.int32(), "tracks": pa.list_(pa.int32()), "scores": pa.list_(pa.float32())})


@pytest.fixture
def files(tmp_path, monkeypatch):
    """As in a task: an executor tells where its files are."""
    monkeypatch.setattr("pyspark.SparkFiles.getRootDirectory", lambda: str(tmp_path / "executor"))
    return CandidateFiles(Scratch(str(tmp_path / "scratch")))


def test_check_version_refuses_lists_of_another_training(tmp_path):
    for table, version in (("track_embeddings", "b"), ("similar_tracks", "a"), ("candidates", "b")):
        rows = pa.table({"version_id": [version], "ds": [DAY]})
        write_deltalake(tmp_path / table, rows, partition_by=["ds"])
    job = SimpleNamespace(snapshot=lambda table: Snapshot.at(str(tmp_path / table), 0))
    check_version(job, "candidates", DAY, "build-candidates")
    expected = f"made of version a; expected b.*run build-similar-tracks --day {DAY} again"
    with pytest.raises(JobError, match=expected):
        check_version(job, "similar_tracks", DAY, "build-similar-tracks")


def test_ids_of_all_tracks_may_be_more_than_2_gib(files):
    """By their type: its offsets have 64 bits, in the scratch and in what executors map."""
    write(files, [[make_track(0, "a")], [make_track(1, "b")]], [[]], [[]])
    assert files.ids().type == files.open().ids.type == pa.large_string()


def write(files, tracks, following, similar):
    rows = zip(("tracks", *ORIGINS), (TRACKS, LISTS, LISTS), (tracks, following, similar), strict=True)
    for name, schema, parts in rows:
        for n, part in enumerate(parts):
            batch = pa.RecordBatch.from_pylist(part, schema=schema)
            files.scratch.write_table(f"{name}/part-{n}.parquet", schema, iter([batch]))


def make_track(number, track_id, artist=None, explicit=False):
    return {"number": number, "track_id": track_id, "artist_id": artist, "explicit": explicit}


def make_list(number, *pairs):
    return {"number": number, "tracks": [t for t, _ in pairs], "scores": [s for _, s in pairs]}


def test_candidate_files_open_orders_rows_of_all_files_by_number(files):
    write(
        files,
        [
            [make_track(2, "ü", "b")],
            [make_track(0, "a", "b", True), make_track(3, "用")],
            [],
            [make_track(1, "b", "c")],
        ],
        [[make_list(3, (0, 0.5), (1, 0.25)), make_list(0, (2, 1.0))], [make_list(2)]],
        [[]],
    )
    pool = files.open()
    assert pool.ids.to_pylist() == ["a", "b", "ü", "用"]
    first, second, third, fourth = pool.artists.tolist()
    assert first == third != second
    assert (fourth, min(first, second)) == (-1, 0)
    assert pool.explicit.tolist() == [True, False, False, False]
    assert pool.following.offsets.tolist() == [0, 1, 1, 1, 3]
    assert pool.following.tracks[:3].tolist() == [2, 0, 1]
    assert pool.following.scores[:3].tolist() == [1.0, 0.5, 0.25]
    assert pool.similar.offsets.tolist() == [0] * 5


def test_candidate_files_open_without_tracks_gives_an_empty_pool(files):
    write(files, [[]], [[]], [[]])
    pool = files.open()
    assert (len(pool.ids), pool.following.offsets.tolist()) == (0, [0])


def test_candidate_files_open_unpacks_once_per_executor(files, monkeypatch):
    write(files, [[make_track(0, "a")]], [[]], [[]])
    targets, unpack = [], CandidateFiles._unpack
    monkeypatch.setattr(CandidateFiles, "_unpack", lambda self, to: (targets.append(to), unpack(self, to))[1])
    with ThreadPoolExecutor(8) as tasks:
        pools = list(tasks.map(lambda _: files.open(), range(16)))
    assert len(targets) == 1
    assert {pool.ids.to_pylist()[0] for pool in pools} == {"a"}


def test_candidate_files_open_after_an_interruption_unpacks_again(files, monkeypatch):
    write(files, [[make_track(0, "a"), make_track(1, "b")]], [[make_list(0, (1, 1.0))]], [[]])
    with monkeypatch.context() as patch:
        patch.setattr("jobs.embeddings.candidate_files.list_places", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            files.open()
    assert files.open().following.scores[:1].tolist() == [1.0]


def test_candidate_files_open_reads_files_that_were_overwritten(files):
    write(files, [[make_track(0, "a")]], [[]], [[]])
    files.open()
    write(files, [[make_track(0, "b")]], [[]], [[]])
    assert CandidateFiles(files.scratch).open().ids.to_pylist() == ["b"]
