"""Generated worlds: many listeners in one example, because a Spark job costs more than their rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st

from reference.plays import MIDNIGHT as MIDNIGHT
from reference.plays import play as play
from reference.plays import session_play as session_play
from reference.rows import Row, day

GAP_MS = 1_800_000
MS = timedelta(milliseconds=1)
US = timedelta(microseconds=1)
AROUND = (timedelta(0), -MS, -US, US, MS)  # a limit itself, and the units before and after it
DAY = timedelta(days=1)

# Shrinking would run Spark hundreds of times; a mismatch names one entity's plays instead. Hypothesis begins with the
# simplest example there is, one row many times: strategies leave it out, as it costs what any other does.
FEW = settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)

# Ids that become equal when joined to a number, or when case or spaces are lost.
USERS = ("u", "u1", "u11", "U1", "u1 ", "", "ü", "用户", "u-1", "u|1")


class World(list[Row]):
    """Rows that do not print themselves by the thousand when an example fails."""

    def __repr__(self) -> str:
        return f"World of {len(self)} rows"


_flag = st.sampled_from((None, True, False))

_step = st.fixed_dictionaries(
    {
        "after": st.sampled_from(("start", "end", "end")),
        "pause": st.sampled_from(
            (
                *(GAP_MS * MS + off for off in AROUND),
                *AROUND,
                timedelta(minutes=29),
                timedelta(hours=3),
                timedelta(hours=11),
            )
        ),
        "id": st.sampled_from("abc"),  # plays of one instant must not arrive in the order of their ids
        "track_id": st.sampled_from(("t1", "t2", "t3")),
        "artist_id": st.sampled_from((None, "a1")),
        "ms_played": st.sampled_from((None, 0, 1, 29_999, 30_000, 30_001, 90_000, 200_000, 7_200_000)),
        "track_ms": st.sampled_from((None, 0, 1, 59_998, 59_999, 60_000, 180_000, 200_000, 3_600_000)),
        "skipped": _flag,
        "saved": _flag,
        "source_session_id": st.sampled_from((None, None, None, "s1", "s1", "s2")),
    }
)
_start = st.sampled_from([MIDNIGHT + off for off in (-timedelta(hours=1), *AROUND, timedelta(hours=23))])
# Half of the listeners come from sources without sessions of their own.
_listener = st.tuples(_start, st.lists(_step, min_size=1, max_size=8), st.booleans())


def _listener_plays(
    user_id: str, number: int, start: datetime, steps: list[Row], ready_made: bool
) -> list[Row]:
    rows, begin, end = [], start, start
    for n, step in enumerate(steps):
        columns = {k: v for k, v in step.items() if k not in ("after", "pause", "id")}
        if not ready_made:
            columns["source_session_id"] = None
        if n:
            begin = (end if step["after"] == "end" else begin) + step["pause"]
        rows.append(play(user_id=user_id, play_id=f"{step['id']}{number}.{n}", played_at=begin, **columns))
        duration_ms = step["ms_played"] if step["ms_played"] is not None else step["track_ms"]
        end = begin + (duration_ms or 0) * MS
    return rows


def _user(number: int) -> str:
    return USERS[number] if number < len(USERS) else f"user{number}"


@st.composite
def plays(draw: st.DrawFn) -> World:
    """Rows of `plays` in no order: pauses around the gap, nights, ties, nulls in every nullable column."""
    listeners = draw(st.lists(_listener, min_size=20, max_size=30))
    rows = [row for n, listener in enumerate(listeners) for row in _listener_plays(_user(n), n, *listener)]
    assume(len(rows) > 2 * len(listeners))
    draw(st.randoms(use_true_random=False)).shuffle(rows)
    return World(rows)


EDGES = (0, 0, 0, 1, 1, 2, 7, 7, 14, 14, 30, 30, 60, 400)  # days before t, the likelier the more often
_OFF = (*AROUND, timedelta(hours=1), timedelta(hours=-23), timedelta(hours=13, minutes=7, microseconds=1))
_FLAG = (None, True, False)
_NEAR_AN_EDGE: dict[str, tuple[Any, ...]] = {
    "track_id": ("hot", "hot", "hot", "t1", "t2", "T2", "", "u1", "ü"),
    "artist_id": (None, None, "a1", "a2"),
    "ms_played": (None, 0, 1, 30_000, 1_234_567, 2**40),
    "track_ms": (None, 0, 60_000, 200_000),
    "session_id": ("s1", "s2", "s3"),
    "position": (1, 2, 3, 10),
    "completion": (None, 0.0, 1 / 3, 0.5, 1.0),
    "skipped": _FLAG,
    "saved": _FLAG,
    "is_bot": (True, False),
}


def history(seed: int, edges: Sequence[int] = EDGES) -> tuple[World, list[date]]:
    """Rows of `sessions` and days to compute: plays at every window's edges of every one of those days.

    From a seed: Hypothesis would begin with the simplest of examples, and each costs more than its rows.
    """
    rng = Random(seed)
    feature_days = [day(MIDNIGHT + n * DAY) for n in rng.sample((0, 1, 2, 7, 30, 40), 3)]
    rows = [
        _near_an_edge(rng, feature_days, edges, f"{n}.{m}", n)
        for n in range(60)
        for m in range(rng.randint(1, 8))
    ]
    rng.shuffle(rows)
    return World(rows), feature_days


def _near_an_edge(
    rng: Random, feature_days: Sequence[date], edges: Sequence[int], play_id: str, number: int
) -> Row:
    ds, back, off = rng.choice(feature_days), rng.choice(edges), rng.choice(_OFF)
    played_at = datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + DAY - back * DAY + off
    user = rng.choice((number, number, number, 0, 1))  # 0 and 1 are heard by everybody
    columns = {column: rng.choice(values) for column, values in _NEAR_AN_EDGE.items()}
    return session_play(play_id=play_id, user_id=_user(user), played_at=played_at, **columns)
