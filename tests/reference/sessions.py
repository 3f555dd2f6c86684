"""Sessions from their definition, one play after the other.

Decided here, where the definition leaves room:

- `position` and `session_started_at` belong to a contiguous run of plays. A source's session that
  comes back after another one keeps its id, but begins again at position 1.
- Plays of the same instant follow one another by `play_id`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

from reference.rows import Row, bucket, day

BOT_PLAYS = 1000
BOT_MS = 108_000_000
COPIED_COLUMNS = (
    "play_id",
    "user_id",
    "track_id",
    "artist_id",
    "played_at",
    "ms_played",
    "track_ms",
    "saved",
)


def sessions(plays: Iterable[Row], gap_ms: int = 1_800_000) -> list[Row]:
    """Rows of `sessions` but `available_at`.

    `session_id` is a text of listener and the source's session, or of listener and start, where the engine
    has a hash: compare which plays share one, not the ids.
    """
    plays = sorted(plays, key=lambda play: (play["user_id"], play["played_at"], play["play_id"]))
    bot_days = _bot_days(plays)
    rows: list[Row] = []
    previous: Row | None = None
    for play in plays:
        if (
            previous is None
            or previous["user_id"] != play["user_id"]
            or _starts_session(previous, play, gap_ms)
        ):
            started_at, position = play["played_at"], 0
        position += 1
        own_id = f"{play['user_id']} from {started_at.isoformat()}"
        source_id = play["source_session_id"]
        rows.append(
            {column: play[column] for column in COPIED_COLUMNS}
            | {
                "session_id": own_id if source_id is None else f"{play['user_id']} at source {source_id}",
                "session_started_at": started_at,
                "position": position,
                "completion": _completion(play["ms_played"], play["track_ms"]),
                "skipped": _is_skipped(play),
                "is_bot": (play["user_id"], day(play["played_at"])) in bot_days,
                "bucket": bucket(play["user_id"]),
                "ds": day(play["played_at"]),
            }
        )
        previous = play
    return rows


def replace_ids_by_first_play(actual: list[Row]) -> list[Row]:
    """Every session's id replaced by the first play that carries it: ids are free, sharing is not."""
    first: dict[str, str] = {}
    for row in actual:
        first[row["session_id"]] = min(first.get(row["session_id"], row["play_id"]), row["play_id"])
    return [row | {"session_id": first[row["session_id"]]} for row in actual]


def _starts_session(previous: Row, play: Row, gap_ms: int) -> bool:
    duration_ms = previous["ms_played"] if previous["ms_played"] is not None else previous["track_ms"]
    silence = play["played_at"] - previous["played_at"] - timedelta(milliseconds=duration_ms or 0)
    before, now = previous["source_session_id"], play["source_session_id"]
    if before is not None or now is not None:
        return bool(before != now or silence > timedelta(days=7))
    return bool(silence > timedelta(milliseconds=gap_ms))


def _completion(ms_played: int | None, track_ms: int | None) -> float | None:
    if ms_played is None or track_ms is None or track_ms == 0:
        return None
    return min(1.0, ms_played / track_ms)


def _is_skipped(play: Row) -> bool | None:
    if play["skipped"] is not None:
        return bool(play["skipped"])
    if play["ms_played"] is None:
        return None
    is_half_played = play["track_ms"] is not None and 2 * play["ms_played"] >= play["track_ms"]
    return play["ms_played"] < 30_000 and not is_half_played


def _bot_days(plays: list[Row]) -> set[tuple[str, date]]:
    count: dict[tuple[str, date], int] = defaultdict(int)
    ms: dict[tuple[str, date], int] = defaultdict(int)
    for play in plays:
        listener_day = (play["user_id"], day(play["played_at"]))
        count[listener_day] += 1
        ms[listener_day] += play["ms_played"] or 0
    return {key for key in count if count[key] > BOT_PLAYS or ms[key] > BOT_MS}
