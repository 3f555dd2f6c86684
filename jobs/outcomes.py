"""What a step came to, table by table: jobs note it, the flow collects it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

PUBLISHED, UNCHANGED, NOT_MADE = "published", "unchanged", "not made"


@dataclass(frozen=True)
class Outcome:
    """Of one table: published, unchanged because its content was there already, or not made, which is no fault:
    a source without artists has no features of artists. `why` is empty for what was published."""

    table: str
    kind: str
    rows: int = 0
    version: int | None = None
    why: str = ""


_COLLECTED: ContextVar[list[Outcome] | None] = ContextVar("outcomes", default=None)


def add_outcome(outcome: Outcome) -> Outcome:
    """Adds it to what `collect_outcomes` gathers, if anybody does."""
    collected = _COLLECTED.get()
    if collected is not None:
        collected.append(outcome)
    return outcome


@contextmanager
def collect_outcomes() -> Iterator[list[Outcome]]:
    """The outcomes that jobs note inside the block, in their order."""
    found: list[Outcome] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)
