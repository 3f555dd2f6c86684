"""Facts of an entry in words, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from expectations.wording import format_number, format_percent
from jobs.catalogue.entries import ColumnEntry, Computation, TableEntry
from jobs.catalogue.inventory import Nulls, Published
from jobs.catalogue.lineage import VALUE, ColumnInput
from schemas.declarations import LIFETIME
from segue.show import format_cell

NONE = "-"
# Releases and uses of a busy column are hundreds; JSON has them all.
SHOWN = 8


def list_table_facts(entry: TableEntry) -> Iterator[tuple[str, str]]:
    """Name and value of each, in the order in which they are read."""
    yield "meaning", entry.meaning or NONE
    if entry.note:
        yield "note", entry.note
    yield "owner", entry.owner or NONE
    yield "key", ", ".join(entry.key) or NONE
    yield "made by", entry.made_by or NONE
    yield "made of", ", ".join(entry.made_of) or NONE
    yield "used by", ", ".join(entry.used_by) or NONE
    yield from _list_published_facts(entry)
    if entry.max_lag_days is not None:
        yield "may lag", f"{entry.max_lag_days:g} days behind the others of a release"
    yield "releases", format_some(entry.releases)
    yield "training sets", format_some(entry.training_sets)


def list_column_facts(entry: ColumnEntry) -> Iterator[tuple[str, str]]:
    """Those of a column alone; where it comes from and goes to is `list_lineage_facts`."""
    yield "meaning", entry.meaning or NONE
    if entry.note:
        yield "note", entry.note
    yield "type", f"{entry.type}, {describe_emptiness(entry)}"
    yield "unit", entry.unit or NONE
    if entry.computation:
        yield from _list_computation_facts(entry.computation)
    if entry.source_sql:
        yield "SQL", f"{entry.source_sql} of the source's files"
    yield "owner", entry.owner or NONE
    yield "nulls", format_nulls(entry.nulls)
    yield "releases", format_some(entry.releases)
    yield "training sets", format_some(entry.training_sets)


def list_lineage_facts(entry: ColumnEntry, table: TableEntry) -> Iterator[tuple[str, str]]:
    """Of a column, and when its table was published."""
    yield "made by", table.made_by or NONE
    for name, inputs in group_by_table(entry.origins).items():
        yield f"from {name}", ", ".join(map(format_input, inputs))
    yield "used by", format_some(entry.used_by)
    yield from _list_published_facts(table)
    if table.note:
        yield "table", table.note


def _list_published_facts(entry: TableEntry) -> Iterator[tuple[str, str]]:
    published = entry.published
    if published is None:
        yield "published", "nothing yet"
        return
    place = "" if entry.stored_in == entry.table else f" of {entry.stored_in}"
    rows = "" if published.rows is None else f"{published.rows:,} rows{place}, "
    yield "published", f"{rows}version {published.version}"
    if published.last_day and published.first_day:
        yield "days", f"{published.days:,}, {format_days(published.first_day, published.last_day)}"
    yield "freshness", format_freshness(published)
    if entry.late_runs:
        plural, running = ("s", "") if entry.late_runs > 1 else ("", ", unless it is still running")
        yield "late", f"by {entry.late_runs:,} scheduled run{plural}{running}"


def format_freshness(published: Published) -> str:
    words = []
    if published.age_days is not None:
        plural = "" if published.age_days == 1 else "s"
        words.append(f"newest day {published.last_day}, over for {published.age_days:,} day{plural}")
    if published.available_at is not None:
        words.append(f"available at {format_cell(published.available_at)}")
    if published.complete_through is not None:
        words.append(f"complete through {format_cell(published.complete_through)}")
    return "; ".join(words) or NONE


def format_days(first: date | None, last: date | None) -> str:
    return NONE if first is None else str(first) if first == last else f"{first} to {last}"


def format_nulls(nulls: Nulls | None) -> str:
    if nulls is None:
        return "not counted by any audit on record"
    if not nulls.rows:
        return "no rows"
    share = f" ({format_percent(nulls.nulls / nulls.rows)})" if nulls.nulls else ""
    days = "" if nulls.first_day is None else f", of {format_days(nulls.first_day, nulls.last_day)}"
    return f"{format_number(nulls.nulls)} of {format_number(nulls.rows)} rows{share}, as last audited{days}"


def describe_emptiness(entry: ColumnEntry) -> str:
    """Whether it can be null, and what it is where there is no row."""
    nullable = "can be null" if entry.nullable else "never null"
    return nullable if entry.default is None else f"{nullable}; {entry.default} where there is no row"


def group_by_table(inputs: Iterable[ColumnInput]) -> dict[str, list[ColumnInput]]:
    by_table: dict[str, list[ColumnInput]] = {}
    for each in inputs:
        by_table.setdefault(each.table, []).append(each)
    return by_table


def format_input(each: ColumnInput) -> str:
    return each.column if each.use == VALUE else f"{each.column} ({each.use})"


def format_some(names: list[str]) -> str:
    """The first few, and how many more there are."""
    rest = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or NONE) + rest


def format_sql(computation: Computation) -> str:
    """As one line that is nearly SQL."""
    sql = computation.sql
    value = f"{sql.get('input', '')} / {sql['per']}" if "per" in sql else sql.get("input", "")
    filters = [each for each in (sql.get("where", "true"), computation.group_where) if each != "true"]
    where = f" where {' and '.join(f'({each})' for each in filters)}" if filters else ""
    return f"{computation.operation}({value}){where} group by {', '.join(computation.by)}"


def _list_computation_facts(computation: Computation) -> Iterator[tuple[str, str]]:
    yield "window", format_window(computation)
    yield "SQL", format_sql(computation)
    parts = ", ".join(computation.parts)
    yield "parts", f"{parts} of {computation.partials}" if parts else "none: counted from the plays"


def format_window(computation: Computation) -> str:
    if computation.window == LIFETIME:
        return "all plays before feature_at"
    days = f"{computation.window.removesuffix('d')} days"
    if computation.operation == "decayed":
        return f"all plays before feature_at, halved every {days}"
    return f"{days} before feature_at"
