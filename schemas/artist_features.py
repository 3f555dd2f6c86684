"""Artist features: how an artist is received. Bots do not count."""

from __future__ import annotations

from schemas.declarations import ARTIST, LIFETIME, Feature, FeatureGroup

ARTIST_FEATURE_GROUP = FeatureGroup(
    table="artist_features",
    keys=ARTIST,
    meaning="One row per artist and day, from the artist's first play on.",
    where="not is_bot",
    features=(
        Feature("plays", "count", "play_id", "plays"),
        Feature("completion", "mean", "completion", "share of the track that was heard"),
        Feature("skips", "rate", "skipped", "share of plays that were skipped"),
        Feature("listeners", "distinct", "user_id", "different listeners"),
        Feature(
            "tracks", "entropy", "track_id", "how evenly plays spread over the artist's tracks", ("30d",)
        ),
        Feature("plays", "decayed", "played_at", "plays, halved every window", ("7d", "30d")),
        Feature("plays", "trend", "play_id", "growth of plays over the window before", ("7d",)),
        Feature("plays", "days_since_first", "played_at", "age: time since the first play", (LIFETIME,)),
    ),
)
