"""Signs of life: on a terminal a line that counts the seconds, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# A log wants to know that a step lives, not to be filled with it.
SECONDS_BETWEEN_LINES = 30


@contextmanager
def working(label: str) -> Iterator[None]:
    """Shows that `label` is at work until the block ends."""
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(label, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(label: str, done: threading.Event) -> None:
    terminal, started = sys.stderr.isatty(), time.monotonic()
    while not done.wait(0.5 if terminal else SECONDS_BETWEEN_LINES):
        text = f"  {label:<24}… {time.monotonic() - started:.0f} s{_stages()}"
        print(
            f"\r\033[K{text}" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True
        )
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _stages() -> str:
    """How far Spark's running stages are, in tasks."""
    pyspark = sys.modules.get("pyspark")
    context = pyspark.SparkContext._active_spark_context if pyspark else None
    if context is None:
        return ""
    tracker = context.statusTracker()
    stages = [info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage))]
    total = sum(stage.numTasks for stage in stages)
    return f", {sum(stage.numCompletedTasks for stage in stages)} of {total} tasks" if total else ""
