"""Commits that add no file: what the log says of a table changes, or which days it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from deltalake import DeltaTable

from jobs.publishing.batches import Watermark
from jobs.publishing.commits import (
    Change,
    CommitConflict,
    list_file_days,
    next_commit_time,
    record_earlier,
    swap,
)
from jobs.publishing.protocol import ATTEMPTS
from jobs.publishing.state import TableState, digest, read_state
from jobs.publishing.warehouse import Warehouse, find_contract
from segue.retry import retry


def rename_days(
    warehouse: Warehouse, table: str, seen: TableState, names: Mapping[date, str], metadata: Mapping[str, Any]
) -> None:
    """Says of days that they are made of what these names say.

    Args:
        seen: a day that was published since then is left as it is.
    """

    def rename(before: TableState) -> TableState:
        states = dict(before.day_states)
        for day, name in names.items():
            if day in states and states[day].fingerprint == seen.day_states[day].fingerprint:
                states[day] = replace(states[day], upstream=name)
        return replace(before, day_states=states)

    _commit_state(warehouse, table, "rename", rename, metadata)


def drop_empty_days(warehouse: Warehouse, table: str, metadata: Mapping[str, Any]) -> None:
    """Takes days without a row at either end out of the state: steps would go on from them."""
    _commit_state(warehouse, table, "retract", lambda before: before.retract({}), metadata)


def remove_days(
    warehouse: Warehouse,
    table: str,
    gone: Collection[date],
    again: Collection[date],
    metadata: Mapping[str, Any],
) -> TableState | None:
    """Takes days out, rows and all; those of `again`, which rest on them, are stale with the same commit."""

    def remove(before: TableState) -> TableState:
        return before.remove_days(gone, again)

    # as of what was retracted: who rests on the table's own days must not publish on top of it
    return _commit_state(warehouse, table, "retract", remove, metadata, gone)


def advance_watermark(
    warehouse: Warehouse, table: str, watermark: Watermark, metadata: Mapping[str, Any]
) -> TableState | None:
    """Says of a table how far its source is; None where that says nothing new, or there is no table yet."""
    return _commit_state(warehouse, table, "watermark", watermark.advance, metadata)


def _commit_state(
    warehouse: Warehouse,
    table: str,
    kind: str,
    revise: Callable[[TableState], TableState | None],
    metadata: Mapping[str, Any],
    gone: Collection[date] = (),
) -> TableState | None:
    """None where there is no table, or nothing to revise.

    Args:
        gone: days whose files the version no longer names.
    """

    def look_and_swap() -> TableState | None:
        opened = warehouse.table(table)
        before = read_state(opened) if opened else None
        after = revise(before) if before else None
        if opened is None or before is None or after is None or after == before:
            return None
        id_ = digest(kind, table, opened.version())
        removes = [path for path, day in list_file_days(opened) if day in gone] if gone else []
        if removes and find_contract(table).daily:
            after = _take_away(opened, before, after, gone)
        return swap(opened, Change(f"{id_}-0", kind, after, removes=removes, metadata=metadata))

    return retry(look_and_swap, CommitConflict, ATTEMPTS, wait_s=0)


def _take_away(
    table: DeltaTable, before: TableState, after: TableState, gone: Collection[date]
) -> TableState:
    """With what the days had in its record: labels of before saw them, and as published get them."""
    instant = next_commit_time(before)
    return replace(after, published_at=instant, earlier=record_earlier(table, before, [*gone], [], instant))
