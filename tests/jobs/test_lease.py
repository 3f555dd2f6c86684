"""One worker per table: others wait, are told for whom, and go on when that one is done or dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from jobs.errors import JobError
from jobs.publishing.lease import lease
from jobs.publishing.warehouse import Warehouse

HOLD = """
import sys
from jobs.publishing.lease import lease
from jobs.publishing.warehouse import Warehouse
with lease(Warehouse(sys.argv[1]), "plays", "ingest-plays of run-1", print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the table until its input ends, or it does."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline() == "held\n", "the other process did not get the lease"
        yield process
        process.kill()


def start_waiting(tmp_path, messages, entry, patience_s=60):
    def wait():
        with lease(Warehouse(str(tmp_path)), "plays", "mine", messages.append, patience_s):
            entry.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("end", ["its input ends", "it is killed"])
def test_lease_waits_until_its_holder_ends(tmp_path, holder, end):
    messages, entry = [], threading.Event()
    thread = start_waiting(tmp_path, messages, entry)
    assert not entry.wait(1), "two held one table at once"
    assert (
        messages == [messages[0]]
        and "ingest-plays of run-1" in messages[0]
        and str(holder.pid) in messages[0]
    )
    if end == "it is killed":
        os.kill(holder.pid, signal.SIGKILL)
    else:
        holder.stdin.close()
    assert entry.wait(30), "the lease outlived its holder"
    thread.join()


def test_lease_gives_up_with_the_name_of_its_holder(tmp_path, holder):
    with (
        pytest.raises(JobError, match=r"ingest-plays of run-1.*nothing was changed"),
        lease(Warehouse(str(tmp_path)), "plays", "mine", lambda text: None, patience_s=0.3),
    ):
        pytest.fail("two held one table at once")


def test_lease_of_another_table_is_free(tmp_path, holder):
    with lease(Warehouse(str(tmp_path)), "sessions", "mine", print, patience_s=0):
        pass


def test_lease_raises_for_a_root_that_cannot_be_written_to(tmp_path):
    (tmp_path / "tables").write_text("a file where a folder should be")
    with (
        pytest.raises(JobError, match="cannot be written to"),
        lease(Warehouse(str(tmp_path)), "plays", "mine", print),
    ):
        pytest.fail("a lease without a file")
