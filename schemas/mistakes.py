"""What is wrong with declarations: raised at once in code, collected with file and line while files are loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType

from schemas.operations import DeclarationError


@dataclass
class Mistakes:
    """One line for each, and the declarations that they are of."""

    lines: list[str] = field(default_factory=list)
    # by id, as two wrong declarations can be equal; kept alive, or an id would be used again
    declarations: dict[int, object] = field(default_factory=dict)


_COLLECTED: ContextVar[Mistakes | None] = ContextVar("mistakes", default=None)


@contextmanager
def collect_mistakes() -> Iterator[Mistakes]:
    """While this is open, nothing is raised: whoever wrote ten declarations wants to know of all ten."""
    mistakes = Mistakes()
    token = _COLLECTED.set(mistakes)
    try:
        yield mistakes
    finally:
        _COLLECTED.reset(token)


def refuse(declaration: object, subject: str, problems: Sequence[str]) -> None:
    """Raises DeclarationError for these problems of a declaration, or notes them where they are collected."""
    if not problems:
        return
    text = f"{subject}: {'; '.join(problems)}"
    mistakes = _COLLECTED.get()
    if mistakes is None:
        raise DeclarationError(text)
    mistakes.lines.append(f"{_find_place()}: {text}")
    mistakes.declarations[id(declaration)] = declaration


def is_refused(declaration: object) -> bool:
    """Whether something was noted of this very declaration."""
    mistakes = _COLLECTED.get()
    return mistakes is not None and id(declaration) in mistakes.declarations


def _find_place() -> str:
    """File and line of the code that declares: the first caller that is neither ours nor of `dataclasses`."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "dataclasses" and not name.startswith("schemas."):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
