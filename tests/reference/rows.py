"""What the oracles share: rows as dicts, the bucket of a key, and a comparison that says where to look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import xxhash

from schemas.common import BUCKETS

Row = dict[str, Any]
SHOWN = 3  # differing rows in one message: every row differs for the same few reasons


def bucket(key: str) -> int:
    unsigned = xxhash.xxh64_intdigest(key.encode(), seed=42)
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return signed % BUCKETS


def day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()


def same(expected: Any, got: Any) -> bool:
    """Doubles within 1e-9 of each other, relative; everything else exactly, types included."""
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(expected, float) and isinstance(got, float):
        return math.isclose(expected, got, rel_tol=1e-9) or (math.isnan(expected) and math.isnan(got))
    if isinstance(expected, datetime) or isinstance(got, datetime):
        return bool(expected == got)  # UTC by another zone object is the same instant
    return type(expected) is type(got) and expected == got


def assert_same(
    expected: Iterable[Row], got: Iterable[Row], key: Sequence[str], plays: Iterable[Row], entity: str
) -> None:
    """Fail with entity, day, column, expected and got of the first differing rows, and the entity's plays."""
    expected, got = list(expected), list(got)
    wanted, found = _keyed(expected, key), _keyed(got, key)
    complaints = [] if len(found) == len(got) else [({}, f"{len(got) - len(found)} rows repeat a key")]
    for k in sorted(wanted.keys() | found.keys(), key=str):
        row = wanted.get(k) or found[k]
        complaints += [(row, text) for text in _complaints(wanted.get(k), found.get(k))]
    if complaints:
        raise AssertionError(_message(complaints, key, list(plays), entity))


def _keyed(rows: list[Row], key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    return {tuple(row[column] for column in key): row for row in rows}


def _complaints(wanted: Row | None, found: Row | None) -> list[str]:
    if wanted is None or found is None:
        return ["row missing" if found is None else "row not expected"]
    absent = [f"column {column}: only on one side" for column in sorted(wanted.keys() ^ found.keys())]
    return absent + [
        f"column {column}: expected {wanted[column]!r}, got {found[column]!r}"
        for column in wanted
        if column in found and not same(wanted[column], found[column])
    ]


def _message(complaints: list[tuple[Row, str]], key: Sequence[str], plays: list[Row], entity: str) -> str:
    lines = [f"{len(complaints)} differences, the first:"]
    for row, text in complaints[:SHOWN]:
        lines.append(" ".join(f"{c}={row.get(c)}" for c in dict.fromkeys((entity, "ds", *key))) + f": {text}")
    for value in dict.fromkeys(row.get(entity) for row, _ in complaints[:SHOWN]):
        lines.append(f"plays of {entity}={value}:")
        heard = sorted((p for p in plays if p[entity] == value), key=lambda p: (p["played_at"], p["play_id"]))
        lines += [f"  {_shown(play)}" for play in heard[:40]]
    return "\n".join(lines)


def _shown(play: Row) -> str:
    return " ".join(f"{c}={str(v) if isinstance(v, date) else repr(v)}" for c, v in play.items())
