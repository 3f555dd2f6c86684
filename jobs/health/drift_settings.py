"""What [drift] of segue.toml says: with what a day is compared, and what may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from expectations.column_drift import Limits
from jobs import NIGHTLY, TABLES
from jobs.errors import WrongUsage
from schemas import CONTRACTS, EVENT_TABLES, FEATURE_GROUPS
from segue.errors import UsageError
from segue.project import Project, find_project
from segue.project_file import DRIFT, REFERENCE, ROWS, find_line
from segue.settings import parse_release_day

# What rows may be off those of their weekday, where four of its deviations are less: half a delivery is beyond it, and
# a holiday of people is not. Tables of what entities were on a day have windows, which one day moves by less.
EVENT_ROWS_OFF, DAILY_ROWS_OFF = 0.35, 0.1
# Where no reference is set: far enough for what creeps, and of the same weekday; it moves, so that growth, a new
# catalogue or another season is not wrong for good.
REFERENCE_AGE = timedelta(weeks=4)


@dataclass(frozen=True)
class DriftSettings:
    """`tables` as the file has them."""

    reference: date | None = None
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def find_reference(self, day: date) -> date:
        """The day that `day` is compared with: of the weekday of `day`, at the reference or in the week up to it."""
        if self.reference is None:
            return day - REFERENCE_AGE
        return self.reference - timedelta(days=(self.reference - day).days % 7)

    def limits(self, table: str, column: str) -> Limits:
        return Limits(**self.tables.get(table, {}).get(column, {}))

    def rows_off(self, table: str) -> float:
        default = DAILY_ROWS_OFF if CONTRACTS[table].daily else EVENT_ROWS_OFF
        return float(self.tables.get(table, {}).get(ROWS, default))


def list_compared_tables() -> list[str]:
    """Tables that have rows of every day, as weekdays have them: no records, and no tiles of days."""
    tiles = {group.partials_table for group in FEATURE_GROUPS}
    every_day = NIGHTLY | {table.name for table in EVENT_TABLES}
    return [table for table in TABLES if table in every_day - tiles and CONTRACTS[table].by_day]


def load_drift_settings() -> DriftSettings:
    """Raises WrongUsage where it names tables or columns that there are not; a line for each."""
    project = find_project()
    if problems := list(_find_unknown(project)):
        raise WrongUsage("\n".join(problems))
    values = dict(project.drift)
    text = values.pop(REFERENCE, None)
    return DriftSettings(parse_release_day(text) if text else None, values)


def _find_unknown(project: Project) -> Iterator[str]:
    # there is a file, as no variable holds limits
    text = project.path.read_text(encoding="utf-8") if project.drift and project.path else ""

    def describe(section: str, what: str, name: str, known: Any) -> str:
        line = find_line(text, section, name) or find_line(text, DRIFT, name) or 1
        return str(UsageError.unknown(f"{project.path}:{line}: [{section}] {what}", name, known))

    for table, columns in project.drift.items():
        if table == REFERENCE:
            continue
        if table not in (known := list_compared_tables()):
            yield describe(DRIFT, "table", table, known)
            continue
        for column, limits in columns.items():
            if isinstance(limits, Mapping) and column not in CONTRACTS[table].names:
                yield describe(f"{DRIFT}.{table}", "column", column, CONTRACTS[table].names)
