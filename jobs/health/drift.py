"""Whether the newest day of each table is like the days before: volume, values, nulls, and what trainings measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date

from expectations.column_drift import Finding
from expectations.column_profiles import ColumnProfile
from jobs import FLOW, TABLES
from jobs.graph import downstream
from jobs.health.drift_settings import DriftSettings, list_compared_tables
from jobs.health.history import DAY, TableHistory, list_compared_days
from jobs.health.indicators import FINE, NOTE, WRONG, Indicator
from jobs.health.judgement import Verdict, can_judge_columns, judge_table
from jobs.health.root import Root
from jobs.health.trainings import judge_trainings
from jobs.publishing.profiles import read_profiles
from jobs.volume import SPREAD_DAYS, WEEKS
from segue.show import cut

# Of one table one of these is an alert, the first: the others mostly follow from it.
KINDS = ("volume", "frozen", "nulls", "drift")
# So many days have to be there for a month of days with four weekdays each.
VOLUME_DAYS = SPREAD_DAYS + 7 * WEEKS
# Columns that are named; all of them are in the state.
MOST_COLUMNS = 3
LONGEST_FINDING = 200
# Of a table of listeners, how many different ones.
LISTENERS = "user_id"
# The profile of a day counts rows that were retracted since. One that differs by more is of another day than readers
# have, and is not compared; erased listeners are fewer.
MOST_GONE = 0.1
PROFILE_FIELDS = [each.name for each in fields(ColumnProfile)]


def check_drift(root: Root) -> Iterator[Indicator]:
    histories = read_histories(root)
    verdicts = {each.table: judge_table(each, root.drift) for each in histories}
    for table, findings in judge_trainings(root).items():
        before = verdicts.get(table, Verdict())
        verdicts[table] = Verdict((*before.news, *findings), before.changes)
    days = {each.table: each.day for each in histories}
    yield from describe_verdicts(root, days, verdicts)
    yield from describe_comparisons(histories, root.drift)


# --- what is read


def read_histories(root: Root) -> list[TableHistory]:
    """Of every table that has a day to be judged, causes before what follows from them."""
    states = {table: root.warehouse.state(table) for table in list_compared_tables()}
    days: dict[str, date] = {}
    rows: dict[str, dict[date, int]] = {}
    for table, state in states.items():
        complete = [day for day in state.days if day not in state.provisional_days] if state else []
        if state and complete:
            days[table] = complete[-1]
            rows[table] = {day: state.day_states[day].rows for day in state.days}
    profiles = _read_columns(root, days, rows)
    with_listeners = [table for table, day in days.items() if (day, LISTENERS) in profiles[table]]
    listeners = _read_listeners(root, with_listeners, min(days.values(), default=root.now.date()))
    return [
        TableHistory(table, day, rows[table], profiles[table], listeners[table])
        for table, day in days.items()
    ]


def _read_columns(
    root: Root, days: Mapping[str, date], rows: Mapping[str, Mapping[date, int]]
) -> dict[str, dict[tuple[date, str], ColumnProfile]]:
    wanted = {table: list_compared_days(day, root.drift) for table, day in days.items()}
    found: dict[str, dict[tuple[date, str], ColumnProfile]] = defaultdict(dict)
    every_day = set[date]().union(*wanted.values())
    for row in read_profiles(root.warehouse, tables=list(days), days=every_day, fields=PROFILE_FIELDS):
        table, day = row["table_name"], row["ds"]
        count = rows[table].get(day, 0) if day in wanted[table] else 0
        if count and abs(row["rows"] - count) <= MOST_GONE * count:
            found[table][day, row["column"]] = ColumnProfile.from_row(row)
    return found


def _read_listeners(root: Root, tables: Sequence[str], day: date) -> dict[str, dict[date, int]]:
    """How many listeners each day up to `day` had, and later ones."""
    counts: dict[str, dict[date, int]] = defaultdict(dict)
    first, names = day - VOLUME_DAYS * DAY, ["distinct_values"]
    for row in (
        read_profiles(root.warehouse, tables, first, columns=[LISTENERS], fields=names) if tables else ()
    ):
        if row["distinct_values"]:
            counts[row["table_name"]][row["ds"]] = row["distinct_values"]
    return counts


# --- what is said


def describe_verdicts(
    root: Root, days: Mapping[str, date], verdicts: Mapping[str, Verdict]
) -> Iterator[Indicator]:
    """An alert for each table with news that does not follow from other news; all else are notes."""
    spoiled = {table for table, verdict in verdicts.items() if verdict.news}
    for table, verdict in verdicts.items():
        kinds = [kind for kind in KINDS if any(each.kind == kind for each in verdict.news)]
        cause = next((each for each in list_causes(table) if each in spoiled), None) if kinds else None
        for kind in kinds:
            found = [each for each in verdict.news if each.kind == kind]
            if cause or kind != kinds[0]:
                why = f"follows from {cause}" if cause else f"beside its alert of {kinds[0]}"
                yield _describe(root, table, days.get(table), found, NOTE, f"; {why}")
            else:
                yield _describe(root, table, days.get(table), found, WRONG)
        if "drift" not in kinds and verdict.changes:
            more = "; over weeks, so that it is no alert"
            yield _describe(root, table, days.get(table), verdict.changes, NOTE, more, "drift")


def list_causes(table: str) -> list[str]:
    """What the rows of a table are made of, in order: tables that it needs, and those made before it in its step."""
    (makes,) = [step.makes for step in FLOW if table in step.makes]
    siblings = makes[: makes.index(table)]
    return [each for each in TABLES if each in siblings or table in downstream(FLOW, each)]


def _describe(
    root: Root,
    table: str,
    day: date | None,
    findings: Sequence[Finding],
    status: str,
    more: str = "",
    kind: str = "",
) -> Indicator:
    """One indicator of one or more findings of a kind, the furthest first."""
    by_column: dict[str, Finding] = {}
    for each in sorted(findings, key=lambda each: each.bound - each.value):
        by_column.setdefault(each.column, each)
    first, *others = by_column.values()
    parts = [cut(each.what, LONGEST_FINDING) for each in (first, *others[: MOST_COLUMNS - 1])]
    left = len(by_column) - len(parts)
    what = "; ".join([*parts, *([f"and {left} more columns"] if left else [])])
    return Indicator(
        kind or first.kind,
        table,
        status,
        f"{f'{day}: ' if day else ''}{what}{more}",
        root.command(f"describe {table}") if status == WRONG else "",
        first.value,
        first.bound,
        first.unit,
        " ".join(sorted(by_column)) if status == WRONG else "",
    )


def describe_comparisons(histories: Sequence[TableHistory], settings: DriftSettings) -> Iterator[Indicator]:
    """How many tables were compared at all; and where profiles of the newest day, or of a reference that was set, are
    missing."""
    compared = [each for each in histories if can_judge_columns(each, settings)]
    what = f"{len(compared)} of {len(histories)} tables have profiles of days to be compared with"
    yield Indicator("drift", "tables", FINE, what, "", len(compared), len(histories), "tables")
    missing = [each.table for each in histories if each.profiles and not each.columns]
    if missing:
        what = f"the newest day has no profile of its rows, and was not compared: {', '.join(missing)}"
        yield Indicator("drift", "newest day", NOTE, what, "", len(missing), 0, "tables")
    if settings.reference is None or not compared:
        return
    without = [
        each.table
        for each in compared
        if settings.find_reference(each.day) not in {day for day, _ in each.profiles}
    ]
    if without:
        what = f"reference {settings.reference} is set, and {len(without)} tables have no profile of its week"
        yield Indicator("drift", "reference", NOTE, what, "", len(without), 0, "tables")
