"""Small batches of sessions, and how a test publishes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from reference.frames import frame
from reference.worlds import heard
from schemas.sessions import SESSIONS

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(4)]


def sessions(spark, days=range(3), **overrides):
    """Five rows a day."""
    rows = [
        opening(f"p{day}-{n}", NOON + timedelta(days=day, minutes=n), **overrides)
        for day in days
        for n in range(5)
    ]
    return frame(spark, rows, SESSIONS)


def opening(play_id, played_at, **overrides):
    """The first play of a session."""
    given = {
        "play_id": play_id,
        "user_id": play_id[-1],
        "played_at": played_at,
        "session_started_at": played_at,
    }
    return heard(**{**given, **overrides})


def publish(job, rows, days, **parameters):
    return job.publish(job.batch("sessions", days, parameters=parameters), rows)
