"""What a setting can be: its kind says which values it takes, in words too, and how the environment writes them."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

from segue.schedule import EXAMPLE, RANGE, parse_schedule


class Kind(Protocol):
    """`unit` and `range` are for the list of settings, `expected` is for an error."""

    @property
    def unit(self) -> str: ...
    @property
    def range(self) -> str: ...
    @property
    def expected(self) -> str: ...

    def accepts(self, value: Any) -> bool: ...
    def parse(self, text: str) -> Any:
        """Of a variable of the environment; what cannot be parsed comes back as it is, and is not accepted."""

    def anchor(self, value: Any, folder: str) -> Any:
        """A value of a file that is in this folder."""


@dataclass(frozen=True)
class Text:
    """`pattern`: what it must match, `range` the same in words."""

    range: str = ""
    pattern: str = r".*\S.*"
    unit: str = "text"

    @property
    def expected(self) -> str:
        return f"a text ({self.range})" if self.range else "a text"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def parse(self, text: str) -> str:
        return text

    def anchor(self, value: str, folder: str) -> str:
        return value


@dataclass(frozen=True)
class WholeNumber:
    """A whole number from `low` to `high`."""

    unit: str
    low: int
    high: int

    @property
    def range(self) -> str:
        return f"{self.low} to {self.high}"

    @property
    def expected(self) -> str:
        return f"a whole number of {self.unit}, {self.range}"

    def accepts(self, value: Any) -> bool:
        # True is an int in Python
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def parse(self, text: str) -> int | str:
        return int(text) if re.fullmatch(r"-?[0-9]+", text) else text

    def anchor(self, value: int, folder: str) -> int:
        return value


@dataclass(frozen=True)
class Number:
    """Of a file, from `low` to `high`; what it is, `expected` says."""

    expected: str
    low: float = 0.0
    high: float = math.inf
    unit: str = "number"

    @property
    def range(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def accepts(self, value: Any) -> bool:
        # NaN is in no range
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )

    def parse(self, text: str) -> float | str:
        return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else text

    def anchor(self, value: float, folder: str) -> float:
        return value


@dataclass(frozen=True)
class Switch:
    unit: str = "boolean"
    range: str = "true or false"
    expected: str = "true or false"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)

    def parse(self, text: str) -> bool | str:
        return {"true": True, "false": False}.get(text, text)

    def anchor(self, value: bool, folder: str) -> bool:
        return value


@dataclass(frozen=True)
class FilePath:
    range: str = ""
    unit: str = "path"
    expected: str = "a path"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and bool(value.strip())

    def parse(self, text: str) -> str:
        return text

    def anchor(self, value: str, folder: str) -> str:
        # a remote path and an absolute one stay what they are
        return value if "://" in value else os.path.normpath(os.path.join(folder, os.path.expanduser(value)))


@dataclass(frozen=True)
class FilePaths:
    """A list of them, or one; in the environment with spaces between."""

    range: str = "one or more"
    unit: str = "paths"
    expected: str = "a list of paths"

    def accepts(self, value: Any) -> bool:
        return bool(value) and all(map(FilePath().accepts, _as_list(value)))

    def parse(self, text: str) -> list[str]:
        try:
            return shlex.split(text)
        except ValueError:  # a quote that is not closed
            return []

    def anchor(self, value: str | Sequence[str], folder: str) -> list[str]:
        return [FilePath().anchor(each, folder) for each in _as_list(value)]


@dataclass(frozen=True)
class Expression:
    """A text that `read` understands: it returns something, or raises ValueError."""

    range: str
    unit: str
    expected: str
    read: Callable[[str], object]

    def accepts(self, value: Any) -> bool:
        try:
            return isinstance(value, str) and bool(self.read(value))
        except ValueError:
            return False

    def parse(self, text: str) -> str:
        return text

    def anchor(self, value: str, folder: str) -> str:
        return value


@dataclass(frozen=True)
class Setting:
    """One that the file, the environment and an option can give."""

    name: str
    variable: str
    meaning: str
    default: Any = None
    kind: Kind = FilePath()


def parse_duration(text: str) -> timedelta:
    """Of a text such as 90m, 3h or 1d; ValueError for any other."""
    found = re.fullmatch(r"([0-9]{1,4})([mhd])", text)
    if not found:
        raise ValueError(f"{text!r}, must be a number and m, h or d, as in 3h")
    unit = {"m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return timedelta(**{unit: int(found[1])})


def parse_release_day(text: str) -> date:
    """Of a day or the id of a release; ValueError for any other text."""
    day, _, number = text.partition(".")
    if number and not number.isdigit():
        raise ValueError(f"{text!r} is no day and no release")
    return date.fromisoformat(day)


CRON_EXPRESSION = Expression(
    range=RANGE,
    unit="cron, UTC",
    # steps beside a weekday are read in two ways
    expected=f'a cron expression in UTC, as "{EXAMPLE}": {RANGE}, each with * , - and /; on a day that there is, and '
    "without * where both day and weekday are others than *",
    read=parse_schedule,
)
DURATION = Expression(
    range="1m to 9999d",
    unit="m, h or d",
    expected='a duration, as "30h": a number above 0 and m, h or d',
    read=parse_duration,
)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
