"""User features: what a listener did, as a ranker wants to know it."""

from __future__ import annotations

from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup

USER_FEATURE_GROUP = FeatureGroup(
    table="user_features",
    keys=USER,
    meaning="One row per listener and day, from the listener's first play on.",
    features=(
        Feature("plays", "count", "play_id", "plays"),
        Feature("ms_played", "sum", "ms_played", "listening time in ms"),
        Feature("completion", "mean", "completion", "share of the track that was heard"),
        Feature("skips", "rate", "skipped", "share of plays that were skipped"),
        Feature("saves", "rate", "saved", "share of plays that were saved"),
        Feature("tracks", "distinct", "track_id", "different tracks"),
        Feature("artists", "distinct", "artist_id", "different artists"),
        Feature("sessions", "distinct", "session_id", "sessions that had a play"),
        Feature("plays", "decayed", "played_at", "plays, halved every window", ("7d", "30d")),
        Feature("plays", "trend", "play_id", "growth of plays over the window before", ("7d",)),
        Feature("plays", "hours", "played_at", "plays by hour of the day", ("30d",)),
        Feature(
            "artists", "entropy", "artist_id", "variety: entropy of the artists' shares of plays", ("30d",)
        ),
        Feature("artists", "top_k", "artist_id", "most played artists", ("30d",), k=5),
        Feature("plays", "streak", "played_at", "days in a row with a play", ("62d",)),
        Feature("plays", "days_since_first", "played_at", "time since the first play", (LIFETIME,)),
        Feature("plays", "days_since_last", "played_at", "time since the last play", (LIFETIME,)),
        Feature("bot_plays", "rate", "is_bot", "share of plays on days no person could have had", ("30d",)),
    ),
)
