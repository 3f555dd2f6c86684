"""Reads what the site shows: logs, records, releases and what health measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from deltalake import DeltaTable

from expectations.attempts import Attempt, Row, make_attempt
from expectations.site.facts import RootFacts, TableFacts
from jobs import NIGHTLY, TABLES
from jobs.graph import RELEASES
from jobs.health.alerts import load_alerts
from jobs.health.examine import examine, read_or
from jobs.health.indicators import sort_urgent_first
from jobs.health.root import Root
from jobs.owners import find_contact
from jobs.publishing.quarantine import read_quarantines
from jobs.publishing.records import find_published_batches, name_versions, read_attempts_since
from jobs.publishing.state import TableState, read_state
from jobs.publishing.warehouse import Warehouse
from jobs.report import describe_release
from schemas import CONTRACTS
from segue.releases import Release

DAY = timedelta(days=1)


def read_root(root: Root, days: int, title: str) -> RootFacts:
    """Everything of the last days.

    Raises:
        JobError: no table lies there.
    """
    # first, as it says what is wrong with the root as a whole
    indicators = sort_urgent_first(examine(root))
    warehouse, today = root.warehouse, root.now.date()
    opened = {name: read_or(None, warehouse.table, name) for name in warehouse.list_tables()}
    tables = {name: table for name, table in opened.items() if table}
    states = {name: read_or(None, read_state, table) for name, table in tables.items()}
    unreadable = {name for name in opened if states.get(name) is None}
    # of the tables that each night has rows of: a catalogue is read today, however long ago the plays ended
    newest = [state.days[-1] for name, state in states.items() if name in NIGHTLY and state and state.days]
    since = choose_window(today, days, newest)[0]
    # with what cannot be read an alert says so, and the pages show the rest
    releases: list[Release] = read_or([], lambda: root.inventory.releases)
    attempts: list[Attempt] = read_or([], read_attempts, warehouse, since, tables, releases)
    by_table: dict[str, list[Attempt]] = {}
    for each in attempts:
        by_table.setdefault(each.table, []).append(each)
    # days of which nothing is published yet are days, too
    newest += [each.last_ds for each in attempts if each.table in NIGHTLY and each.last_ds]
    names = sort_tables(opened.keys() | by_table.keys())
    return RootFacts(
        title=title,
        made_at=root.now,
        window=choose_window(today, days, newest),
        tables=[
            _describe_table(name, states.get(name), by_table.get(name, []), name in unreadable)
            for name in names
        ],
        releases=[describe_release(release) for release in releases],
        indicators=_describe_indicators(root, indicators),
    )


def choose_window(today: date, days: int, known: Iterable[date]) -> list[date]:
    """The last days, the oldest first: up to yesterday, or to today where it is among the `known` days; of a root that
    ended before all of them, up to its last."""
    newest = min(max(known, default=today - DAY), today)
    last = max(newest, today - DAY) if newest > today - days * DAY else newest
    return [last - n * DAY for n in reversed(range(days))]


def read_attempts(
    warehouse: Warehouse, since: date, tables: Mapping[str, DeltaTable], releases: Iterable[Release]
) -> list[Attempt]:
    """Those audited from a day on, the oldest first; "passed" says "published" where a log, or a release, does."""
    pairs = read_attempts_since(warehouse, datetime.combine(since, time(), UTC))
    quarantines = read_quarantines(warehouse, [about for about, _ in pairs])
    attempts = [make_attempt(about, rows, quarantines.get(about["attempt_id"])) for about, rows in pairs]
    passed = (each for each in attempts if each.outcome == "passed")
    published = find_published_batches(tables, ((a.table, a.batch_id, a.checked_at) for a in passed))
    published |= {
        (RELEASES, name_versions({name: entry.version for name, entry in release.tables.items()}))
        for release in releases
    }
    return [
        replace(each, outcome="published")
        if each.outcome == "passed" and (each.table, each.batch_id) in published
        else each
        for each in attempts
    ]


def sort_tables(names: Iterable[str]) -> list[str]:
    """In the order of the flow, then those that nothing makes any more; releases hold the others, and come last."""
    order = {name: place for place, name in enumerate(TABLES)}
    last = len(order)
    return sorted(names, key=lambda name: (name == RELEASES, order.get(name, last), name))


def _describe_table(
    name: str, state: TableState | None, attempts: Sequence[Attempt], unreadable: bool
) -> TableFacts:
    contract = CONTRACTS.get(name)
    parts = {day: part for day, part in state.day_states.items() if day} if state else {}
    return TableFacts(
        name=name,
        attempts=attempts,
        meaning=contract.meaning if contract else "",
        owner=find_contact(name),
        columns=contract.names if contract else (),
        version=state.version if state else None,
        rows=state.rows if state else None,
        rows_by_day={day: part.rows for day, part in parts.items()},
        fingerprints={day: part.fingerprint for day, part in parts.items()},
        provisional=state.provisional_days if state else {},
        by_day=contract.by_day if contract else bool(parts),
        nightly=name in NIGHTLY,
        unreadable=unreadable,
    )


def _describe_indicators(root: Root, indicators: Iterable[Any]) -> list[Row]:
    since = {each.key: datetime.fromisoformat(each.since) for each in load_alerts(root.warehouse)}
    return [_describe_indicator(each, since) for each in indicators]


def _describe_indicator(indicator: Any, since: Mapping[str, datetime]) -> Row:
    more = {
        "page": indicator.page,
        "since": since.get(indicator.key),
        "owner": find_contact(indicator.subject),
    }
    return {**asdict(indicator), **more}
