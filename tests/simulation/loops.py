"""In loops what the functions of `features` compute with Spark, from the same inputs: of a stale one comes a stale row.

Not the oracle: that is made of plays alone, whatever was published on the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from features.windows import definitions
from features.windows.tiles import cover, merge_inputs, tiles_ending_on
from reference.rows import Row, bucket, midnight_after
from reference.sessions import sessions
from schemas.declarations import FeatureGroup, window_days
from schemas.parts import Part

# of each row, the name of its file
FILE = "_file"
MERGES: dict[str, Callable[[list[Any]], Any]] = {"count": sum, "min": min, "max": max}


class Rows(list[Row]):
    """A list that bears what steps do to DataFrames around the functions that are replaced."""

    @property
    def columns(self) -> list[str]:
        return list(self[0]) if self else []

    def persist(self) -> Rows:
        return self

    unpersist = persist

    def count(self, *values: Any) -> int:
        return super().count(*values) if values else len(self)

    def isEmpty(self) -> bool:  # noqa: N802
        return not self

    def withColumn(self, *_: Any) -> Rows:  # noqa: N802
        return self

    def withColumns(self, _: Any) -> Rows:  # noqa: N802
        return self

    def drop(self, *_: str) -> Rows:
        return self


# --- sessions


def cut(plays: Rows, earlier: Rows | None, gap_ms: int, _: Sequence[str]) -> Rows:
    """Goes on from the last plays of `earlier`; no source names sessions."""
    last = {row["user_id"]: row for row in sorted(earlier or (), key=_order)}
    named = [
        {**row, "source_session_id": None, "skipped": None, "track_ms": None, "saved": None} for row in plays
    ]
    rows = Rows()
    for row in sorted(sessions(named, gap_ms), key=_order):
        before = last.get(row["user_id"])
        goes_on = before and row["played_at"] - _end(before) <= timedelta(milliseconds=gap_ms)
        started_at = before["session_started_at"] if before and goes_on else row["played_at"]
        position = before["position"] + 1 if before and goes_on else 1
        session = f"{row['user_id']} from {started_at.isoformat()}"
        rows.append(row | {"session_id": session, "session_started_at": started_at, "position": position})
        last[row["user_id"]] = rows[-1]
    return rows


def hand_over(rows: Rows) -> dict[str, tuple[Any, ...]]:
    names = ("play_id", "played_at", "ms_played", "session_id", "session_started_at", "position")
    return {row["user_id"]: tuple(row[name] for name in names) for row in sorted(rows, key=_order)}


def _order(row: Row) -> tuple[Any, ...]:
    return row["user_id"], row["played_at"], row["play_id"]


def _end(row: Row) -> Any:
    return row["played_at"] + timedelta(milliseconds=row["ms_played"] or 0)


# --- partials


def fold(
    plays: Rows,
    group: FeatureGroup,
    days: Sequence[date],
    earlier: Rows | None,
    parts: Sequence[Part] | None = None,
    reopened: Any = None,
) -> Rows:
    """Tiles that end on `days`: single ones from plays, longer ones from what is folded and from `earlier`."""
    if reopened:

        def fold_some(select: Callable[[Iterable[Row]], Rows], of_days: Sequence[date]) -> Rows:
            of_plays = Rows(row for row in select(plays) if row["ds"] in of_days)
            return fold(of_plays, group, of_days, select(earlier or ()))

        return _compute_apart(fold_some, days, reopened)
    parts = group.parts if parts is None else parts
    known = {(row["ds"], row["span"]): [] for row in earlier or ()} | {(day, 1): [] for day in days}
    for row in earlier or ():
        if row["ds"] not in days:
            known[row["ds"], row["span"]].append(row)
    for (day, user), of_user in _group(plays, "ds", "user_id").items():
        known[day, 1].append({"user_id": user, **{part.name: _fold(part, of_user) for part in parts}})
    return Rows(
        {"user_id": user, "bucket": bucket(user), "ds": day, "span": tile.span}
        | {p.name: _merge(p, rows) if tile.span <= group.longest_span(p) else None for p in parts}
        for day in days
        for tile in tiles_ending_on(day)
        for user, rows in _by_user(
            row
            for source, _ in merge_inputs(tile, [each for each in days if tile.first <= each <= tile.ds])
            for row in known.get((source.ds, source.span), ())
        )
    )


def _fold(part: Part, plays: Iterable[Row]) -> Any:
    values = [play[part.of] for play in plays]
    return len(values) if part.kind == "count" else MERGES[part.kind](values)


def _merge(part: Part, rows: Iterable[Row]) -> Any:
    values = [row[part.name] for row in rows if row.get(part.name) is not None]
    return MERGES[part.kind](values) if values else None


def _group(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _by_user(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    return ((user, of_user) for (user,), of_user in _group(rows, "user_id").items())


# --- features


def merge(
    partials: Rows,
    plays: Rows,
    group: FeatureGroup,
    days: Sequence[date],
    every_entity: bool = True,
    reopened: Any = None,
    row_windows: Mapping[date, str] | None = None,
) -> Rows:
    if reopened:
        return _compute_apart(
            lambda select, of: merge(select(partials), select(plays), group, of, row_windows=row_windows),
            days,
            reopened,
        )
    tiles, rows = _group(partials, "ds", "span"), Rows()
    for day in days:
        row_window = row_windows[day] if row_windows else "lifetime"
        ever = [row for tile in cover(day, row_window) for row in tiles.get(tile, ())]
        for user, _ in _by_user(ever):
            row = {"user_id": user, "bucket": bucket(user), "ds": day, "feature_at": midnight_after(day)}
            for feature, window in group.feature_windows:
                of_window = [
                    each
                    for tile in cover(day, window)
                    for each in tiles.get(tile, ())
                    if each["user_id"] == user
                ]
                row[feature.name(window)] = _value(feature, window, day, of_window, plays, user)
            rows.append(row)
    return rows


def _value(feature: Any, window: str, day: date, tiles: list[Row], plays: Rows, user: str) -> Any:
    if feature.op == "distinct":
        reach = window_days(window)
        return len(
            {p[feature.input] for p in plays if p["user_id"] == user and 0 <= (day - p["ds"]).days < reach}
        )
    (part,) = feature.parts(window)
    merged = _merge(part, tiles)
    if feature.op == "days_since_first":
        return None if merged is None else (midnight_after(day) - merged) / definitions.DAY
    return (merged or 0) if part.kind == "count" else merged


# --- days that are published and stale for some


def find_changed(before: Rows, after: Rows, _: FeatureGroup) -> Rows:
    sides = [
        {user: sorted(map(str, map(_drop_names, of_user))) for user, of_user in _by_user(rows)}
        for rows in (before, after)
    ]
    users = {user for side in sides for user in side}
    return Rows({"user_id": user} for user in sorted(users) if sides[0].get(user) != sides[1].get(user))


def _drop_names(row: Row) -> list[tuple[str, Any]]:
    # the same row is in another file, and there since another instant
    return sorted((name, value) for name, value in row.items() if name not in (FILE, "available_at"))


def _compute_apart(
    compute: Callable[[Callable[[Iterable[Row]], Rows], Sequence[date]], Rows],
    days: Sequence[date],
    reopened: Any,
) -> Rows:
    """Of who changed all days; of everybody else those that are not published, and the others as they are."""
    users = {row["user_id"] for row in reopened.entities}

    def changed(rows: Iterable[Row]) -> Rows:
        return Rows(row for row in rows if row["user_id"] in users)

    def others(rows: Iterable[Row]) -> Rows:
        return Rows(row for row in rows if row["user_id"] not in users)

    rows = compute(changed, days) + compute(others, [day for day in days if day not in reopened.days])
    return Rows(rows + [row for row in others(reopened.published) if row["ds"] in reopened.days])


def extend(key: Sequence[str]) -> Callable[..., Rows]:
    """`replace_parts` and `replace_features`: some columns of rows that are published from others of the same key."""

    def replace_columns(
        published: Rows, added: Rows, group: FeatureGroup, columns: Sequence[str], clustered: bool
    ) -> Rows:
        others = {tuple(row[name] for name in key): row for row in added}
        return Rows(
            row | {name: others.get(tuple(row[n] for n in key), {}).get(name) for name in columns}
            for row in published
        )

    return replace_columns
