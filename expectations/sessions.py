"""What is expected of sessions."""

from __future__ import annotations

from dataclasses import replace

from expectations.contracts import SOME_ROWS, build_suite, expect_rows, expect_within
from expectations.plays import PLAY_EXPECTATIONS
from expectations.suite import SoftBound
from schemas import CONTRACTS
from schemas.play_columns import list_added_columns
from schemas.sessions import SESSIONS

_SESSIONS = CONTRACTS[SESSIONS.name]

SUITE = build_suite(
    _SESSIONS,
    *PLAY_EXPECTATIONS,
    expect_within("position", "plays of a session are counted from 1, and features look for the first", 1),
    expect_rows(
        "session_started_at",
        "session_started_at <= played_at",
        "not after the play",
        reason="a play before its session began is one of another session",
    ),
    expect_rows(
        "session_started_at",
        "position > 1 or session_started_at = played_at",
        "for a first play, the instant of it",
        reason="a session begins with its first play: otherwise plays of it are missing, or out of order",
    ),
    optional=("saved", *(column.name for column in list_added_columns(_SESSIONS))),
    # days whose plays were all taken out have none
    row_bound=replace(SOME_ROWS, applies_if="has_plays"),
    bounds=(
        SoftBound(
            "skipped_share",
            "services see a quarter to a half of plays skipped; none, or all, is a broken signal",
            low=0.01,
            high=0.95,
            share="avg(cast(skipped as double))",
            column="skipped",
            share_of="of plays skipped",
        ),
        SoftBound(
            "bot_share",
            "bots are left out of embeddings and of the features of tracks: more of them leave little",
            high=0.2,
            share="avg(cast(is_bot as double))",
            column="is_bot",
            share_of="of plays by bots",
        ),
    ),
)
