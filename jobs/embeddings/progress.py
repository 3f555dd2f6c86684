"""How far a training is: notes that its task leaves in the scratch, and the driver's thread that prints them."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from jobs.embeddings.scratch import Scratch

if TYPE_CHECKING:
    from features.embeddings.corpus import Model

SECONDS_BETWEEN_LOOKS = 0.5
# A model of seconds is sooner learned again than saved.
SECONDS_BETWEEN_CHECKPOINTS = 60.0


def note_search(scratch: Scratch) -> Callable[[str], None]:
    """What leaves the lines of a search."""
    # sorted by name, they are printed before the epochs, which begin at 1
    numbers = count()
    return lambda line: scratch.write_json(f"progress/00000-{next(numbers):03d}.json", {"line": line})


class EpochNotes:
    """A note after each epoch; now and then, the model itself."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._started = self._saved = time.monotonic()

    def __call__(self, epoch: int, pairs: int, model: Model) -> None:
        now = time.monotonic()
        note = {"epoch": epoch, "pairs": pairs, "seconds": now - self._started, "peak_bytes": peak_bytes()}
        # a file for each: object stores cannot append, and the driver reads while the task writes
        self._scratch.write_json(f"progress/{epoch:05d}.json", note)
        if now - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            self._scratch.save_model(model, epoch)
            self._saved = time.monotonic()
        # saving is no part of the next epoch
        self._started = time.monotonic()


def peak_bytes() -> int:
    """The most memory that this process had so far."""
    # Linux counts in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def log_progress(scratch: Scratch, say: Callable[[str], None]) -> Iterator[None]:
    """Prints the notes of the task, which may run on another machine."""
    # the notes of an attempt that was cut off have been printed by that attempt. What it did not save is done again,
    # and noted under the same names: so times too
    end, printed = threading.Event(), set(scratch.times("progress").items())

    def print_new() -> None:
        for name, written_at in sorted(scratch.times("progress").items()):
            if (name, written_at) not in printed and (note := scratch.read_json(f"progress/{name}")):
                printed.add((name, written_at))
                say(note.get("line") or _describe_epoch(note))

    def watch() -> None:
        while not end.wait(SECONDS_BETWEEN_LOOKS):
            print_new()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        print_new()


def _describe_epoch(note: dict[str, Any]) -> str:
    speed, memory = note["pairs"] / max(note["seconds"], 1e-9) / 1e6, note["peak_bytes"] / 2**20
    work = f"{note['pairs']:,} pairs, {note['seconds']:.1f} s, {speed:.1f} M pairs/s"
    return f"epoch {note['epoch']}: {work}, {memory:,.0f} MiB"
