"""Window features from the table in `schemas.declarations`: every value from all plays, each time anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from typing import Any

from reference.rows import Row, bucket
from schemas.declarations import LIFETIME, Feature, FeatureGroup, days

DAY = timedelta(days=1)
COLUMNS = (
    *("play_id", "user_id", "track_id", "artist_id", "session_id", "played_at"),
    *("ms_played", "completion", "skipped", "saved", "is_bot"),
)
# SQL over a row of `sessions` -> the same in Python
EXPRESSIONS: dict[str, Callable[[Row], Any]] = {
    "true": lambda row: True,
    "not is_bot": lambda row: not row["is_bot"],
    "position = 1": lambda row: row["position"] == 1,
    **{column: itemgetter(column) for column in COLUMNS},
}


class UnknownExpressionError(ValueError):
    """An expression that has no Python twin in EXPRESSIONS."""


def expression(sql: str) -> Callable[[Row], Any]:
    if sql not in EXPRESSIONS:
        raise UnknownExpressionError(f"no Python twin for {sql!r}; known: {', '.join(EXPRESSIONS)}")
    return EXPRESSIONS[sql]


def window_features(sessions: Iterable[Row], group: FeatureGroup, over: Sequence[date]) -> list[Row]:
    """Rows of the group's table but `available_at`, one per entity heard before midnight after ds."""
    where = expression(group.where)
    kept = [play for play in sessions if where(play)]
    rows: list[Row] = []
    for ds in over:
        t = datetime.combine(ds, time(), UTC) + DAY
        for entity in sorted({play[group.entity] for play in kept if play["played_at"] < t}):
            plays = [play for play in kept if play[group.entity] == entity]
            row = {group.entity: entity, "feature_at": t, "bucket": bucket(entity), "ds": ds}
            for feature in group.features:
                for window in feature.windows:
                    row[feature.name(window)] = value(plays, feature, window, t)
            rows.append(row)
    return rows


def value(plays: list[Row], feature: Feature, window: str, t: datetime) -> Any:
    w = None if window == LIFETIME else days(window) * DAY
    read = expression(feature.input)

    def between(start: datetime | None, end: datetime) -> list[Any]:
        chosen = [p for p in plays if p["played_at"] < end and (start is None or start <= p["played_at"])]
        return [read(play) for play in chosen if read(play) is not None]

    if feature.op == "trend":
        return math.log2((len(between(t - w, t)) + 1) / (len(between(t - 2 * w, t - w)) + 1))
    if feature.op == "decayed":
        return math.fsum(2.0 ** -((t - played_at) / w) for played_at in between(None, t))
    if feature.op == "days_since_first":
        return (t - min(between(None, t))) / DAY
    if feature.op == "days_since_last":
        return (t - max(between(None, t))) / DAY
    return OF_VALUES[feature.op](between(t - w, t))


def _mean(values: list[Any]) -> float | None:
    return sum(values) / len(values) if values else None


def _hours(instants: list[datetime]) -> list[float]:
    of_day = [instant.astimezone(UTC).hour for instant in instants]
    return [of_day.count(hour) / len(of_day) if of_day else 0.0 for hour in range(24)]


OF_VALUES: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "sum": sum,
    "mean": _mean,
    "rate": _mean,
    "distinct": lambda values: len(set(values)),
    "hours": _hours,
}
