"""Columns of declared features in tables that are published: new ones, deprecated ones, and those that nothing declares
any more, which a table keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from deltalake import CommitProperties, DeltaTable, Schema

from jobs.publishing.state import TableState, read_state
from schemas import Column, Contract
from segue.storage import DEPRECATED, IDLE, REMOVED

# Stored in the table for clients, who know no declarations.
NOT_DECLARED = "it is declared no more, and null on days published since"


def schema_of(contract: Contract) -> Schema:
    # Spark's JSON of a schema is the Delta log's, so the types are written once, in the contract
    return Schema.from_json(contract.struct().json())


def describe_change(table: DeltaTable) -> CommitProperties:
    """Of a commit that changes columns and no rows."""
    # with the state, so that who asks for it opens one entry and not two
    metadata = {"userMetadata": json.dumps({"kind": "widen", "state": read_state(table).dumps()})}
    return CommitProperties(custom_metadata=metadata, max_commit_retries=0)


def mark_columns(table: DeltaTable, contract: Contract) -> None:
    """Says in the table which of its columns are deprecated or declared no more, and lets those be null."""
    declared = {column.name: column for column in contract.columns}
    for field in table.schema().fields:
        column = declared.get(field.name)
        if not field.nullable and (column is None or column.nullable):
            # or engines would read what is not there as a value
            table.alter.drop_column_not_null(field.name, commit_properties=describe_change(table))
        wanted = {
            DEPRECATED.decode(): column.deprecated if column else "",
            REMOVED.decode(): "" if column else NOT_DECLARED,
            # for good: until days are made again that have no rows of idle entities, readers need it
            **({IDLE.decode(): column.idle} if column and column.idle else {}),
        }
        # a mark cannot be taken away, so one that no longer holds is empty
        changed = {
            name: text for name, text in wanted.items() if (field.metadata or {}).get(name, "") != text
        }
        if changed:
            table.alter.set_column_metadata(field.name, changed, commit_properties=describe_change(table))


def add_kept_columns(contract: Contract, table: DeltaTable) -> Contract:
    """The contract with the columns that a table keeps though nothing declares them."""
    if not contract.declared:
        return contract
    columns, before = {column.name: column for column in contract.columns}, ""
    for name, type_ in _read_types(table).items():
        if name not in columns:
            # after the one that it followed when it was declared: a content hash has an order
            place = list(columns).index(before) + 1 if before else 0
            items = list(columns.items())
            columns = dict([*items[:place], (name, Column(name, type_, NOT_DECLARED)), *items[place:]])
        before = name
    return replace(contract, columns=tuple(columns.values()))


def contracts_of_days(
    contract: Contract, table: DeltaTable, state: TableState
) -> Iterator[tuple[Contract, list[date | None] | None]]:
    """Contracts by which the content hashes of days were made, with the days of each; None for all there are."""
    columns = {column.name: column for column in add_kept_columns(contract, table).columns}
    # without columns that the table has yet to get; one that it got later changes no older hash
    stored = [name for name in columns if name in _read_types(table)]
    days: dict[tuple[str, ...], list[date | None]] = {}
    for day in state.day_states:
        days.setdefault(tuple(state.declared_columns(day)), []).append(day)
    for declared, of_day in (days or {(): []}).items():
        ordered = tuple(columns[name] for name in declared or stored if name in columns)
        yield replace(contract, columns=ordered), of_day if len(days) > 1 else None


def _read_types(table: DeltaTable) -> dict[str, str]:
    """Every column of a version with its type, as contracts write it."""
    from pyspark.sql.types import StructType

    schema = StructType.fromJson(json.loads(table.schema().to_json()))
    return {field.name: field.dataType.simpleString() for field in schema}
