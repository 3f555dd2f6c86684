"""The nightly flow on a standalone cluster that loses a machine meanwhile: the same tables as on one machine?

    python benchmarks/cluster.py                          # some minutes
    python benchmarks/cluster.py --users 500 --days 30 --kill-after build-user-features

One master and two workers of Spark as pip installed it, each a process of its own on the loopback interface, and the
flow submitted to them with Segue as `make dist` packs it; no import finds this checkout. Once the step --kill-after has
published, a worker and its executor are killed, by their process ids, while the executor has tasks: it is stopped, seen
to have tasks still, and killed. The flow goes on with the worker that is left. Then every table is compared by its
content hash with that of the same flow on one machine, with two threads; of the trainings, all but what they took.

Fails where no executor was lost, no task was lost with it, a step was refused, a table differs, or `segue verify`
finds anything. Embeddings are trained with one thread, as several race each other.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests")]

from craft import PACKAGES  # noqa: E402

from faults.runs import Run, list_group_members  # noqa: E402
from jobs.publishing.warehouse import Warehouse  # noqa: E402
from jobs.session import FOR_FEW_ROWS, SETTINGS_VARIABLE  # noqa: E402
from jobs.verify import examine  # noqa: E402
from reference.clusters import cluster_settings, spark_home  # noqa: E402
from segue.storage import Snapshot  # noqa: E402

HERE = "127.0.0.1"
CORES = 2
FLOW = TOP / "benchmarks" / "cluster_flow.py"
# What a training took, and nothing of what it learned.
TRAININGS, TAKEN = "embedding_versions", {"seconds", "peak_bytes", "available_at"}
PATIENCE_S, FLOW_S = 120, 1200
# Of an executor that is stopped, events that were under way reach the driver meanwhile.
STILL_S = 1.0
Executor = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--users", type=int, default=200)
    add("--days", type=int, default=20)
    add("--tracks", type=int, default=1000)
    add("--skip", nargs="+", default=[], metavar="STEP", help="steps that no flow is to run")
    add("--kill-after", default="build-sessions", metavar="STEP", help="(default: %(default)s)")
    add("--executor-memory", default="1g", help="(default: %(default)s)")
    args = parser.parse_args()
    # else the processes of the cluster would outlive this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before the flows were"))
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "deltalake"))
    print(f"{os.cpu_count()} cores, {packages}; {args.users:,} listeners, {args.days} days", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "spark.conf"
        settings.write_text(f"spark.master local[{CORES}]\nspark.driver.memory 2g\n")
        here = {SETTINGS_VARIABLE: str(settings)}
        generate(folder, args, here)
        with timed("the flow on one machine"), Run(*flow_command(folder, "here", args.skip), **here) as run:
            assert run.wait(FLOW_S) == 0, run.text
        with start_cluster(folder, args.executor_memory) as cluster, timed("and on the cluster"):
            run_and_lose(cluster, folder, args)
        compare(folder / "here", folder / "cluster")


def generate(folder: Path, args: argparse.Namespace, variables: Mapping[str, str]) -> None:
    world = {
        "users": args.users, "days": args.days, "files-per-day": 2,
        "tracks": args.tracks, "artists": args.tracks // 10, "clusters": max(1, args.tracks // 100),
    }  # fmt: skip
    options = [word for name, value in world.items() for word in (f"--{name}", value)]
    command = (sys.executable, "-m", "segue.command", "run", "generate-plays", "--out", folder / "landing")
    with Run(*command, *options, **variables) as run:
        assert run.wait() == 0, run.text
    print(json.loads((folder / "landing" / "truth.json").read_text())["totals"]["plays"], "plays", flush=True)


def flow_command(folder: Path, root: str, skip: Sequence[str], *submit: str) -> list[Any]:
    landing = folder / "landing"
    plays = ("--source", landing / "source.toml", "--input", landing / "plays")
    command = [*(submit or (sys.executable,)), FLOW, "--root", folder / root, *plays]
    return [*command, "--catalogue", landing / "tracks", *(("--skip", *skip) if skip else ())]


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)


# --- the cluster


@dataclass(frozen=True)
class Cluster:
    """Its processes end with the block that started it."""

    home: Path
    master: str
    workers: tuple[Run, ...]
    executor_memory: str


@contextmanager
def start_cluster(folder: Path, memory: str) -> Iterator[Cluster]:
    home = spark_home(folder)
    spark = (home / "bin" / "spark-class", "org.apache.spark.deploy.master.Master", "--host", HERE)
    variables = make_variables(home)
    with Run(*spark, "--port", "0", "--webui-port", "0", **variables) as master:
        url = await_word(master, "Starting Spark master at")
        command = (spark[0], "org.apache.spark.deploy.worker.Worker", "--host", HERE, "--webui-port", "0")
        size = ("--cores", CORES, "--memory", memory, "--work-dir", folder / "work")
        with (
            Run(*command, *size, url, **variables) as first,
            Run(*command, *size, url, **variables) as second,
        ):
            for worker in (first, second):
                await_word(worker, "Successfully registered with master")
            yield Cluster(home, url, (first, second), memory)


def await_word(run: Run, text: str) -> str:
    """The word that follows the text in a line of a process."""
    while text not in (line := run.read_until("")):
        pass
    return line.partition(text)[2].split()[0]


def make_variables(home: Path) -> dict[str, str]:
    return {
        "SPARK_HOME": str(home),
        # by it the page of each process is bound too
        "SPARK_LOCAL_IP": HERE,
        "SPARK_DAEMON_MEMORY": "256m",
        # all that is Segue's comes out of the archive
        "PYTHONPATH": "",
        "PYTHONSAFEPATH": "1",
    }


def pack(folder: Path) -> Path:
    """As `make dist` does."""
    archive = folder / "segue-jobs.zip"
    command = (sys.executable, "-m", "zipfile", "-c", archive, *(TOP / name for name in PACKAGES))
    with Run(*command) as run:
        assert run.wait() == 0, run.text
    return archive


# --- the flow on it


def run_and_lose(cluster: Cluster, folder: Path, args: argparse.Namespace) -> None:
    port = find_port()
    settings = {
        **cluster_settings(),
        "spark.master": cluster.master,
        "spark.driver.memory": "1g",
        "spark.executor.memory": cluster.executor_memory,
        "spark.executor.cores": str(CORES),
        # as a step of so few rows has them on one machine, but for more tasks
        **FOR_FEW_ROWS,
        "spark.sql.shuffle.partitions": "6",
        "spark.ui.enabled": "true",
        "spark.ui.port": str(port),
    }
    submit = [str(cluster.home / "bin" / "spark-submit"), "--py-files", str(pack(folder))]
    submit += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    with Run(*flow_command(folder, "cluster", args.skip, *submit), **make_variables(cluster.home)) as run:
        await_publication(run, args.kill_after)
        lost = lose_machine(cluster.workers[-1], f"http://{HERE}:{port}/api/v1/applications")
        exit_code = run.wait(FLOW_S)
    assert exit_code == 0, run.text
    # what Spark says of a task whose executor went with its worker
    tasks = sum("its executor exited" in line for line in run.lines)
    assert any("Lost executor" in line for line in run.lines) and tasks, f"no task was lost:\n{run.text}"
    print(f"lost: executor {lost['id']} ({lost['removeReason']}), {tasks} tasks in all")


def await_publication(run: Run, step: str) -> None:
    while not ((line := run.read_until("")).startswith(f"  {step} ") and " version " in line):
        pass


def find_port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        return int(free.getsockname()[1])


def lose_machine(worker: Run, url: str) -> Executor:
    """Kills a worker and its executor once that has tasks; the executor as the driver then has it."""
    (application,) = read(url)
    url = f"{url}/{application['id']}/allexecutors"
    pid, id_ = find_executor(worker)
    deadline = time.monotonic() + PATIENCE_S
    while not is_at_work(url, pid, id_):
        assert time.monotonic() < deadline, f"executor {id_} had no task for {PATIENCE_S} s"
    print(f"killed: the worker, and executor {id_} with {find(url, id_)['activeTasks']} tasks", flush=True)
    worker.kill()
    while (executor := find(url, id_))["isActive"]:
        assert time.monotonic() < deadline, f"the driver did not miss executor {id_}"
        time.sleep(0.1)
    return executor


def find_executor(worker: Run) -> tuple[int, str]:
    """Process and id of the executor that a worker started."""
    commands = {pid: read_command(pid) for pid in list_group_members(worker.pid)}
    ((pid, words),) = ((pid, words) for pid, words in commands.items() if "--executor-id" in words)
    return pid, words[words.index("--executor-id") + 1]


def read_command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def is_at_work(url: str, pid: int, id_: str) -> bool:
    """Whether it has tasks; if so, it is left stopped, and so will not end them."""
    time.sleep(0.05)
    if not find(url, id_)["activeTasks"]:
        return False
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STILL_S)
    if find(url, id_)["activeTasks"]:
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def find(url: str, id_: str) -> Executor:
    return next(each for each in read(url) if each["id"] == id_)


def read(url: str) -> list[dict[str, Any]]:
    with urlopen(url, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


# --- the tables


def compare(here: Path, cluster: Path) -> None:
    expected, actual = (dict(list_contents(root)) for root in (here, cluster))
    differing = [name for name in expected | actual if expected.get(name) != actual.get(name)]
    for name, (rows, content) in expected.items():
        print(f"  {name:<24}{rows:>9,} rows  {content[:16]:<18}{'DIFFERS' if name in differing else 'equal'}")
    findings = [str(each) for each in examine(str(cluster))]
    assert not differing, f"tables that differ: {differing}"
    assert not findings, f"segue verify finds: {findings}"
    print(f"{len(expected)} tables with equal content hashes, and nothing that segue verify finds")


def list_contents(root: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    """Rows and content of each table, by name."""
    warehouse = Warehouse(str(root))
    for name in warehouse.list_tables():
        state = warehouse.state(name)
        assert state, f"nothing of {name} is published under {root}"
        content = read_trainings(warehouse) if name == TRAININGS else state.content_hash
        yield name, (state.rows, content)


def read_trainings(warehouse: Warehouse) -> str:
    table = warehouse.table(TRAININGS)
    assert table
    snapshot = Snapshot(warehouse.table_path(TRAININGS), table)
    names = [name for name in snapshot.names(None) if name not in TAKEN]
    rows = snapshot.read(snapshot.files, names).to_pylist()
    for row in rows:
        search = json.loads(row["search"] or "{}")
        row["search"] = {name: value for name, value in search.items() if name not in TAKEN}
    return json.dumps(rows, default=str, sort_keys=True)


if __name__ == "__main__":
    main()
