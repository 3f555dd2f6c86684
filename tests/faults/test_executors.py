"""An executor of a standalone cluster dies in the shuffle and in the write: published whole all the same."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults.cluster_driver import SHUFFLED, WRITTEN
from faults.invariants import check, states_of
from faults.offers import TABLE
from faults.runs import START_S, Run, script
from segue.storage import Snapshot, table_uri


def spark_class(name, *args):
    import pyspark

    command = Path(pyspark.__file__).parent / "bin" / "spark-class"
    local = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
    return Run(command, f"org.apache.spark.deploy.{name}", *args, "--webui-port", 0, **local)


@pytest.fixture
def cluster(tmp_path):
    """Address of a master, and the pids of its two workers of one core each."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"spark://127.0.0.1:{port}"
    with ExitStack() as running:
        master = running.enter_context(spark_class("master.Master", "--host", "127.0.0.1", "--port", port))
        until_said(master, "I have been elected leader")
        options = ("--host", "127.0.0.1", "--cores", 1, "--memory", "1g", "--work-dir", tmp_path / "work")
        workers = [running.enter_context(spark_class("worker.Worker", *options, address)) for _ in range(2)]
        for worker in workers:
            until_said(worker, "Successfully registered with master")
        yield address, [worker.pid for worker in workers]


def until_said(run, words):
    give_up = time.monotonic() + START_S
    while not any(words in line for line in run.lines):
        assert time.monotonic() < give_up, f"never said {words!r}:\n{run.text}"
        time.sleep(0.1)


def executor_that(phase, workers, at_least):
    """Process of an executor of ours that a marker names, once there are so many markers."""
    give_up = time.monotonic() + START_S
    while (
        len(found := sorted(phase.parent.glob(f"{phase.name}-*"), key=lambda path: path.stat().st_mtime))
        < at_least
    ):
        assert time.monotonic() < give_up, f"only {len(found)} tasks {phase}"
        time.sleep(0.05)
    pid = int(found[-1].name.split("-")[1])
    stat = Path(f"/proc/{pid}/stat").read_text()
    assert int(stat.rpartition(")")[2].split()[1]) in workers
    assert "CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_text()
    return pid


def losses(run):
    return [line for line in run.lines if "Lost executor" in line], [
        line for line in run.lines if "Lost task" in line
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_batch_is_published_whole_though_an_executor_is_lost(root, tmp_path, cluster):
    address, workers = cluster
    markers = tmp_path / "markers"
    with Run(*script("cluster_driver.py", address, root, markers), SPARK_LOCAL_IP="127.0.0.1") as run:
        # of eight tasks on two executors, the fifth begins: what is lost is a task, and what two have shuffled
        os.kill(executor_that(markers / "shuffle" / "began", workers, at_least=5), signal.SIGKILL)
        hashes = [run.until("expected").split()[1]]
        run.until("published shuffled")
        in_shuffle = losses(run)
        assert all(in_shuffle), f"no executor or no task was lost in the shuffle:\n{run.text}"
        os.kill(executor_that(markers / "write" / "began", workers, at_least=1), signal.SIGKILL)
        hashes.append(run.until("expected").split()[1])
        run.until("published written")
        assert run.ended() == 0, run.text
    for before, now in zip(in_shuffle, losses(run), strict=True):
        assert len(now) > len(before), f"no executor or no task was lost in the write:\n{run.text}"
    newest = check(root, (SHUFFLED, WRITTEN))
    states = states_of(root / "tables" / TABLE)
    assert [state.content_hash for state in states[-2:]] == hashes
    for offer, version in ((SHUFFLED, newest - 1), (WRITTEN, newest)):
        snapshot = Snapshot.at(table_uri(root, TABLE), version)
        columns = list(offer.rows()[0])
        rows = snapshot.read(snapshot.files, columns).to_pylist()
        assert sorted(rows, key=by_key) == sorted(offer.rows(), key=by_key)


def by_key(row):
    return row["play_id"]
