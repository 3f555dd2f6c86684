"""Features that look ahead, and plays of one listener around the edges of a label's window."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa

from features.windows import definitions
from reference.outcomes import days
from reference.rows import Row
from reference.worlds import DAY, MIDNIGHT, US, session_play
from schemas.declarations import USER, Feature, FeatureGroup
from schemas.operations import LIFETIME
from schemas.outcomes import look_ahead

HORIZONS = ("1d", "2d", "7d", "45d")
DECLARED = FeatureGroup(
    table="next_features",
    keys=USER,
    meaning="what came after a label",
    where="not is_bot",
    # most parts are merged as they are for windows that end: what differs is at both ends, so a few show it
    features=(
        Feature("plays", "count", "play_id", "plays", HORIZONS),
        Feature("completion", "mean", "completion", "share", ("2d",), default=-1.0),
        Feature("tracks", "last_k", "track_id", "ids", ("7d",), k=3),
        Feature("tracks", "distinct", "track_id", "tracks", ("1d", "45d")),
        Feature("loved", "distinct", "track_id", "tracks", ("7d",), where="ms_played > 30000"),
        Feature("ms", "distinct", "ms_played", "different ms", ("2d",)),
        Feature("tracks", "top_k", "track_id", "ids", ("1d",), k=2),
        Feature("tracks", "entropy", "track_id", "bits", ("45d",)),
        Feature("plays", "trend", "play_id", "growth", ("1d",)),
        Feature("plays", "decayed", "played_at", "plays", ("7d",)),
        Feature("plays", "streak", "played_at", "days", ("45d",)),
        Feature("ms", "streak", "ms_played", "days", ("7d",), where="ms_played > 30000"),
        Feature("plays", "days_since_first", "played_at", "days", (LIFETIME,)),
        # without another that has its part, so that whole days are of events
        Feature("ms", "days_since_last", "played_at", "days", (LIFETIME,), where="ms_played > 30000"),
    ),
)
# What looks back to the first play ever has horizons, as outcomes ask for them.
GROUP = replace(
    DECLARED,
    features=tuple(
        look_ahead(f, DECLARED, ("1d", "45d") if f.windows == (LIFETIME,) else f.windows)
        for f in DECLARED.features
    ),
)
COLUMNS = tuple(feature.name(window) for feature, window in GROUP.feature_windows)
LABELS = pa.schema(
    [
        ("user_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("play_id", pa.string()),
        ("n", pa.int64()),
    ]
)


def draw_instant(rng: Random) -> datetime:
    """Around midnights and quarters of an hour more often than chance would have it."""
    place = rng.choice((0, 1, 899, 900, 43_200, 86_399, rng.randrange(86_400))) * timedelta(seconds=1)
    return MIDNIGHT + rng.randrange(50) * DAY + place + rng.choice((-US, timedelta(0), US))


def draw_case(rng: Random) -> tuple[list[Row], datetime, str, str | None]:
    """Plays of one listener around a label and its horizon, ties at both ends; the label may be one of them."""
    t, horizon = draw_instant(rng), rng.choice(HORIZONS)
    h = days(horizon)
    places = (timedelta(0), timedelta(0), h, -h, h / 2, -h / 2, rng.randrange(90) * DAY - 45 * DAY)
    plays = [
        session_play(
            play_id=f"p{n}",
            played_at=t + rng.choice(places) + rng.choice((-US, timedelta(0), timedelta(0), US)),
            ms_played=rng.choice((None, 0, 1, 30_000, 200_000)),
            skipped=rng.choice((True, False, None)),
            track_id=rng.choice("abc"),
        )
        for n in range(rng.randrange(8))
    ]
    own = rng.choice([None, "p9", *[play["play_id"] for play in plays]])
    return plays, t, horizon, own


def define_outcome(plays: list[Row], feature: Feature, horizon: str, t: datetime, own: str | None) -> Any:
    """As `features.windows.definitions` has it."""
    inputs = definitions.inputs(feature)
    rows = [
        definitions.Play(p["played_at"], p["play_id"], {sql: p.get(sql, True) for sql in inputs})
        for p in plays
    ]
    return definitions.outcome(rows, feature, horizon, t, own)


SIMPLE = (
    Feature("plays", "count", "play_id", "plays"),
    Feature("ms", "sum", "ms_played", "ms"),
    Feature("tracks", "first", "track_id", "id"),
    Feature("skips", "rate", "skipped", "share"),
    Feature("tracks", "distinct", "track_id", "tracks"),
    Feature("tracks", "top_k", "track_id", "ids", k=2),
    Feature("tracks", "entropy", "track_id", "bits"),
)
REVERSALS = (
    Feature("plays", "trend", "play_id", "growth"),
    Feature("plays", "decayed", "played_at", "plays"),
    Feature("plays", "streak", "ms_played", "days"),
    Feature("plays", "days_since_first", "played_at", "days", (LIFETIME,)),
    Feature("plays", "days_since_last", "played_at", "days", (LIFETIME,)),
)
