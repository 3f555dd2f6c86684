"""A store in other processes: pickled, forked, and under a root that nothing can be written to."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import segue
from segue import forks
from segue.errors import SegueError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store(lake, make_user):
    tracks = [{"track_id": "t1", "title": "One", "artist_name": "A"}]
    vector = {"version_id": "v1", "space_id": "s1", "vector": [1.0, 0.0], "support": 1, "source": "learned"}
    day = make_user("u1")["ds"]
    lake.release(
        user_features=lake.publish("user_features", [make_user("u1")]),
        tracks=lake.publish("tracks", tracks),
        track_embeddings=lake.publish(
            "track_embeddings", [vector | {"track_id": t, "ds": day} for t in ("t1", "t2")]
        ),
    )
    return segue.open(lake.root)


def in_fork(function):
    """What a function gives, called in a fork of this process."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(function())
        except SegueError as problem:
            sender.send(problem)

    process = context.Process(target=run)
    process.start()
    sender.close()
    answer = receiver.recv() if receiver.poll(60) else None
    process.join(60)
    return answer


def test_the_new_process_does_not_wait_for_pandas(store):
    there = "[__import__('segue.storage'), 'pandas' in __import__('sys').modules][1]"
    answer = in_fork(lambda: (forks.is_forked(), forks.run_where_possible(eval, there)))
    assert answer == (True, False), "is pandas imported by the process that opens a table for a fork?"


def test_store_is_pickled_without_matrices_and_answers_the_same(store):
    assert store.similar_tracks("t1", 1)["track_id"].to_pylist() == ["t2"]
    pickled = pickle.dumps(store)
    copy = pickle.loads(pickled)
    assert b"_neighbours" not in pickled
    assert copy.similar_tracks("t1", 1).equals(store.similar_tracks("t1", 1))
    assert copy.lookup("tracks", ["t1", "no"]).equals(store.lookup("tracks", ["t1", "no"]))


def test_forked_process_opens_tables_and_releases(store, lake):
    def look_up():
        assert forks.is_forked()
        return (
            store.lookup("tracks", ["t1"])["title"].to_pylist(),
            segue.open(lake.root).lookup("user_features", ["u1"]).num_rows,
        )

    assert in_fork(look_up) == (["One"], 1)


def test_forked_process_gets_the_error_of_what_it_opens(store, tmp_path):
    assert "no release" in str(in_fork(lambda: segue.open(tmp_path / "nowhere")))


def test_new_process_that_cannot_start_is_one_line(monkeypatch):
    monkeypatch.setattr(forks, "_owner", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SegueError, match=r"cannot be opened in a process that was forked.*by spawn"):
        forks.run_where_possible(len, "abc")


READ_ONLY = """
import json, os, sys
import segue
os.setgid(65534), os.setuid(65534)
root = sys.argv[1]
try:
    open(root + "/probe", "w")
    sys.exit("the root can be written to")
except PermissionError:
    pass
store = segue.open(root)
rows = [store.lookup("tracks", ["t1"]), *store.scan("user_features"), store.similar_tracks("t1", 1)]
print(json.dumps([each.num_rows for each in rows]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="whoever owns the root could write to it")
def test_store_of_a_root_that_is_read_only(store, lake):
    # the folders that pytest makes are its own user's alone
    folders = [lake.root, *lake.root.parents][: len(lake.root.parts) - 2]
    for folder in folders:
        folder.chmod(0o755)
    imports = "import deltalake, pyarrow.dataset, segue.neighbours, segue.store, segue.training_set\n"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", imports + READ_ONLY, str(lake.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [1, 1, 1]
