"""A step or a flow again and again in one process: it looks for files, takes in what is new, and sleeps."""

from __future__ import annotations

import argparse
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from jobs.errors import WrongUsage, first_line
from jobs.messages import LOG
from segue.failures import describe_cause, keep_traceback

# However often it failed, it is tried again after so many seconds.
LONGEST_WAIT = 3600.0
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_interval(text: str) -> float:
    """Seconds, for argparse."""
    if not (found := re.fullmatch(r"([1-9][0-9]{0,4})([smh])", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no interval; write a number and s, m or h, as in 5m")
    return float(found[1]) * _UNITS[found[2]]


def run_rounds(run: Callable[[], int], has_work: Callable[[], bool], every: float) -> int:
    """Until SIGTERM, upon which the round that is at work is finished.

    Args:
        has_work: whether there is anything for a round to do; the first one, and those after a failure, run without
            asking.

    Raises:
        WrongUsage: by the first round, as all others would fail by it too.
    """
    with _stop_on_sigterm() as stop:
        repeat(run, has_work, every, stop)
    LOG.info("ended by SIGTERM, after a round")
    return 0


def repeat(run: Callable[[], int], has_work: Callable[[], bool], every: float, stop: Event) -> None:
    failures, problem, is_first = 0, "", True
    while not stop.is_set():
        before, problem = problem, _run_round(run, has_work, is_first, bool(failures))
        failures = failures + 1 if problem else 0
        # what fails in the same way each time is said once
        if problem and problem != before:
            LOG.error(f"this round failed, and the next one tries again: {problem}")
        is_first = False
        # a round that fails may take as long as one that works: no file of a refused one is read each five minutes
        stop.wait(max(every, min(every * 2**failures, LONGEST_WAIT)))


def _run_round(run: Callable[[], int], has_work: Callable[[], bool], is_first: bool, has_failed: bool) -> str:
    """What went wrong, if anything."""
    try:
        code = run() if is_first or has_failed or has_work() else 0
        return f"exit code {code}" if code else ""
    except WrongUsage as problem:
        if is_first:
            raise
        return first_line(problem)
    except Exception as problem:
        if hasattr(problem, "exit_code"):
            return first_line(problem)
        return f"{describe_cause(problem)}; {keep_traceback()}"


@contextmanager
def _stop_on_sigterm() -> Iterator[Event]:
    stop = Event()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
