"""What a deployment changes of the bounds, in one file: `gate.toml` at the root of its tables.

[track_embeddings."next.hr_ratio_high"]     # table, and the bound's name in quotes
low = 0.9                                   # or high
severity = "warning"                        # critical, warning or info; or enabled = false

[track_embeddings.lag_days]                 # days that the table may be behind in a release
high = 7
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from expectations.suite import Bound, Suite
from expectations.suites import TABLES, suite_for
from expectations.wording import format_number

SEVERITIES = ("critical", "warning", "info")
LAG_DAYS = "lag_days"
BoundChanges = Mapping[str, Mapping[str, Any]]


class GateError(ValueError):
    """A gate.toml with settings that cannot be applied."""


@dataclass(frozen=True)
class GateSettings:
    """The bounds with this deployment's changes; `path` is the file that makes them."""

    path: str = ""
    tables: Mapping[str, BoundChanges] = field(default_factory=dict)

    def suite_of(self, table: str) -> Suite:
        """What this deployment expects of a table's batches."""
        suite = suite_for(table)
        return replace(suite, bounds=self.bounds_of(table, suite))

    def bounds_of(self, table: str, suite: Suite) -> tuple[Bound, ...]:
        """The bounds of a suite in this deployment; those that are switched off are left out."""
        bounds = []
        for bound in suite.bounds:
            change = dict(self.tables.get(table, {}).get(bound.name, {}))
            if change.pop("enabled", True):
                bounds.append(replace(bound, **change))
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
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise GateError(f"{path} is no TOML: {problem}") from None
    # a misspelt name that is passed over would leave the bound as it was, and nobody would notice
    problems = [p for table, changes in tables.items() for p in _table_problems(table, changes, suite_of)]
    if problems:
        raise GateError("\n".join([f"{path} cannot be used:", *(f"  {problem}" for problem in problems)]))
    return GateSettings(path, tables)


def _table_problems(table: str, changes: Any, suite_of: Callable[[str], Suite]) -> Iterable[str]:
    if table not in TABLES:
        yield f"got table {table!r}; expected {_suggest(table, TABLES)}"
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
            f"got {where}, a bound that {table} does not have; expected {_suggest(name, [*bounds, LAG_DAYS])} "
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
        if _is_number(low) and _is_number(high) and low > high:
            yield f"{where} goes from {format_number(low)} to {format_number(high)}; expected low at or below high"


def _value_problems(where: str, change: Mapping[str, Any], settings: tuple[str, ...]) -> Iterable[str]:
    for key, value in change.items():
        if key not in settings:
            yield f"{where} got {key}; expected {_suggest(key, settings)}"
        elif key == "severity" and value not in SEVERITIES:
            yield f"{where} severity = {value!r}; expected {', '.join(SEVERITIES)}"
        elif key == "enabled" and not isinstance(value, bool):
            yield f"{where} enabled = {value!r}; expected true or false"
        elif key in ("low", "high") and not _is_number(value):
            yield f"{where} {key} = {value!r}; expected a number"


def _is_number(value: Any) -> bool:
    # True is an int in Python, and TOML has a nan that no comparison holds for
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _suggest(name: str, choices: Sequence[str]) -> str:
    """The names that it could have been meant for, or all there are."""
    near = get_close_matches(name, choices, n=3, cutoff=0.6)
    return f"perhaps {' or '.join(near)}" if near else f"one of {', '.join(choices)}"
