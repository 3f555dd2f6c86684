"""Rows of a feature group from its declaration: who has one, and every value from all plays, each time anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

from features.windows import definitions
from reference.rows import Row, bucket, midnight_after
from schemas.declarations import Feature, FeatureGroup
from schemas.sessions import SESSIONS

Entity = tuple[str, ...]
Expression = Callable[[Row], Any]


def null_safe(read: Expression, convert: Callable[[Any], Any]) -> Expression:
    """As in SQL: of null comes null."""
    return lambda row: None if read(row) is None else convert(read(row))


# SQL over a row of `sessions` -> the same in Python
EXPRESSIONS: dict[str, Expression] = {
    **{column: itemgetter(column) for column in SESSIONS.names},
    "true": lambda row: True,
    "not is_bot": lambda row: not row["is_bot"],
    "position = 1": lambda row: row["position"] == 1,
    "position * 10": lambda row: row["position"] * 10,
    "ms_played - 30000": null_safe(itemgetter("ms_played"), lambda ms: ms - 30_000),
    "ms_played > 30000": null_safe(itemgetter("ms_played"), lambda ms: ms > 30_000),
    "completion - 0.5d": null_safe(itemgetter("completion"), lambda share: share - 0.5),
    "completion >= 0.5": null_safe(itemgetter("completion"), lambda share: share >= 0.5),
}
# A play counts in a ratio where both of its inputs are known.
WHERE_BOTH = re.compile(r"if\((.+) is null, null, (.+)\)")


class UnknownExpressionError(ValueError):
    """An expression that has no Python twin in EXPRESSIONS."""


def expression(sql: str, columns: Sequence[str] = ()) -> Expression:
    """Over a row of `sessions`, or of another table that has these columns."""
    if both := WHERE_BOTH.fullmatch(sql):
        other, read = (expression(each, columns) for each in both.groups())
        return lambda row: None if other(row) is None else read(row)
    if sql not in EXPRESSIONS and sql in columns:
        return itemgetter(sql)
    if sql not in EXPRESSIONS:
        raise UnknownExpressionError(f"no Python twin for {sql!r}; known: {', '.join(EXPRESSIONS)}")
    return EXPRESSIONS[sql]


def window_features(sessions: Iterable[Row], group: FeatureGroup, days: Sequence[date]) -> list[Row]:
    """Rows of the group's table but `available_at`, one per entity and day from its first play on."""
    instant = group.events.event_time
    histories = [
        (entity, min(play[instant] for play in plays), [(f, read_inputs(plays, f)) for f in group.features])
        for entity, plays in by_entity(sessions, group).items()
    ]
    return [
        key_columns(entity, ds, group) | {"feature_at": t} | dict(values(inputs_by_feature, t))
        for ds, t in ((ds, midnight_after(ds)) for ds in days)
        for entity, first, inputs_by_feature in histories
        if first < t
    ]


def by_entity(sessions: Iterable[Row], group: FeatureGroup) -> dict[Entity, list[Row]]:
    """Plays that the group counts, by keys; a play with a key missing is nobody's."""
    plays_by_entity: dict[Entity, list[Row]] = {}
    for play in sessions:
        entity = tuple(play[key] for key in group.keys)
        if None not in entity and expression(group.where, group.row.names)(play) is True:
            plays_by_entity.setdefault(entity, []).append(play)
    return plays_by_entity


def key_columns(entity: Entity, ds: date, group: FeatureGroup) -> Row:
    return {**dict(zip(group.keys, entity, strict=True)), "bucket": bucket(entity[0]), "ds": ds}


def values(
    inputs_by_feature: Iterable[tuple[Feature, list[definitions.Play]]], t: datetime
) -> Iterator[tuple[str, Any]]:
    for feature, plays in inputs_by_feature:
        for window in feature.windows:
            yield feature.name(window), definitions.value(plays, feature, window, t)


def value(plays: Iterable[Row], feature: Feature, window: str, t: datetime) -> Any:
    """As `features.windows.definitions` says."""
    return definitions.value(read_inputs(plays, feature), feature, window, t)


def read_inputs(plays: Iterable[Row], feature: Feature) -> list[definitions.Play]:
    """Of each play what the definition asks for: the twins of the SQL are here, where no SQL is run."""
    needed, row = definitions.inputs(feature), feature.row
    read = {sql: expression(sql, row.names) for sql in needed}
    return [
        definitions.Play(p[row.event_time], p[row.key[0]], {sql: read[sql](p) for sql in needed})
        for p in plays
    ]


def order(play: Row) -> tuple[datetime, bytes]:
    return play["played_at"], play["play_id"].encode()


def snap_to_expected(
    expected: list[Row], actual: list[Row], key: Sequence[str], tolerance: float = 4e-12
) -> list[Row]:
    """`actual`, with doubles and decimals no farther than `tolerance` from what is wanted put as that.

    Rounding to 12 decimals is far from relative where a value is near 0.
    """
    by_key = {tuple(row[name] for name in key): row for row in expected}
    row_pairs = ((row, by_key.get(tuple(row[name] for name in key), {})) for row in actual)
    return [
        {n: of[n] if n in of and is_near(of[n], v, tolerance) else v for n, v in row.items()}
        for row, of in row_pairs
    ]


def is_near(expected: Any, actual: Any, tolerance: float) -> bool:
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return all(is_near(each, other, tolerance) for each, other in zip(expected, actual, strict=True))
    both_real = type(expected) is type(actual) and isinstance(expected, float | Decimal)
    return bool(abs(expected - actual) <= tolerance) if both_real else False
