"""What can go wrong, each as one line: what, got, expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class SegueError(Exception):
    """Base of all that this package raises on purpose; the command ends with `exit_code`."""

    exit_code = 1

    def __init__(self, problem: str, hint: str | None = None) -> None:
        super().__init__(problem if hint is None else f"{problem}. Hint: {hint}")


class UsageError(SegueError):
    """A wrong argument: an unknown name, a value of the wrong kind."""

    exit_code = 2

    @classmethod
    def unknown(cls, kind: str, name: object, known: Iterable[object], where: str = "") -> UsageError:
        """`known` is listed in its order, the likeliest meant as a hint."""
        names = [str(each) for each in known]
        place = f" in {where}" if where else ""
        # days are dates and names are text: compared as they are written
        close = get_close_matches(str(name), names, n=3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else None
        return cls(f"{kind} {str(name)!r} is unknown{place}; known: {list_names(names)}", hint)

    @classmethod
    def not_a_list(cls, what: str, value: object) -> UsageError:
        return cls(f"{what} must be a list of strings; got {value}", f"for one, write [{what[:-1]}]")


@contextmanager
def refuse_unwritable(path: object) -> Iterator[None]:
    """Where a file or folder that a user named cannot be written, says so: UsageError."""
    try:
        yield
    except OSError as problem:
        text = problem.strerror or first_line(problem)
        raise UsageError(f"{path} cannot be written: {text}", "give another path") from None


def first_line(problem: object) -> str:
    return next(iter(str(problem).splitlines()), "no reason given")


def list_names(names: Sequence[str], most: int = 20) -> str:
    # cut: an error about a day would list those of years
    head = ", ".join(names[:most]) or "none"
    return f"{head} and {len(names) - most} more" if len(names) > most else head
