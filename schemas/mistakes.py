"""What is wrong with declarations: raised at once in code, collected with file and line while files are loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import FrameType

from schemas.operations import DeclarationError


@dataclass
class Mistakes:
    """One line for each, and the declarations that they are of."""

    lines: list[str] = field(default_factory=list)
    # by id, as two wrong declarations can be equal; kept alive, or an id would be used again
    declarations: dict[int, object] = field(default_factory=dict)

    def raise_any(self, where: str) -> None:
        """Raises DeclarationError with all of them, if there are any."""
        if self.lines:
            number = f"{len(self.lines)} mistakes" if len(self.lines) > 1 else "a mistake"
            raise DeclarationError("\n".join([f"{number} in {where}", *self.lines]))


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
    mistakes.lines.append(f"{find_place()}: {text}")
    mistakes.declarations[id(declaration)] = declaration


def suggest(name: str, choices: Sequence[str]) -> str:
    """The names that it could have been meant for, or all there are."""
    near = get_close_matches(name, choices, n=3, cutoff=0.6)
    return f"perhaps {' or '.join(near)}" if near else f"one of {', '.join(choices)}"


def is_refused(declaration: object) -> bool:
    """Whether something was noted of this very declaration."""
    mistakes = _COLLECTED.get()
    return mistakes is not None and id(declaration) in mistakes.declarations


def find_place() -> str:
    """File and line of the code that declares: the first caller that is neither ours nor of `dataclasses`."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "dataclasses" and not name.startswith(("schemas.", "expectations.")):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
