"""Features declared as data; a column's name and type follow from the declaration.

What each operation means, for the plays of one entity in the window [t - w, t), nulls of the
input left out:

| operation | value | of no plays |
|---|---|---|
| count | how many | 0 |
| sum | their sum | 0 |
| mean | sum / count | null |
| rate | share for which the input is true | null |
| distinct | how many different values | 0 |
| trend | log2((count in [t - w, t) + 1) / (count in [t - 2w, t - w) + 1)) | 0 |
| hours | 24 shares of plays, by hour of the day in UTC, midnight first | 24 zeros |
| decayed | sum over *all* plays before t of 2^-((t - played_at) / w): w is the half-life | 0 |
| days_since_first | (t - first play before t) in days; window "lifetime" | (no row) |
| days_since_last | (t - last play before t) in days; window "lifetime" | (no row) |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, bucket
from schemas.contract import Column, Contract

LIFETIME = "lifetime"

# operation -> (type of the value, unit)
OPERATIONS: dict[str, tuple[str, str]] = {
    "count": ("bigint", ""),
    "sum": ("bigint", ""),
    "mean": ("double", ""),
    "rate": ("double", "0..1"),
    "distinct": ("bigint", ""),
    "trend": ("double", "doublings"),
    "hours": ("array<double>", "0..1"),
    "decayed": ("double", ""),
    "days_since_first": ("double", "days"),
    "days_since_last": ("double", "days"),
}
LIFETIME_ONLY = ("days_since_first", "days_since_last")
NULL_WHEN_NO_PLAYS = ("mean", "rate")


class DeclarationError(ValueError):
    """A feature that cannot be computed as declared."""


@dataclass(frozen=True)
class Feature:
    """`what` is counted, summed, … : one column `<what>_<op>_<window>` per window.

    `input` is a SQL expression over a row of `sessions`.
    """

    what: str
    op: str
    input: str
    meaning: str
    windows: tuple[str, ...] = ("1d", "7d", "30d")

    def __post_init__(self) -> None:
        if self.op not in OPERATIONS:
            raise DeclarationError(
                f"feature {self.what}: operation {self.op!r} is unknown; known: {', '.join(OPERATIONS)}"
            )
        for window in self.windows:
            if (window == LIFETIME) != (self.op in LIFETIME_ONLY):
                raise DeclarationError(f"feature {self.what}: {self.op} has no window {window!r}")
            if window != LIFETIME:
                days(window)

    def name(self, window: str) -> str:
        return f"{self.what}_{self.op}_{window}"

    def columns(self) -> Iterator[Column]:
        type_, unit = OPERATIONS[self.op]
        for window in self.windows:
            yield Column(
                self.name(window),
                type_,
                f"{self.meaning}, {window}",
                unit,
                nullable=self.op in NULL_WHEN_NO_PLAYS,
            )


@dataclass(frozen=True)
class FeatureGroup:
    """All features of one entity: a table, one row per entity and day.

    `where` keeps plays out of every feature. An entity has a row from its first play on.
    """

    table: str
    entity: str
    meaning: str
    features: tuple[Feature, ...]
    where: str = "true"

    def __post_init__(self) -> None:
        names = [column.name for feature in self.features for column in feature.columns()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DeclarationError(
                f"table {self.table}: {', '.join(twice)} declared twice; a name follows from what, op and window, "
                "so give one of them another"
            )

    def contract(self) -> Contract:
        declared = tuple(column for feature in self.features for column in feature.columns())
        return Contract(
            name=self.table,
            meaning=self.meaning,
            columns=(
                Column(self.entity, "string", "as in plays", nullable=False),
                FEATURE_AT,
                *declared,
                bucket(self.entity),
                AVAILABLE_AT,
                DS,
            ),
            key=(self.entity, "ds"),
            entity=self.entity,
            event_time="feature_at",
            buckets=BUCKETS,
            statistics=("bucket",),
        )


def days(window: str) -> int:
    """The length of a window such as '7d', in days."""
    if not (window.endswith("d") and window[:-1].isdecimal() and int(window[:-1]) > 0):
        raise DeclarationError(f"window {window!r} is none; write days as '7d', or 'lifetime'")
    return int(window[:-1])
