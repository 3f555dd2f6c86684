"""What a step came to, table by table: jobs note it, the flow collects it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

PUBLISHED, UNCHANGED, NOT_MADE = "published", "unchanged", "not made"


@dataclass(frozen=True)
class Outcome:
    """Of one table. `why` is empty for what was published."""

    table: str
    # not made is no fault: a source without artists has no features of artists
    kind: str
    rows: int = 0
    version: int | None = None
    why: str = ""


# Per thread, so that steps at the same time collect their own, and each job needs to be passed nothing.
_COLLECTED: ContextVar[list[Outcome] | None] = ContextVar("outcomes", default=None)


def add_outcome(outcome: Outcome) -> Outcome:
    # None where a step was started by hand
    if (collected := _COLLECTED.get()) is not None:
        collected.append(outcome)
    return outcome


@contextmanager
def collect_outcomes() -> Iterator[list[Outcome]]:
    """The outcomes that jobs note inside the block, in their order."""
    collected: list[Outcome] = []
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)
