"""Window features from the table in `schemas.operations`: every value from all plays, each time anew."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from operator import itemgetter
from typing import Any

from reference.rows import Row, bucket, day
from schemas.declarations import LIFETIME, Feature, FeatureGroup, days
from schemas.sessions import SESSIONS

DAY = timedelta(days=1)
Entity = tuple[str, ...]
Expression = Callable[[Row], Any]


def of_known(read: Expression, made: Callable[[Any], Any]) -> Expression:
    """As in SQL: of null comes null."""
    return lambda row: None if read(row) is None else made(read(row))


# SQL over a row of `sessions` -> the same in Python
EXPRESSIONS: dict[str, Expression] = {
    **{column: itemgetter(column) for column in SESSIONS.names},
    "true": lambda row: True,
    "not is_bot": lambda row: not row["is_bot"],
    "position = 1": lambda row: row["position"] == 1,
    "position * 10": lambda row: row["position"] * 10,
    "ms_played - 30000": of_known(itemgetter("ms_played"), lambda ms: ms - 30_000),
    "ms_played > 30000": of_known(itemgetter("ms_played"), lambda ms: ms > 30_000),
    "completion - 0.5d": of_known(itemgetter("completion"), lambda share: share - 0.5),
    "completion >= 0.5": of_known(itemgetter("completion"), lambda share: share >= 0.5),
}
# A play counts in a ratio where both of its inputs are known.
WHERE_BOTH = re.compile(r"if\((.+) is null, null, (.+)\)")


class UnknownExpressionError(ValueError):
    """An expression that has no Python twin in EXPRESSIONS."""


def expression(sql: str) -> Expression:
    if both := WHERE_BOTH.fullmatch(sql):
        other, read = map(expression, both.groups())
        return lambda row: None if other(row) is None else read(row)
    if sql not in EXPRESSIONS:
        raise UnknownExpressionError(f"no Python twin for {sql!r}; known: {', '.join(EXPRESSIONS)}")
    return EXPRESSIONS[sql]


def window_features(sessions: Iterable[Row], group: FeatureGroup, over: Sequence[date]) -> list[Row]:
    """Rows of the group's table but `available_at`, one per entity and day, as `has_row` says."""
    heard = by_entity(sessions, group)
    rows: list[Row] = []
    for ds in over:
        t = midnight_after(ds)
        for entity, plays in heard.items():
            if has_row(plays, group, t):
                rows.append(framed(entity, ds, group) | {"feature_at": t} | dict(values(plays, group, t)))
    return rows


def by_entity(sessions: Iterable[Row], group: FeatureGroup) -> dict[Entity, list[Row]]:
    """Plays that the group counts, by keys; a play with a key missing is nobody's."""
    found: dict[Entity, list[Row]] = {}
    for play in sessions:
        entity = tuple(play[key] for key in group.keys)
        if None not in entity and expression(group.where)(play) is True:
            found.setdefault(entity, []).append(play)
    return found


def has_row(plays: list[Row], group: FeatureGroup, t: datetime) -> bool:
    start = None if group.keep == LIFETIME else t - days(group.keep) * DAY
    return any(play["played_at"] < t and (start is None or start <= play["played_at"]) for play in plays)


def framed(entity: Entity, ds: date, group: FeatureGroup) -> Row:
    return {**dict(zip(group.keys, entity, strict=True)), "bucket": bucket(entity[0]), "ds": ds}


def midnight_after(ds: date) -> datetime:
    return datetime.combine(ds, time(), UTC) + DAY


def values(plays: list[Row], group: FeatureGroup, t: datetime) -> Iterator[tuple[str, Any]]:
    for feature in group.features:
        for window in feature.windows:
            yield feature.name(window), value(plays, feature, window, t)


@dataclass(frozen=True)
class Asked:
    """One value that is wanted, and the plays that it is made of, oldest first."""

    feature: Feature
    t: datetime
    w: timedelta
    plays: list[Row]

    @property
    def values(self) -> list[Any]:
        return [expression(self.feature.input)(play) for play in self.plays]


def value(plays: Iterable[Row], feature: Feature, window: str, t: datetime) -> Any:
    w = timedelta.max if window == LIFETIME else days(window) * DAY
    back = {"decayed": timedelta.max, "trend": 2 * w if w < timedelta.max else w}.get(feature.op, w)
    inside = [
        p for p in plays if p["played_at"] < t and t - p["played_at"] <= back and is_counted(p, feature)
    ]
    found = OPERATIONS[feature.op](Asked(feature, t, w, sorted(inside, key=order)))
    default = list(feature.default) if isinstance(feature.default, tuple) else feature.default
    return default if found is None else found


def is_counted(play: Row, feature: Feature) -> bool:
    """Whether the filter lets it through, and what is asked of it is known."""
    needed = (feature.input, feature.per) if feature.per else (feature.input,)
    return expression(feature.where)(play) is True and all(expression(of)(play) is not None for of in needed)


def order(play: Row) -> tuple[datetime, bytes]:
    return play["played_at"], play["play_id"].encode()


def text(known: Any) -> str:
    """A string, an integer or a truth as Spark writes it; the others it writes in its own way."""
    if not isinstance(known, str | int):
        raise TypeError(f"{known!r}: compare it as text with strings and integers alone")
    return str(known).lower() if isinstance(known, bool) else str(known)


def exactly(known: Iterable[float]) -> Decimal:
    """The sum of doubles, each to 12 decimals."""
    unit = Decimal(1).scaleb(-12)
    return sum((Decimal(repr(each)).quantize(unit, ROUND_HALF_UP) for each in known), Decimal(0))


def total(known: list[Any], type_: str) -> Any:
    return float(exactly(known)) if type_ == "double" else sum(known)


def _sum(asked: Asked) -> Any:
    return total(asked.values, asked.feature.input_type)


def _mean(asked: Asked) -> float | None:
    return _sum(asked) / len(asked.values) if asked.values else None


def _variance(asked: Asked) -> float | None:
    known = [Fraction(each) for each in asked.values]
    if not known:
        return None
    mean = sum(known, Fraction(0)) / len(known)
    return float(sum(((each - mean) ** 2 for each in known), Fraction(0)) / len(known))


def _rate(asked: Asked) -> float | None:
    return asked.values.count(True) / len(asked.values) if asked.values else None


def _ratio(asked: Asked) -> float | None:
    below = total([expression(asked.feature.per)(play) for play in asked.plays], asked.feature.input_type)
    return _sum(asked) / below if below else None


def most_played(known: list[Any]) -> list[tuple[str, int]]:
    counted = Counter(map(text, known))
    return sorted(counted.items(), key=lambda item: (-item[1], item[0].encode()))


def _percentiles(asked: Asked) -> list[float] | None:
    """The smallest value that this share of the values does not exceed."""
    known = sorted(map(float, asked.values))
    return [known[max(math.ceil(rank * len(known)) - 1, 0)] for rank in asked.feature.at] if known else None


def histogram(known: Iterable[float], edges: Sequence[float]) -> list[int]:
    place = [bisect_right(edges, each) for each in known]
    return [place.count(n) for n in range(len(edges) + 1)]


def by_hour(instants: Iterable[datetime]) -> list[int]:
    hours = [instant.astimezone(UTC).hour for instant in instants]
    return [hours.count(hour) for hour in range(24)]


def _hours(asked: Asked) -> list[float]:
    return [count / len(asked.plays) if count else 0.0 for count in by_hour(asked.values)]


def _entropy(asked: Asked) -> float:
    shares = [count / len(asked.plays) for _, count in most_played(asked.values)]
    return round(math.fsum(-share * math.log2(share) for share in shares), 12)


def _trend(asked: Asked) -> float:
    recent = sum(asked.t - play["played_at"] <= asked.w for play in asked.plays)
    return math.log2((recent + 1) / (len(asked.plays) - recent + 1))


def faded(instants: Iterable[datetime], t: datetime, half_life: timedelta) -> float:
    return math.fsum(2.0 ** -((t - instant) / half_life) for instant in instants)


def _streak(asked: Asked) -> int:
    heard_on = {(asked.t - DAY).date() - day(play["played_at"]) for play in asked.plays}
    return next(n for n in range(len(heard_on) + 1) if n * DAY not in heard_on)


def _days_since(found: Callable[[list[datetime]], datetime]) -> Callable[[Asked], float | None]:
    return lambda asked: (asked.t - found(asked.values)) / DAY if asked.plays else None


def _of_any(found: Callable[[list[Any]], Any]) -> Callable[[Asked], Any]:
    return lambda asked: found(asked.values) if asked.plays else None


OPERATIONS: dict[str, Callable[[Asked], Any]] = {
    "count": lambda asked: len(asked.plays),
    "sum": _sum,
    "mean": _mean,
    "min": _of_any(min),
    "max": _of_any(max),
    "variance": _variance,
    "rate": _rate,
    "ratio": _ratio,
    "first": _of_any(lambda known: known[0]),
    "last": _of_any(lambda known: known[-1]),
    "last_k": lambda asked: asked.values[::-1][: asked.feature.k],
    "top_k": lambda asked: [item for item, _ in most_played(asked.values)[: asked.feature.k]],
    "distinct": lambda asked: len(set(map(text, asked.values))),
    "approx_distinct": lambda asked: len(set(map(text, asked.values))),
    "percentiles": _percentiles,
    "histogram": lambda asked: histogram(asked.values, asked.feature.edges),
    "hours": _hours,
    "entropy": _entropy,
    "trend": _trend,
    "decayed": lambda asked: faded(asked.values, asked.t, asked.w),
    "streak": _streak,
    "days_since_first": _days_since(min),
    "days_since_last": _days_since(max),
}


def settled(wanted: list[Row], got: list[Row], key: Sequence[str], within: float = 4e-12) -> list[Row]:
    """`got`, with doubles and decimals no farther than `within` from what is wanted put as that.

    Rounding to 12 decimals is far from relative where a value is near 0.
    """
    by_key = {tuple(row[name] for name in key): row for row in wanted}
    near = ((row, by_key.get(tuple(row[name] for name in key), {})) for row in got)
    return [
        {n: of[n] if n in of and is_near(of[n], v, within) else v for n, v in row.items()} for row, of in near
    ]


def is_near(wanted: Any, got: Any, within: float) -> bool:
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return all(is_near(each, other, within) for each, other in zip(wanted, got, strict=True))
    both_real = type(wanted) is type(got) and isinstance(wanted, float | Decimal)
    return bool(abs(wanted - got) <= within) if both_real else False
