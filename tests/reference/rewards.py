"""What plays were worth, from its definition: every play is held against every other one of its listener.

Of the rewards that come with Segue, each in Python; that of contexts takes the artist for one. Whether a horizon is
over follows from days alone. And made-up plays around the limits of all horizons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from reference.rows import Row
from reference.worlds import AROUND, DAY, MIDNIGHT, World, session_play

HORIZONS = {"1d": 1, "7d": 7, "30d": 30, "60d": 60}
DISCOUNT = 0.9
OF_PLAY = ("play_id", "user_id", "track_id", "artist_id", "played_at", "session_id", "is_bot", "ds")


def status(day: date, days: int, through: date, last: date) -> str:
    """Of a horizon of so many days, with all delivered of the days up to `through`, and plays on none after `last`."""
    if through < day + days * DAY:
        return "unripe"
    return "ripe" if day + days * DAY <= last else "censored"


def rewards(
    plays: Iterable[Row],
    of_days: Sequence[date],
    through: date,
    last: date,
    erased_at: Mapping[str, datetime] | None = None,
) -> list[Row]:
    """Rows of `play_rewards` of these days, without `bucket` and `available_at`."""
    by_user: dict[str, list[Row]] = {}
    for play in plays:
        by_user.setdefault(play["user_id"], []).append(play)
    rows = []
    for user, own in by_user.items():
        for play in own:
            if play["ds"] not in of_days:
                continue
            lost = erased_at is not None and user in erased_at and play["played_at"] < erased_at[user]
            statuses = {
                horizon: "censored" if lost else status(play["ds"], days, through, last)
                for horizon, days in HORIZONS.items()
            }
            rows.append(_join(play, own, statuses))
    return rows


def _join(play: Row, plays: Sequence[Row], statuses: Mapping[str, str]) -> Row:
    row = {name: play[name] for name in OF_PLAY}
    for name, (horizon, value) in DEFINITIONS.items():
        known = horizon == "" or statuses[horizon] == "ripe"
        row[name] = value(play, plays) if known else None
    return row | {f"status_{horizon}": each for horizon, each in statuses.items()}


def _completed(play: Row, _: Sequence[Row]) -> bool | None:
    return None if play["completion"] is None else play["completion"] >= 0.9


def _skipped(play: Row, is_early: bool) -> bool | None:
    """As SQL has it: false where one side is false, whatever the other."""
    ms, skipped = play["ms_played"], play["skipped"]
    in_time = None if ms is None else (ms < 30_000) == is_early
    if skipped is False or in_time is False:
        return False
    return None if skipped is None or in_time is None else True


def _later(play: Row, plays: Sequence[Row], days: int, *same: str) -> list[Row]:
    """From the play's instant on, but for itself, before so many days are over; with the same values in columns."""
    found = []
    for other in plays:
        elapsed = other["played_at"] - play["played_at"]
        if not timedelta(0) <= elapsed < days * DAY or other["play_id"] == play["play_id"]:
            continue
        if all(other[name] == play[name] for name in same):
            found.append(other)
    return found


def _artist_again(play: Row, plays: Sequence[Row]) -> bool | None:
    return None if play["artist_id"] is None else bool(_later(play, plays, 30, "artist_id"))


def _discovered(play: Row, plays: Sequence[Row]) -> bool:
    before = [other["played_at"] for other in plays if other["track_id"] == play["track_id"]]
    return not any(play["played_at"] - 90 * DAY <= at < play["played_at"] for at in before)


def _sticky(play: Row, plays: Sequence[Row]) -> int | None:
    days = set()
    for other in plays:
        if other["track_id"] != play["track_id"]:
            continue
        if play["played_at"] - 90 * DAY <= other["played_at"] < play["played_at"]:
            return None
        if 1 <= (other["ds"] - play["ds"]).days <= 59:
            days.add(other["ds"])
    return 1 + len(days)


def _to_go(play: Row, plays: Sequence[Row]) -> float | None:
    own = [each for each in plays if each["session_id"] == play["session_id"]]
    own.sort(key=lambda each: (each["played_at"], each["play_id"]))
    total, weight, known = 0.0, 1.0, False
    for each in own[own.index(play) :]:
        if each["played_at"] - play["played_at"] < DAY:
            gain = _completed(each, own)
            total += weight * bool(gain)
            known = known or gain is not None
            weight *= DISCOUNT
    return total if known else None


def _context_left(play: Row, plays: Sequence[Row]) -> bool | None:
    """With the artist as what a play came from."""
    if play["artist_id"] is None:
        return None
    after = [
        other
        for other in plays
        if other["session_id"] == play["session_id"]
        and (other["played_at"], other["play_id"]) > (play["played_at"], play["play_id"])
        and other["played_at"] - play["played_at"] < DAY
    ]
    if after:
        following = min(after, key=lambda other: (other["played_at"], other["play_id"]))
        return bool(following["artist_id"] != play["artist_id"])
    return True if _completed(play, plays) is False else None


# Of each reward the horizon, and the value where that is over.
DEFINITIONS: dict[str, tuple[str, Callable[[Row, Sequence[Row]], Any]]] = {
    "completed": ("", _completed),
    "skipped_early": ("", lambda play, _: _skipped(play, True)),
    "skipped_late": ("", lambda play, _: _skipped(play, False)),
    "saved": ("", lambda play, _: play["saved"]),
    "replayed_1d": ("1d", lambda play, plays: bool(_later(play, plays, 1, "track_id"))),
    "returns_7d": ("7d", lambda p, plays: any(each["position"] == 1 for each in _later(p, plays, 7))),
    "artist_again_30d": ("30d", _artist_again),
    "sticky_59d": ("60d", _sticky),
    "session_goes_on": ("1d", lambda play, plays: bool(_later(play, plays, 1, "session_id"))),
    "ms_after": (
        "1d",
        lambda play, plays: sum(each["ms_played"] or 0 for each in _later(play, plays, 1, "session_id")),
    ),
    "completed_to_go": ("1d", _to_go),
    "context_left": ("1d", _context_left),
    "discovered": ("", _discovered),
}


# All horizons of the first of these are over on the last, of the second all but one, of the third one.
LABEL_DAYS = [(MIDNIGHT + n * DAY).date() for n in (0, 30, 59, 60)]
THROUGH = LABEL_DAYS[-1]
_STEPS = (0, 0, 1, 1, 7, 30, 59, 60, -90, -1)


def worlds(seed: int, count: int) -> World:
    """Plays of so many listeners on `LABEL_DAYS`, and around the ends of all horizons from there."""
    rng, plays = Random(seed), World()
    for number in range(count):
        start = MIDNIGHT + rng.choice((0, 0, 30, 59, 60)) * DAY + rng.choice((0, 1, 10, 15, 23.75)) * DAY / 24
        for n in range(rng.randint(1, 8)):
            at = start + rng.choice(_STEPS) * DAY + rng.choice((*AROUND, DAY / 24, -DAY / 3))
            plays.append(_play(rng, f"world {number}", f"{rng.choice('abc')}{number} {n}", at))
    # ties: another play at the instant of one
    for play in rng.sample(plays, len(plays) // 10):
        plays.append(play | {"play_id": f"tie {play['play_id']}", "track_id": rng.choice("ab")})
    plays[:] = [play for play in plays if play["ds"] <= THROUGH]
    rng.shuffle(plays)
    return plays


def _play(rng: Random, user: str, play_id: str, at: datetime) -> Row:
    return session_play(
        play_id=play_id,
        user_id=user,
        played_at=at,
        track_id=rng.choice("ab"),
        artist_id=rng.choice((None, "a", "b")),
        session_id=rng.choice(("s1", "s1", "s2")),
        position=rng.choice((1, 2)),
        ms_played=rng.choice((None, 0, 29_999, 30_000, 180_000)),
        completion=rng.choice((None, 0.0, 0.89, 0.9, 1.0)),
        skipped=rng.choice((None, True, False)),
        saved=rng.choice((None, True, False)),
        is_bot=rng.choice((True, False)),
    )
