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
    """One line for each, and the declarations that they are of, with the place of their line."""

    lines: list[str] = field(default_factory=list)
    # by id, as two wrong declarations can be equal; kept alive, or an id would be used again
    declarations: dict[int, tuple[object, int]] = field(default_factory=dict)
    # where a declaration was made, as some mistakes show later; by id, and kept alive, as above
    places: dict[int, tuple[object, str]] = field(default_factory=dict)

    def find_place(self, declaration: object) -> str:
        """File and line; empty for what was made before mistakes were collected."""
        _, place = self.places.get(id(declaration), (None, ""))
        return place

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
    if id(declaration) in mistakes.declarations:
        # a group sees more mistakes of its features than they do, and two groups the same
        _, number = mistakes.declarations[id(declaration)]
        new = [problem for problem in problems if problem not in mistakes.lines[number]]
        mistakes.lines[number] = "; ".join([mistakes.lines[number], *new])
        return
    mistakes.declarations[id(declaration)] = declaration, len(mistakes.lines)
    mistakes.lines.append(f"{mistakes.find_place(declaration) or find_place()}: {text}")


def note_place(declaration: object) -> None:
    """Keeps the line of a declaration, for mistakes that show beside others."""
    mistakes = _COLLECTED.get()
    if mistakes is not None:
        mistakes.places[id(declaration)] = declaration, find_place()


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
