"""An executor of a cluster dies in the shuffle and in the write: published whole all the same."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from faults.cluster_driver import SHUFFLED, WRITTEN
from faults.invariants import check, read_states
from faults.offers import TABLE
from faults.runs import START_S, Run, list_group_members, make_command
from reference.clusters import spark_home
from segue.storage import Snapshot, table_uri


def find_executor(run, phase, at_least):
    """Process of an executor of the run that a marker names, once there are so many markers."""
    deadline = time.monotonic() + START_S
    while (
        len(
            marker_paths := sorted(
                phase.parent.glob(f"{phase.name}-*"), key=lambda path: path.stat().st_mtime
            )
        )
        < at_least
    ):
        assert time.monotonic() < deadline, f"only {len(marker_paths)} tasks {phase}:\n{run.text}"
        time.sleep(0.05)
    pid = int(marker_paths[-1].name.split("-")[1])
    assert pid in list_group_members(run.pid)
    assert "CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_text()
    return pid


def list_losses(run):
    return [line for line in run.lines if "Lost executor" in line], [
        line for line in run.lines if "Lost task" in line
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_publish_completes_though_executors_are_lost_in_shuffle_and_write(root, tmp_path):
    markers, local = tmp_path / "markers", {"SPARK_LOCAL_IP": "127.0.0.1"}
    home = str(spark_home(tmp_path))
    with Run(*make_command("cluster_driver.py", root, markers), SPARK_HOME=home, **local) as run:
        # of eight tasks on two executors, the fifth begins: what is lost is a task, and what two have shuffled
        os.kill(find_executor(run, markers / "shuffle" / "began", at_least=5), signal.SIGKILL)
        hashes = [run.read_until("expected").split()[1]]
        run.read_until("published shuffled")
        shuffle_losses = list_losses(run)
        assert all(shuffle_losses), f"no executor or no task was lost in the shuffle:\n{run.text}"
        os.kill(find_executor(run, markers / "write" / "began", at_least=1), signal.SIGKILL)
        hashes.append(run.read_until("expected").split()[1])
        run.read_until("published written")
        assert run.wait() == 0, run.text
    for before, now in zip(shuffle_losses, list_losses(run), strict=True):
        assert len(now) > len(before), f"no executor or no task was lost in the write:\n{run.text}"
    newest = check(root, (SHUFFLED, WRITTEN))
    states = read_states(root / "tables" / TABLE)
    assert [state.content_hash for state in states[-2:]] == hashes
    for offer, version in ((SHUFFLED, newest - 1), (WRITTEN, newest)):
        snapshot = Snapshot.at(table_uri(root, TABLE), version)
        columns = list(offer.rows()[0])
        rows = snapshot.read(snapshot.files, columns).to_pylist()
        assert sorted(rows, key=by_key) == sorted(offer.rows(), key=by_key)


def by_key(row):
    return row["play_id"]
