"""What the oracles share: rows as dicts, the bucket of a key, and a comparison that says where to look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import xxhash

from schemas import Contract
from schemas.common import BUCKETS

Row = dict[str, Any]
SHOWN = 3  # differing rows in one message: every row differs for the same few reasons


def bucket(key: str) -> int:
    unsigned = xxhash.xxh64_intdigest(key.encode(), seed=42)
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return signed % BUCKETS


def complete_rows(rows: Iterable[Row], contract: Contract) -> list[Row]:
    """What a row lacks is null; `bucket` follows from the entity."""
    records = [{name: row.get(name) for name in contract.names} for row in rows]
    for record in records if contract.buckets else ():
        record["bucket"] = bucket(record[contract.entity])
    return records


def day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()


def midnight_after(ds: date) -> datetime:
    return datetime.combine(ds, time(), UTC) + timedelta(days=1)


def same(expected: Any, actual: Any) -> bool:
    """Doubles within 1e-9 of each other, relative; everything else exactly, types included."""
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=1e-9) or (math.isnan(expected) and math.isnan(actual))
    if isinstance(expected, datetime) or isinstance(actual, datetime):
        return bool(expected == actual)  # UTC by another zone object is the same instant
    return type(expected) is type(actual) and expected == actual


def assert_same(
    expected: Iterable[Row], actual: Iterable[Row], key: Sequence[str], plays: Iterable[Row], entity: str
) -> None:
    """Fail with entity, day, column, expected and got of the first differing rows, and the entity's plays."""
    expected, actual = list(expected), list(actual)
    expected_by_key, actual_by_key = _index_by_key(expected, key), _index_by_key(actual, key)
    differences = (
        []
        if len(actual_by_key) == len(actual)
        else [({}, f"{len(actual) - len(actual_by_key)} rows repeat a key")]
    )
    for k in sorted(expected_by_key.keys() | actual_by_key.keys(), key=str):
        row = expected_by_key.get(k) or actual_by_key[k]
        differences += [
            (row, text) for text in _list_differences(expected_by_key.get(k), actual_by_key.get(k))
        ]
    if differences:
        raise AssertionError(_format_message(differences, key, list(plays), entity))


def _index_by_key(rows: list[Row], key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    return {tuple(row[column] for column in key): row for row in rows}


def _list_differences(expected: Row | None, actual: Row | None) -> list[str]:
    if expected is None or actual is None:
        return ["row missing" if actual is None else "row not expected"]
    one_sided = [f"column {column}: only on one side" for column in sorted(expected.keys() ^ actual.keys())]
    return one_sided + [
        f"column {column}: expected {expected[column]!r}, got {actual[column]!r}"
        for column in expected
        if column in actual and not same(expected[column], actual[column])
    ]


def _format_message(
    differences: list[tuple[Row, str]], key: Sequence[str], plays: list[Row], entity: str
) -> str:
    lines = [f"{len(differences)} differences, the first:"]
    for row, text in differences[:SHOWN]:
        lines.append(" ".join(f"{c}={row.get(c)}" for c in dict.fromkeys((entity, "ds", *key))) + f": {text}")
    for value in dict.fromkeys(row.get(entity) for row, _ in differences[:SHOWN]):
        lines.append(f"plays of {entity}={value}:")
        entity_plays = sorted(
            (p for p in plays if p[entity] == value), key=lambda p: (p["played_at"], p["play_id"])
        )
        lines += [f"  {_format_play(play)}" for play in entity_plays[:40]]
    return "\n".join(lines)


def _format_play(play: Row) -> str:
    return " ".join(f"{c}={str(v) if isinstance(v, date) else repr(v)}" for c, v in play.items())
