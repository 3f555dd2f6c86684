"""Signs of life: on a terminal a line that counts the seconds, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

# A log wants to know that a step lives, not to be filled with it.
SECONDS_BETWEEN_LINES = 30
# What is at work, and since when. The eldest shows the line for all of them: two would overwrite each other.
_at_work: dict[str, float] = {}


@contextmanager
def show_progress(label: str) -> Iterator[None]:
    """Shows that `label` is at work until the block ends."""
    done = threading.Event()
    # steps of a flow run at the same time, in threads of this process
    _at_work[label] = time.monotonic()
    thread = threading.Thread(target=_show, args=(label, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        del _at_work[label]
        done.set()
        thread.join()


def print_line(text: str, stream: TextIO | None = None) -> None:
    # in one write: steps at the same time share the output
    print(f"{text}\n", end="", flush=True, file=stream or sys.stdout)


def _show(label: str, done: threading.Event) -> None:
    terminal = sys.stderr.isatty()
    while not done.wait(0.5 if terminal else SECONDS_BETWEEN_LINES):
        # a copy, as others begin and end meanwhile
        now, at_work = time.monotonic(), list(_at_work.items())
        if not at_work or at_work[0][0] != label:
            continue
        steps = ", ".join(f"{name} {now - since:.0f} s" for name, since in at_work)
        text = f"  … {steps}{_count_tasks()}"
        # a terminal's line is written over, one of a log stays
        text = f"\r\033[K{text}" if terminal else f"{text}\n"
        print(text, end="", file=sys.stderr, flush=True)
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _count_tasks() -> str:
    """How far Spark's running stages are."""
    # looked at and not imported: a command without Spark shows progress too
    # by its attributes, which one that is being imported does not have yet
    context_class = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    context = getattr(context_class, "_active_spark_context", None)
    if context is None:
        return ""
    tracker = context.statusTracker()
    # a stage may end between the two calls, and has no info then
    stages = [info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage))]
    total = sum(stage.numTasks for stage in stages)
    return f", {sum(stage.numCompletedTasks for stage in stages)} of {total} tasks" if total else ""
