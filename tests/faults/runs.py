"""Processes that are to be killed, watched from outside, and what must be there once one was."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from faults.invariants import check, list_publish_notes
from faults.offers import OFFERS, TABLE, Offer
from jobs.outcomes import Outcome

HERE = Path(__file__).parent
TOP = HERE.parents[1]
# Generous: a machine may run other things as well, and only a hang should end a test.
START_S, RUN_S, END_S = 180, 300, 60
KILLED = -signal.SIGKILL


class Output:
    """The lines that a driver printed, or that a test wrote down as one would."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        return "\n".join(self.lines[-60:])

    def outcomes(self) -> list[tuple[str, int]]:
        """Kind and number of every offer that was reported."""
        reports = [line.split() for line in self.lines if line.startswith(("published ", "unchanged "))]
        return [(kind, int(number)) for kind, number in reports]


class Run(Output):
    """A command, in a process group of its own that ends with the block."""

    def __init__(self, *command: Any, **environment: str) -> None:
        super().__init__()
        path = os.pathsep.join((str(TOP), str(TOP / "tests")))
        self._new: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, "PYTHONPATH": path, "PYSPARK_PYTHON": sys.executable, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def read_until(self, start: str, patience_s: float = START_S) -> str:
        """The next line that begins so.

        Raises:
            AssertionError: the process ended first, or took too long.
        """
        deadline = time.monotonic() + patience_s
        while (line := self._next(deadline)) is not None:
            if line.startswith(start):
                return line
        raise AssertionError(f"ended without {start!r}:\n{self.text}")

    def wait(self, patience_s: float = RUN_S) -> int:
        """The return code, once all was read."""
        deadline = time.monotonic() + patience_s
        while self._next(deadline) is not None:
            pass
        return self._process.wait()

    def kill(self, victim: str = "group") -> None:
        """The process alone, or what it started as well; nothing if it has ended."""
        if self._process.poll() is None:
            (os.killpg if victim == "group" else os.kill)(self._process.pid, signal.SIGKILL)

    def await_group_end(self) -> None:
        """A JVM whose Python process is gone ends by itself, a little later."""
        deadline = time.monotonic() + END_S
        while list_group_members(self._process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _next(self, deadline: float) -> str | None:
        try:
            return self._new.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"took too long:\n{self.text}") from None

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            self._new.put(self.lines[-1])
        self._new.put(None)


def make_command(name: str, *args: Any) -> list[Any]:
    """The command for one of this folder."""
    return [sys.executable, HERE / name, *args]


def list_group_members(group: int) -> list[int]:
    """Processes of a group, those left out that are dead and only unburied."""
    pids = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(process_group) == group and state != "Z":
            pids.append(int(entry.parent.name))
    return pids


class Chain:
    """Runs of the driver on one root, killed one after the other; each begins with what the last left.

    The offers are a cycle without an end. After each kill, the history must be exactly their beginning:
    nothing twice, nothing left out, and at most the one in flight beyond what was reported.
    """

    def __init__(self, root: Path, *options: Any) -> None:
        self.root, self._options = root, options
        self.reported = 0
        self.landed = False
        self._checked = 0

    def start(self, count: int, *options: Any) -> Run:
        offer_options = ("--first", self.reported, "--count", count)
        return Run(*make_command("driver.py", "--root", self.root, *offer_options, *self._options, *options))

    def run_undisturbed(self, count: int) -> float:
        """Seconds that so many offers take, from when the driver is ready."""
        with self.start(count) as run:
            run.read_until("ready")
            start = time.monotonic()
            assert run.wait() == 0, run.text
            seconds = time.monotonic() - start
            self.settle(run)
        return seconds

    def run_here(self, publish: Callable[[Offer], Outcome], count: int) -> None:
        """As undisturbed, in this process: a driver would have to begin a session of its own."""
        output = Output()
        for n in range(self.reported, self.reported + count):
            for _ in range(2):
                output.lines.append(f"{publish(OFFERS[n % len(OFFERS)]).kind} {n}")
        self.settle(output)

    def kill_at(self, fault: str, *options: Any) -> str:
        """What the driver said when it reached the fault, which it must not survive."""
        with self.start(2, "--fault", fault, *options) as run:
            line = run.read_until(f"reached {fault}")
            assert run.wait() == KILLED, run.text
            self.settle(run)
            run.await_group_end()
        return line

    def kill_after(self, delay_s: float, count: int, victim: str) -> bool:
        """Whether the driver was still at work then; counted from when its session is up."""
        with self.start(count) as run:
            run.read_until("ready")
            time.sleep(delay_s)
            run.kill(victim)
            was_killed = run.wait() == KILLED
            self.settle(run)
            run.await_group_end()
        return was_killed

    def settle(self, run: Output) -> None:
        """Checks what a run that ended reported, and what it left."""
        self._check_outcomes(run)
        self._checked = max(0, check(self.root, OFFERS, self._checked))
        notes = list_publish_notes(self.root / "tables" / TABLE)
        fingerprints = [note["batch"].rpartition("-")[0] for note in notes]
        expected = [OFFERS[n % len(OFFERS)].fingerprint for n in range(len(fingerprints))]
        assert fingerprints == expected, (
            f"the history is not what was offered, in order:\n{fingerprints}\n{expected}"
        )
        assert len(fingerprints) - self.reported in (0, 1), (
            f"{self.reported} batches were reported, {len(fingerprints)} are in the history:\n{run.text}"
        )
        self.landed = len(fingerprints) > self.reported

    def _check_outcomes(self, run: Output) -> None:
        """Of what was in flight, that it was published if and only if it was missing; of all, once only."""
        for kind, number in run.outcomes():
            if number == self.reported:
                expected, self.reported = "unchanged" if self.landed else "published", self.reported + 1
                self.landed = False
            else:
                expected = "unchanged"
                assert number == self.reported - 1, f"offers were not published in order:\n{run.text}"
            assert kind == expected, f"offer {number} was {kind}, expected {expected}:\n{run.text}"
