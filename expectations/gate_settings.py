"""What a deployment changes of the bounds: `[gate]` in segue.toml, and `gate.toml` at the root of its tables.

[gate.track_embeddings."next.hr_ratio_high"]   # table, and the bound's name in quotes; without `gate.` in gate.toml
low = 0.9                                      # or high
severity = "warning"                           # critical, warning or info; or enabled = false

[gate.track_embeddings.lag_days]               # days that the table may be behind in a release
high = 7
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from expectations.declarations import SEVERITIES, TableExpectations, is_number
from expectations.project_suites import extend_suite
from expectations.suite import Bound, Suite
from expectations.suites import TABLES, suite_for
from expectations.wording import format_number
from schemas.mistakes import suggest

LAG_DAYS = "lag_days"
BoundChanges = Mapping[str, Mapping[str, Any]]


class GateError(ValueError):
    """A gate.toml with settings that cannot be applied."""


@dataclass(frozen=True)
class GateSettings:
    """The bounds with this deployment's changes; `path` is the file that makes them.

    `paths` has the file of each bound that another one than `path` changes, `declared` what a project expects.
    """

    path: str = ""
    tables: Mapping[str, BoundChanges] = field(default_factory=dict)
    paths: Mapping[tuple[str, str], str] = field(default_factory=dict)
    declared: tuple[TableExpectations, ...] = ()

    def override(self, other: GateSettings) -> GateSettings:
        """With the changes of a stronger one; of a bound that both change, that one's."""
        tables = {name: {**self.tables.get(name, {}), **changes} for name, changes in other.tables.items()}
        paths = {(table, name): other.path for table, changes in other.tables.items() for name in changes}
        return replace(self, tables={**self.tables, **tables}, paths={**self.paths, **paths})

    def path_of(self, table: str, name: str) -> str:
        """The file that changes a bound; "" for none."""
        return self.paths.get((table, name), self.path) if name in self.tables.get(table, {}) else ""

    def origin_of(self, table: str, name: str) -> str:
        """What makes a bound what it is here: a file, or who declares it; "" where it comes with Segue."""
        rules = [(each, rule) for each in self.declared if each.table == table for rule in each.rules]
        origins = [each.origin_of(rule) for each, rule in rules if getattr(rule, "name", None) == name]
        return self.path_of(table, name) or (origins[-1] if origins else "")

    def suite_of(self, table: str) -> Suite:
        """What this deployment expects of a table's batches."""
        suite = extend_suite(suite_for(table), self.declared)
        return replace(suite, bounds=self.bounds_of(table, suite))

    def bounds_of(self, table: str, suite: Suite) -> tuple[Bound, ...]:
        """The bounds of a suite in this deployment; those that are switched off are left out."""
        bounds = []
        for bound in suite.bounds:
            change = dict(self.tables.get(table, {}).get(bound.name, {}))
            if change.pop("enabled", True):
                bounds.append(bound.change(change, self.path_of(table, bound.name)) if change else bound)
        return tuple(bounds)

    def lag_days(self, table: str, default: float) -> float:
        """Days that a table may be behind in a release."""
        return float(self.tables.get(table, {}).get(LAG_DAYS, {}).get("high", default))


def parse_gate(text: str, path: str, suite_of: Callable[[str], Suite] = suite_for) -> GateSettings:
    """The gate that the text of a gate.toml describes.

    Raises:
        GateError: no TOML, or a table, bound, setting or value that cannot be; all of it in one text.
    """
    try:
        return check_gate(tomllib.loads(text), path, suite_of)
    except tomllib.TOMLDecodeError as problem:
        raise GateError(f"{path} is no TOML: {problem}") from None


def check_gate(
    tables: Mapping[str, Any], path: str, suite_of: Callable[[str], Suite] = suite_for, section: str = ""
) -> GateSettings:
    """The same of what was read of a file; `section` is that of the tables, where they are not at its top.

    Raises:
        GateError: as above.
    """
    # a misspelt name that is passed over would leave the bound as it was, and nobody would notice
    problems = [p for table, changes in tables.items() for p in _table_problems(table, changes, suite_of)]
    if problems:
        where = f"{path}, [{section}]" if section else path
        raise GateError("\n".join([f"{where} cannot be used:", *(f"  {problem}" for problem in problems)]))
    return GateSettings(path, tables)


def _table_problems(table: str, changes: Any, suite_of: Callable[[str], Suite]) -> Iterable[str]:
    if table not in TABLES:
        yield f"got table {table!r}; expected {suggest(table, TABLES)}"
    elif not isinstance(changes, dict):
        yield f"{table} = {changes!r}; expected a section [{table}.<bound>]"
    else:
        bounds = {bound.name: bound for bound in suite_of(table).bounds}
        for name, change in changes.items():
            yield from _change_problems(table, name, change, bounds)


def _change_problems(table: str, name: str, change: Any, bounds: Mapping[str, Bound]) -> Iterable[str]:
    where = f'[{table}."{name}"]'
    if name != LAG_DAYS and name not in bounds:
        yield (
            f"got {where}, a bound that {table} does not have; expected {suggest(name, [*bounds, LAG_DAYS])} "
            "(a name with dots goes in quotes)"
        )
    elif not isinstance(change, dict) or not change:
        yield f"{where} is {change!r}; expected settings such as high = 7"
    elif name == LAG_DAYS:
        yield from _value_problems(where, change, ("high",))
    elif bounds[name].integrity:
        yield (
            f"got {where}; it is a matter of integrity, which no deployment can change or switch off: "
            f"{bounds[name].reason}"
        )
    else:
        yield from _value_problems(where, change, ("low", "high", "severity", "enabled"))
        # one limit may be changed, and the other stays that of the bound
        low, high = (change.get(key, getattr(bounds[name], key)) for key in ("low", "high"))
        if is_number(low) and is_number(high) and low > high:
            yield f"{where} goes from {format_number(low)} to {format_number(high)}; expected low at or below high"


def _value_problems(where: str, change: Mapping[str, Any], settings: tuple[str, ...]) -> Iterable[str]:
    for key, value in change.items():
        if key not in settings:
            yield f"{where} got {key}; expected {suggest(key, settings)}"
        elif key == "severity" and value not in SEVERITIES:
            yield f"{where} severity = {value!r}; expected {', '.join(SEVERITIES)}"
        elif key == "enabled" and not isinstance(value, bool):
            yield f"{where} enabled = {value!r}; expected true or false"
        elif key in ("low", "high") and not is_number(value):
            yield f"{where} {key} = {value!r}; expected a number"
