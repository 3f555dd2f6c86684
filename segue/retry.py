"""Commits by compare-and-swap: who loses to another writer looks again and tries once more."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A lost compare-and-swap costs milliseconds; this many in a row mean that something else is wrong.
ATTEMPTS = 100


def retry(
    action: Callable[[], T], lost: type[Exception], attempts: int = ATTEMPTS, wait_s: float = 0.02
) -> T:
    """What `action` returns; called again each time it raises `lost`, the last time of which is raised."""
    for attempt in range(1, attempts):
        try:
            return action()
        except lost:
            # At random, so that two that wait for each other's commit do not meet again; 0.2 s at most by default, as a
            # commit takes milliseconds and whoever won is done by then.
            time.sleep(random.uniform(0, wait_s * min(attempt, 10)))
    return action()
