"""The entries of the catalogue: a table or a column as it is declared, with what a root holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.catalogue.inventory import Nulls, Published
from jobs.catalogue.lineage import ColumnInput

NOT_PUBLISHED, NOT_DECLARED = "not published yet", "no longer declared"
# Pairs of listener and track would fill too many rows a day.
MERGED = "merged from partials for the labels that ask; no table of its own"


@dataclass(frozen=True)
class Expectation:
    """A requirement, and what the newest audit came to (held, broken, warning, noted); None where there was none."""

    expectation: str
    column: str | None
    severity: str
    expected: str
    reason: str
    owner: str
    outcome: str | None = None
    observed: str | None = None


@dataclass(frozen=True)
class Computation:
    """Of a feature: its operation over a window, and the parts of `partials` that are merged for it."""

    operation: str
    window: str
    by: list[str]
    # SQL over a row of the group's source, by option
    sql: dict[str, str]
    # which plays are in any feature of the group
    group_where: str
    partials: str
    # meaning by name; empty where the plays themselves are read
    parts: dict[str, str]


@dataclass(frozen=True)
class ColumnEntry:
    """`note` says where declaration and table differ; `origins` are its inputs and what these are computed from."""

    table: str
    column: str
    meaning: str
    type: str
    unit: str
    nullable: bool
    default: Any
    owner: str
    note: str
    computation: Computation | None
    source_sql: str
    inputs: list[ColumnInput]
    origins: list[ColumnInput]
    used_by: list[str]
    expectations: list[Expectation]
    nulls: Nulls | None
    releases: list[str]
    training_sets: list[str]


@dataclass(frozen=True)
class TableEntry:
    """Without its columns, of which each has an entry of its own."""

    table: str
    meaning: str
    owner: str
    key: list[str]
    entity: str | None
    event_time: str | None
    made_by: str | None
    made_of: list[str]
    used_by: list[str]
    note: str
    # the table whose rows `published` is about: another one where features are merged for labels alone
    stored_in: str
    published: Published | None
    # days that a release may carry it behind the others
    max_lag_days: float | None
    # scheduled runs that a day after its newest was there for; None without a schedule, and where no day need have rows
    late_runs: int | None
    releases: list[str]
    training_sets: list[str]
