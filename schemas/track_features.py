"""Track features: how a track is received. Bots do not count."""

from __future__ import annotations

from schemas.declarations import LIFETIME, TRACK, Feature, FeatureGroup

TRACK_FEATURE_GROUP = FeatureGroup(
    table="track_features",
    keys=TRACK,
    meaning="One row per track and day, from the track's first play on.",
    where="not is_bot",
    features=(
        Feature("plays", "count", "play_id", "plays"),
        Feature("ms_played", "sum", "ms_played", "listening time in ms"),
        Feature("completion", "mean", "completion", "share of the track that was heard"),
        Feature("skips", "rate", "skipped", "share of plays that were skipped"),
        Feature("saves", "rate", "saved", "share of plays that were saved"),
        Feature("listeners", "distinct", "user_id", "different listeners"),
        Feature("sessions", "distinct", "session_id", "sessions that had a play"),
        Feature(
            "first_positions",
            "rate",
            "position = 1",
            "share of plays that opened a session",
            ("30d",),
            type="boolean",
        ),
        Feature("plays", "decayed", "played_at", "plays, halved every window", ("7d", "30d")),
        Feature("plays", "trend", "play_id", "growth of plays over the window before", ("1d", "7d")),
        Feature("plays", "hours", "played_at", "plays by hour of the day", ("30d",)),
        Feature("plays", "days_since_first", "played_at", "age: time since the first play", (LIFETIME,)),
        Feature("plays", "days_since_last", "played_at", "time since the last play", (LIFETIME,)),
    ),
)
