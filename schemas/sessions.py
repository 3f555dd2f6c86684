"""Sessions: plays in the order in which a listener played them, cut where the listening stopped."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, bucket
from schemas.contract import Column, Contract
from schemas.plays import LISTENED

SESSIONS = Contract(
    name="sessions",
    meaning="One row per play, with the session it belongs to and its place there.",
    columns=(
        *LISTENED,
        Column(
            "session_id",
            "string",
            "hash of listener and the source's session, else of listener and start",
            nullable=False,
            profile=False,
        ),
        Column("session_started_at", "timestamp", "start of the session's first play", "UTC", False),
        Column("position", "int", "place in the session, from 1", nullable=False, check=">= 1"),
        Column("completion", "double", "share of the track that was played, null where unknown", "0..1"),
        Column("skipped", "boolean", "as the source says, else under 30 s and under half of the track"),
        Column("saved", "boolean", "the listener saved the track during this play"),
        Column(
            "is_bot", "boolean", "more plays or more hours in that day than a person can have", nullable=False
        ),
        bucket("user_id"),
        AVAILABLE_AT,
        DS,
    ),
    # a row is a play of the day that it is filed under; a session that is open at midnight has rows on two days
    key=("play_id",),
    entity="user_id",
    event_time="played_at",
    buckets=BUCKETS,
    statistics=("bucket", "played_at", "position"),
)

# Where a session begins follows from the order of a listener's plays, the silence between them, and the source's own.
_START_INPUTS = ("user_id", "played_at", "play_id", "ms_played", "track_ms", "source_session_id")
# The columns of `plays` that each column is computed from; one that is not here is copied from that of its name.
PLAY_INPUTS: dict[str, tuple[str, ...]] = {
    "session_id": _START_INPUTS,
    "session_started_at": _START_INPUTS,
    "position": _START_INPUTS,
    "completion": ("ms_played", "track_ms"),
    "skipped": ("skipped", "ms_played", "track_ms"),
    "is_bot": ("user_id", "ds", "play_id", "ms_played"),
}
