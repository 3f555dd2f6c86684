"""CPU seconds of a command and of the JVMs that it starts, by what their threads do; from /proc, so of Linux alone."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# By how the names of a JVM's threads begin.
KINDS = {
    "C1 Comp": "JVM: compilation by C1", "C2 Comp": "JVM: compilation by C2", "Executor task": "JVM: tasks",
    "GC Thread": "JVM: garbage", "Thread-": "JVM: plans, of calls from Python",
}  # fmt: skip
OTHER, PYTHON = "JVM: other threads", "Python"
# A thread that ends between two looks is short of so much at most.
LOOK_EVERY_S = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")


def run_and_count(command: Sequence[str]) -> tuple[int, str, dict[str, float]]:
    """Runs a command to its end: its exit code, what it printed, and CPU seconds by kind of thread."""
    before = _count_children()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    threads: dict[str, tuple[str, float]] = {}
    while True:
        try:
            output, _ = process.communicate(timeout=LOOK_EVERY_S)
            return process.returncode, output, sum_kinds(threads, _count_children() - before)
        except subprocess.TimeoutExpired:
            for jvm in find_jvms(process.pid):
                threads |= dict(read_threads(jvm))


def sum_kinds(threads: Mapping[str, tuple[str, float]], whole: float) -> dict[str, float]:
    """CPU seconds by kind; what of the whole no thread of a JVM took is Python's, or of JVMs that were not seen."""
    seconds: Counter[str] = Counter()
    for name, each in threads.values():
        seconds[next((kind for start, kind in KINDS.items() if name.startswith(start)), OTHER)] += each
    return {**dict(seconds.most_common()), PYTHON: whole - seconds.total()}


def find_jvms(pid: int) -> list[int]:
    """JVMs that a process started itself."""
    stats = (_read(path) for path in Path("/proc").glob("[0-9]*/stat"))
    # pid, name, state, parent
    java = [stat.split()[:4] for stat in stats if " (java) " in stat]
    return [int(own) for own, _, _, parent in java if int(parent) == pid]


def read_threads(pid: int) -> Iterator[tuple[str, tuple[str, float]]]:
    """Each thread of a process: its path, its name and its CPU seconds so far."""
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        # a thread may end between the two
        if fields := _read(folder / "stat"):
            name, _, numbers = fields.partition("(")[2].rpartition(")")
            user, system = numbers.split()[11:13]
            yield str(folder), (name, (int(user) + int(system)) / _TICKS)


def _count_children() -> float:
    """CPU seconds of children that have ended, and of theirs."""
    times = os.times()
    return times.children_user + times.children_system


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
