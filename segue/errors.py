"""What can go wrong, each as one line: what, got, expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

# By what a bucket on S3 is found and opened.
S3_SETTINGS = "the bucket, AWS_ENDPOINT_URL (with AWS_ALLOW_HTTP=true for http), AWS_REGION, and the keys"
# The one of delta-rs, the other of pyarrow.
_OF_S3 = re.compile(r"Generic S3 error|AWS Error [A-Z_]+ during")
# delta-rs prints each cause on a line of its own, behind a coloured arrow; the last says most.
_ARROW = re.compile(r"\s*\n\s*(?:\x1b\[\d+m)?\u21b3(?:\x1b\[\d+m)?\s*")
# Where a machine of Amazon's says which role it has: who has keys is not asked there.
_ROLES = "//169.254."


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

    @classmethod
    def not_a_table(cls, what: str, value: object) -> UsageError:
        text = f"{what} must be a pyarrow.Table; got {type(value).__name__}"
        return cls(text, "pyarrow.Table.from_pandas makes one")


@contextmanager
def refuse_unwritable(path: object) -> Iterator[None]:
    """Where a file or folder that a user named cannot be written, says so: UsageError."""
    try:
        yield
    except OSError as problem:
        text = problem.strerror or first_line(problem)
        raise UsageError(f"{path} cannot be written: {text}", "give another path") from None


def first_line(problem: object) -> str:
    """What went wrong, without the trace that engines print below it; of S3 also what to check."""
    if is_of_s3(text := str(problem)):
        return f"{innermost_cause(problem)}. Check {S3_SETTINGS}"
    lines = (line.strip() for line in join_causes(text).splitlines())
    # some exceptions say nothing but what they are, such as a bare AssertionError
    nothing = type(problem).__name__ if isinstance(problem, BaseException) else "no reason given"
    return next(filter(None, lines), nothing)


def join_causes(text: str) -> str:
    """One line of the causes that delta-rs says."""
    return _ARROW.sub(": ", text)


def is_of_s3(text: str) -> bool:
    """Whether it is what a store said, and nothing was made of it yet."""
    return _OF_S3.search(text) is not None and S3_SETTINGS not in text


def innermost_cause(problem: object) -> str:
    """Of an object store: the last cause of all, and which host it is about."""
    # the body of an answer in XML or HTML has lines too
    text, markup, answer = _ARROW.sub("\n", str(problem)).strip().partition("\n<")
    if _ROLES in text:
        return "no keys are set (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and this machine gives none"
    message = re.search(r"<Message>(.*?)</Message>", markup + answer, re.DOTALL)
    cause = message[1] if message else text.rpartition("\n")[2] or type(problem).__name__
    host = re.search(r"Error performing [A-Z]+ (\w+://[^/\s]+)", text)
    return f"{host[1]}: {cause.strip().rstrip('.')}" if host else cause.strip().rstrip(".")


def list_names(names: Sequence[str], most: int = 20) -> str:
    # cut: an error about a day would list those of years
    head = ", ".join(names[:most]) or "none"
    return f"{head} and {len(names) - most} more" if len(names) > most else head
