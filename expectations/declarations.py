"""What a project expects of tables beside what we do, and what it changes of ours. Plain data: Great Expectations is
imported where a batch is audited, and not where these are loaded.

    from expectations.declarations import Change, TableExpectations, expect_rows

    PLAYS = TableExpectations(
        "plays",
        (
            Change("rejected_share", "our files are checked before they are sent", high=0.01),
            expect_rows("ms_played", "ms_played <= 6 * 60 * 60 * 1000", "six hours at most", "warning"),
        ),
        owner="the radio team",
    )
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import Any

from expectations.suite import Bound
from expectations.suites import TABLES
from schemas import CONTRACTS
from schemas.mistakes import collect_mistakes, find_place, refuse, suggest
from schemas.project_declarations import execute, find_project_paths, list_files
from schemas.sql import find_sql_problems

# Paths of files and folders, as a shell would split them; the command sets it from segue.toml.
VARIABLE = "SEGUE_EXPECTATIONS"
SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class RowExpectation:
    """A SQL condition on every row, `expected` in words; null is no breach of it."""

    column: str
    condition: str
    expected: str
    severity: str = "critical"
    # why; shown where it is broken
    reason: str = ""
    place: str = field(default_factory=find_place, compare=False)

    def find_problems(self, table: str) -> Iterator[str]:
        contract = CONTRACTS[table]
        if self.column not in contract.names:
            yield f"got column {self.column!r}; expected {suggest(self.column, contract.names)}"
        yield from find_sql_problems("condition", self.condition, contract)
        if not self.expected.strip():
            yield "has no words for what is expected; say it as in 'six hours at most'"
        yield from _find_severity_problems(self.severity)


def expect_rows(
    column: str, condition: str, expected: str, severity: str = "critical", reason: str = ""
) -> RowExpectation:
    """As in our suites: a SQL condition on every row, described in words; null is no breach of it."""
    return RowExpectation(column, condition, expected, severity, reason)


@dataclass(frozen=True)
class Change:
    """Another limit or severity for what Segue expects: a bound by its name, or an expectation of rows by its column
    and name as messages and `segue gate TABLE` have them (`released_on: expect_rows_to_satisfy: …`)."""

    name: str
    reason: str
    low: float | None = None
    high: float | None = None
    severity: str = ""
    enabled: bool = True
    place: str = field(default_factory=find_place, compare=False)

    @property
    def values(self) -> dict[str, Any]:
        """What it changes of a bound."""
        given = {"low": self.low, "high": self.high, "severity": self.severity or None}
        return {name: value for name, value in given.items() if value is not None}

    def find_problems(self, table: str) -> Iterator[str]:
        if not self.reason.strip():
            yield f"change of {self.name} has no reason; say why it is another one here"
        if not self.values and self.enabled:
            yield f"change of {self.name} changes nothing; give low, high, severity or enabled=False"
        yield from (
            f"{name} is {value!r}; expected a number"
            for name, value in self.values.items()
            if name != "severity" and not is_number(value)
        )
        if self.severity:
            yield from _find_severity_problems(self.severity)


Rule = RowExpectation | Bound | Change


@dataclass(frozen=True)
class TableExpectations:
    """What is expected of the batches of one table; the owner is shown where it is broken."""

    table: str
    rules: tuple[Rule, ...]
    owner: str = ""
    place: str = field(default_factory=find_place, compare=False)

    def __post_init__(self) -> None:
        refuse(self, f"expectations of {self.table}", list(self._find_problems()))

    def origin_of(self, rule: Rule) -> str:
        """Who says so, and where: the last two parts of the path, as in expectations/plays.py:7."""
        place = self.place if isinstance(rule, Bound) else rule.place
        short = "/".join(place.split("/")[-2:])
        return f"{self.owner}, {short}" if self.owner else short

    def _find_problems(self) -> Iterator[str]:
        if self.table not in TABLES:
            yield f"got table {self.table!r}; expected {suggest(self.table, TABLES)}"
            return
        if not isinstance(self.rules, tuple) or not self.rules:
            got = type(self.rules).__name__ if self.rules != () else "empty tuple"
            yield f"got rules as a {got}; expected a tuple of them, for one (rule,)"
            return
        for rule in self.rules:
            if isinstance(rule, Bound):
                yield from _find_bound_problems(rule, self.table)
            elif isinstance(rule, RowExpectation | Change):
                yield from rule.find_problems(self.table)
            else:
                yield f"got a {type(rule).__name__}; expected expect_rows(…), Bound(…), SoftBound(…) or Change(…)"


def load_expectations(paths: Sequence[str | Traversable] | None = None) -> tuple[TableExpectations, ...]:
    """Those that the files at these paths, by default the project's, hold under some name.

    Raises:
        DeclarationError: once, a line for each mistake, with its file and line.
    """
    paths = find_project_paths(VARIABLE, "expectations") if paths is None else paths
    with collect_mistakes() as mistakes:
        modules = [execute(file, mistakes) for file in list_files(paths, mistakes)]
    found = [each for module in modules for each in _find_expectations(module)]
    if paths and not found and not mistakes.lines:
        mistakes.lines.append(f"{', '.join(map(str, paths))}: no TableExpectations is bound to a name there")
    mistakes.raise_any("expectations")
    return tuple({id(each): each for each in found}.values())


def assign_owners(
    declared: Sequence[TableExpectations], owners: dict[str, str]
) -> tuple[TableExpectations, ...]:
    """Those without an owner of their own get that of their table."""
    return tuple(each if each.owner else replace(each, owner=owners.get(each.table, "")) for each in declared)


def _find_expectations(module: ModuleType) -> Iterator[TableExpectations]:
    return (value for value in vars(module).values() if isinstance(value, TableExpectations))


def _find_bound_problems(bound: Bound, table: str) -> Iterator[str]:
    if not bound.reason.strip():
        yield f"bound {bound.name} has no reason; say why these limits"
    if bound.integrity:
        yield f"bound {bound.name} says integrity, which is for what Segue itself relies on; leave it out"
    if bound.low is None and bound.high is None:
        yield f"bound {bound.name} has no limits; give low, high or both"
    elif bound.low is not None and bound.high is not None and bound.low > bound.high:
        yield f"bound {bound.name} goes from {bound.low:g} to {bound.high:g}; expected low at or below high"
    if bound.share:
        yield from find_sql_problems("share", bound.share, CONTRACTS[table])
        if (bound.column or "") not in CONTRACTS[table].names:
            yield f"bound {bound.name}: got column {bound.column!r}; expected one of the table, to be shown with it"
    yield from _find_severity_problems(bound.severity)


def _find_severity_problems(severity: str) -> Iterator[str]:
    if severity not in SEVERITIES:
        yield f"severity is {severity!r}; expected {', '.join(SEVERITIES)}"


def is_number(value: Any) -> bool:
    # True is an int in Python, and there is a nan that no comparison holds for
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
