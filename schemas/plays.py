"""Plays: who played what, when and for how long; and the input rows that are no valid play."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, bucket
from schemas.contract import Column, Contract

# Nobody streamed before 1999: such times are zeros, and seconds that were read as milliseconds.
EARLIEST_PLAY = "1999-01-01"
# A day of play in one play is no listening.
MAX_PLAY_MS = 86_400_000

LISTENED = (
    Column(
        "play_id", "string", "identifies the play; a hash of the other fields where absent", nullable=False
    ),
    Column("user_id", "string", "who listened", nullable=False, profile=False),
    Column("track_id", "string", "what was played", nullable=False, profile=False),
    Column("artist_id", "string", "who made it, as the source says", profile=False),
    Column("played_at", "timestamp", "when the play began", "UTC", False),
    Column("ms_played", "bigint", "how long it was played", "ms", check=">= 0"),
    Column("track_ms", "bigint", "how long the track is", "ms", check=">= 0"),
)

PLAYS = Contract(
    name="plays",
    meaning="One row per play, once, from every source.",
    columns=(
        *LISTENED,
        Column("skipped", "boolean", "whether it was skipped, as the source says"),
        Column("saved", "boolean", "the listener saved the track during this play"),
        Column("source_session_id", "string", "the source's own session, where it has one", profile=False),
        Column("source", "string", "name of the source the play came from", nullable=False),
        bucket("user_id"),
        AVAILABLE_AT,
        DS,
    ),
    key=("play_id",),
    entity="user_id",
    event_time="played_at",
    buckets=BUCKETS,
    statistics=("bucket", "played_at", "ms_played"),
)

LATE_PLAYS = Contract(
    name="late_plays",
    meaning="One row per play that came too late for its day, until `segue restate` takes it into plays.",
    columns=(
        *(column for column in PLAYS.columns if column not in (AVAILABLE_AT, DS)),
        Column("arrived_at", "timestamp", "when it was read", "UTC", False),
        AVAILABLE_AT,
        # not the day of the play: a clock that is wrong by years would make a partition of each of its days
        Column("ds", "date", "day of arrived_at in UTC", nullable=False),
    ),
    key=("play_id",),
    entity="user_id",
    event_time="played_at",
    buckets=BUCKETS,
    statistics=("bucket", "played_at", "ms_played"),
)


def rejects_contract(table: str) -> Contract:
    """Of the input rows that are no row of a table of events."""
    return Contract(
        name=f"rejected_{table}",
        meaning=f"One row per input row that is none of {table}, with every reason; nothing read is ever lost.",
        columns=(
            Column(
                "reject_id", "string", "hash of source, file, raw text and its occurrence", nullable=False
            ),
            Column("source", "string", "name of the source", nullable=False),
            Column(
                "user_id", "string", "the listener, where the row says it: it must be erasable", profile=False
            ),
            Column("file", "string", "file the row stood in", nullable=False, profile=False),
            Column("raw", "string", "the row as it was read", nullable=False, profile=False),
            Column("reasons", "array<string>", "every rule the row breaks", nullable=False),
            AVAILABLE_AT,
            Column(
                "ds", "date", "day of the event, or 1970-01-01 where the row has no valid one", nullable=False
            ),
        ),
        key=("reject_id",),
    )


REJECTED_PLAYS = rejects_contract(PLAYS.name)
