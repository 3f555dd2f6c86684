"""Names that other systems give to what we have, by which columns of their files are found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# In the order of trust; compared without case, spaces and underscores.
NAMES: Mapping[str, Sequence[str]] = {
    "play_id": ("play_id", "event_id", "listen_id", "stream_id", "uuid"),
    "user_id": (
        "user_id", "uid", "userid_hash", "listener_id", "account_id", "customer_id", "member_id", "profile_id",
        "subscriber_id", "user_name", "user", "listener", "who",
    ),
    "track_id": (
        "track_id", "song_id", "track_uri", "spotify_track_uri", "item_id", "content_id", "recording_id",
        "recording_mbid", "track_mbid", "isrc", "media_id", "video_id", "movie_id", "asset_id",
    ),
    "artist_id": ("artist_id", "artist_uri", "artist_mbid"),
    "played_at": (
        "played_at", "listened_at", "started_at", "start_time", "timestamp", "ts", "event_time", "event_timestamp",
        "uts", "time_ms", "datetime", "date_time", "utc_time", "created_at", "time", "when", "end_time", "ended_at",
        "date", "at",
    ),
    "ms_played": (
        "ms_played", "play_time_ms", "played_ms", "play_duration_milliseconds", "listen_ms", "seconds_played",
        "play_seconds", "listened_seconds", "play_duration",
    ),
    "track_ms": (
        "track_ms", "track_duration_ms", "media_duration_in_milliseconds", "duration_ms", "length_ms",
        "track_length_seconds", "duration_seconds", "duration", "length", "track_duration", "track_length",
        "length_seconds", "track_seconds",
    ),
    "skipped": ("skipped", "is_skipped", "skip"),
    "saved": ("saved", "is_saved", "liked", "is_like"),
    "source_session_id": ("source_session_id", "session_id"),
}  # fmt: skip
TRACK_NAMES: Mapping[str, Sequence[str]] = {
    "title": ("track_name", "song_name", "recording_name", "title", "song_title", "song", "track", "name"),
    "artist_name": ("artist_name", "artist", "artist_title", "performer"),
    "album": ("album_name", "album", "album_title", "release_name"),
    "track_ms": NAMES["track_ms"],
    "explicit": ("explicit", "is_explicit", "explicit_lyrics", "has_explicit_lyrics"),
    "released": (
        "released", "release_date", "date_released", "first_release_date", "original_release_date",
        "album_release_date", "released_on", "release_year", "year_released", "year",
    ),
    "genres": ("genres", "genre", "artist_genres", "track_genre", "genre_name", "primary_genre"),
    "isrc": ("isrc", "track_isrc", "isrc_code"),
    "recording_mbid": ("recording_mbid", "musicbrainz_recording_id", "mb_recording_id", "mbid"),
}  # fmt: skip
# What cannot be null in plays.
REQUIRED = ("user_id", "track_id", "played_at")
# Where days and times of day are columns of their own.
DATES = ("date", "play_date", "start_date", "day")
TIMES = ("time", "time_of_day", "play_time", "start_time")
# Of instants: which say that a play began, and which that it ended; of others either may be meant.
BEGINS = ("played_at", "listened_at", "started_at", "start_time", "uts")
ENDS = ("end_time", "ended_at")


def fold_name(name: str) -> str:
    """As names are compared: `Track ID`, `trackId` and `track_id` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
