"""Reads what the site shows: logs, records, releases and what health measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from expectations.attempts import Attempt, Row, group_attempts
from expectations.site.facts import RootFacts, TableFacts
from jobs import NIGHTLY, TABLES
from jobs.graph import RELEASES
from jobs.health.alerts import load_alerts
from jobs.health.examine import UNREADABLE, examine
from jobs.health.indicators import sort_urgent_first
from jobs.health.root import Root
from jobs.owners import find_owner
from jobs.publishing.records import find_published_batches, name_versions, read_results_since
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import Warehouse
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
    states = _read_states(root.warehouse)
    window = choose_window(root.now.date(), days, states.values())
    attempts = read_attempts(root, datetime.combine(window[0], time(), UTC))
    by_table: dict[str, list[Attempt]] = {}
    for each in attempts:
        by_table.setdefault(each.table, []).append(each)
    names = sort_tables(states.keys() | by_table.keys())
    return RootFacts(
        title=title,
        made_at=root.now,
        window=window,
        tables=[_describe_table(name, states.get(name), by_table.get(name, [])) for name in names],
        releases=[describe_release(release) for release in root.inventory.releases],
        indicators=_describe_indicators(root, indicators),
    )


def choose_window(today: date, days: int, states: Iterable[TableState | None]) -> list[date]:
    """The last days, yesterday the newest, or today where some of it is published; of a root that ended longer ago
    than that, its last ones."""
    newest = max((state.days[-1] for state in states if state and state.days), default=today - DAY)
    last = min(max(newest, today - DAY), today) if newest > today - days * DAY else newest
    return [last - n * DAY for n in reversed(range(days))]


def read_attempts(root: Root, since: datetime) -> list[Attempt]:
    """Those audited from an instant on, the oldest first; "passed" says "published" where a log, or a release, does."""
    attempts = group_attempts(read_results_since(root.warehouse, since))
    passed = [each for each in attempts if each.outcome == "passed"]
    published = find_published_batches(root.warehouse, ((a.table, a.batch_id, a.checked_at) for a in passed))
    published |= {
        (RELEASES, name_versions({name: entry.version for name, entry in release.tables.items()}))
        for release in root.inventory.releases
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


def describe_release(release: Release) -> dict[str, Any]:
    """As reports show it."""
    return {
        "release_id": release.release_id,
        "released_at": release.released_at,
        "complete_through": release.complete_through,
        "rollback_of": release.rollback_of,
        "tables": {name: vars(version) for name, version in release.tables.items()},
    }


def _read_states(warehouse: Warehouse) -> dict[str, TableState | None]:
    """Of each table; None where it cannot be read, which health says."""
    states: dict[str, TableState | None] = {}
    for name in warehouse.list_tables():
        try:
            states[name] = warehouse.state(name)
        except UNREADABLE:
            states[name] = None
    return states


def _describe_table(name: str, state: TableState | None, attempts: Sequence[Attempt]) -> TableFacts:
    contract = CONTRACTS.get(name)
    parts = {day: part for day, part in state.day_states.items() if day} if state else {}
    return TableFacts(
        name=name,
        attempts=attempts,
        meaning=contract.meaning if contract else "",
        owner=find_owner(name),
        version=state.version if state else None,
        rows=state.rows if state else None,
        rows_by_day={day: part.rows for day, part in parts.items()},
        fingerprints={day: part.fingerprint for day, part in parts.items()},
        provisional=state.provisional_days if state else {},
        by_day=contract.by_day if contract else bool(parts),
        nightly=name in NIGHTLY,
    )


def _describe_indicators(root: Root, indicators: Iterable[Any]) -> list[Row]:
    since = {each.key: datetime.fromisoformat(each.since) for each in load_alerts(root.warehouse)}
    return [_describe_indicator(each, since) for each in indicators]


def _describe_indicator(indicator: Any, since: Mapping[str, datetime]) -> Row:
    more = {"page": indicator.page, "since": since.get(indicator.key), "owner": find_owner(indicator.subject)}
    return {**asdict(indicator), **more}
