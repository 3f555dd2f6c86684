"""What a listener did with one track, or with one artist.

A row a day for every pair that ever was would be the plays times the days, so these groups have partials
alone: training sets merge them for just the pairs and instants of their labels.
"""

from __future__ import annotations

from schemas.declarations import LIFETIME, USER_ARTIST, USER_TRACK, Feature, FeatureGroup

_WINDOWS = ("7d", "30d", LIFETIME)

USER_TRACK_FEATURE_GROUP = FeatureGroup(
    table="user_track_features",
    keys=USER_TRACK,
    meaning="What a listener did with a track.",
    daily=False,
    features=(
        Feature("plays", "count", "play_id", "plays", _WINDOWS),
        Feature("completion", "mean", "completion", "share of the track that was heard", ("30d", LIFETIME)),
        Feature("skips", "rate", "skipped", "share of plays that were skipped", ("30d", LIFETIME)),
        Feature("plays", "decayed", "played_at", "plays, halved every window", ("7d",)),
        Feature("plays", "days_since_last", "played_at", "time since the last play", (LIFETIME,)),
    ),
)
USER_ARTIST_FEATURE_GROUP = FeatureGroup(
    table="user_artist_features",
    keys=USER_ARTIST,
    meaning="What a listener did with an artist.",
    daily=False,
    features=(
        Feature("plays", "count", "play_id", "plays", _WINDOWS),
        Feature("skips", "rate", "skipped", "share of plays that were skipped", ("30d", LIFETIME)),
        Feature("plays", "decayed", "played_at", "plays, halved every window", ("7d", "30d")),
        Feature("plays", "days_since_last", "played_at", "time since the last play", (LIFETIME,)),
    ),
)
