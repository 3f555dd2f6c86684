"""A flow on a standalone cluster that loses a worker, against the same flow in one process: the same rows.

    PYTHONPATH=. python benchmarks/cluster.py --plays 20000

One master and two workers, of the Spark that pip installed, as processes of their own on the loopback address. Once a
worker's executor has finished some tasks, the worker is killed with its executors. Of every table, each day's number of
rows and content hash are compared with those of a flow on `local[2]`.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import pyspark
from made_up_files import SOURCE, Listening, write_plays

from jobs.publishing.warehouse import Warehouse
from schemas import CONTRACTS

FIRST = date(2026, 1, 1)
PLAYS_OF_A_LISTENER = 12
# what is trained depends on the order of tasks
LEFT_OUT = (
    "train-track-embeddings",
    "build-user-embeddings",
    "build-similar-tracks",
    "build-candidates",
    "build-semantic-ids",
)
SETTINGS = """
spark.master {master}
spark.executor.memory 1g
spark.sql.shuffle.partitions 8
"""
FLOW = "import sys; from jobs.flow import run_flow; sys.exit(run_flow(sys.argv[1:]))"
WORKERS, START_SECONDS = 2, 90

Process = subprocess.Popen[bytes]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plays", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=20, help="that a worker ends before it is killed")
    parser.add_argument("--skip", nargs="+", default=LEFT_OUT, help="steps that no flow is to run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "source.toml").write_text(SOURCE)
        users = args.plays // PLAYS_OF_A_LISTENER
        write_plays(folder / "plays.csv", Listening(FIRST, args.plays, users=users))
        with start_flow(folder, "one", "local[2]", args.skip) as flow:
            _wait_for_end(flow, folder / "one.log")
        with start_cluster(folder) as (url, workers), start_flow(folder, "cluster", url, args.skip) as flow:
            _wait_for_tasks(folder / "work-0", flow, args.tasks)
            _kill(workers[0])
            print(f"a worker is killed once it has ended {args.tasks} tasks", flush=True)
            _wait_for_end(flow, folder / "cluster.log")
        lost = (folder / "cluster/logs/spark.log").read_text(errors="replace").count("Lost executor")
        assert lost, "no executor was lost: this shows nothing"
        compare(folder / "one", folder / "cluster")


@contextmanager
def start_flow(folder: Path, root: str, master: str, skip: Sequence[str]) -> Iterator[Process]:
    settings = folder / f"{root}.conf"
    settings.write_text(SETTINGS.format(master=master))
    arguments = ["--source", folder / "source.toml", "--input", folder / "plays.csv", "--skip", *skip]
    command = [sys.executable, "-c", FLOW, "--root", folder / root, *arguments]
    with _start(command, folder / f"{root}.log", SEGUE_SPARK_CONF=str(settings)) as process:
        yield process


@contextmanager
def start_cluster(folder: Path) -> Iterator[tuple[str, list[Process]]]:
    """The master's address, and workers of one core each."""
    with ExitStack() as stack:
        log = folder / "master.log"
        stack.enter_context(_start(_make_command("master.Master", "--port", "0"), log))
        url = _wait_for(log, r"Starting Spark master at (spark://\S+)")
        workers = []
        for number in range(WORKERS):
            work, log = folder / f"work-{number}", folder / f"worker-{number}.log"
            command = _make_command(
                "worker.Worker", "--cores", "1", "--memory", "1g", "--work-dir", work, url
            )
            workers.append(stack.enter_context(_start(command, log)))
            _wait_for(log, "Successfully registered with (master)")
        yield url, workers


def _make_command(name: str, *arguments: str | Path) -> list[str | Path]:
    home = Path(pyspark.__file__).parent
    address = ("--host", "127.0.0.1", "--webui-port", "0")
    return [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *address, *arguments]


@contextmanager
def _start(command: Sequence[str | Path], log: Path, **variables: str) -> Iterator[Process]:
    """A process that is the first of its group, and ended with it."""
    home = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment = {**os.environ, **home, "PYSPARK_PYTHON": sys.executable, **variables}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        yield process
    finally:
        _kill(process)


def _kill(process: Process) -> None:
    """With all that it has started, such as a worker's executors."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(log: Path, pattern: str) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not (found := re.search(pattern, log.read_text(errors="replace"))):
        assert time.monotonic() < deadline, _read_end(log)
        time.sleep(0.1)
    return found[1]


def _wait_for_tasks(work: Path, flow: Process, tasks: int) -> None:
    while (
        sum(log.read_text(errors="replace").count("Finished task") for log in work.glob("*/*/stderr")) < tasks
    ):
        assert flow.poll() is None, "the flow ended before its worker could be killed"
        time.sleep(0.1)


def _wait_for_end(flow: Process, log: Path) -> None:
    assert flow.wait() == 0, _read_end(log)


def _read_end(log: Path) -> str:
    return f"{log.name}: {log.read_text(errors='replace')[-3000:]}"


def compare(one: Path, other: Path) -> None:
    """Of every table, the rows and the content hash of each day."""
    days = 0
    for name in CONTRACTS:
        first, second = (_read_days(root, name) for root in (one, other))
        assert first == second, f"table {name}: {first} and {second}"
        days += len(first)
    assert days, "no table was published: this shows nothing"
    print(f"{days} days of tables have the same rows", flush=True)


def _read_days(root: Path, table: str) -> dict[date | None, tuple[int, int]]:
    state = Warehouse(str(root)).state(table)
    return {day: (each.rows, each.content_hash) for day, each in state.day_states.items()} if state else {}


if __name__ == "__main__":
    main()
