"""Discovery traces, from their definition: every play is held against every other one of its listener."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

from reference.rewards import status
from reference.rows import Row, bucket
from reference.worlds import DAY

ITEMS = ("track", "artist")


def discovery_traces(
    plays: Sequence[Row],
    of_days: Iterable[date],
    through: date,
    last: date,
    days: int = 59,
    items: Sequence[str] = ITEMS,
    erased_at: Mapping[str, datetime] | None = None,
) -> Iterator[Row]:
    """Rows of `discovery_traces` of these days, but `available_at`; all delivered is of days up to `through`, and no
    play of one after `last`."""
    of_days, by_user = set(of_days), {}
    for play in plays:
        by_user.setdefault(play["user_id"], []).append(play)
    for play in plays:
        for item in items if play["ds"] in of_days else ():
            same = [each for each in by_user[play["user_id"]] if each[f"{item}_id"] == play[f"{item}_id"]]
            if play[f"{item}_id"] is not None and is_discovery(play, same):
                lost = erased_at is not None and play["played_at"] < erased_at.get(
                    play["user_id"], play["played_at"]
                )
                row = _make_row(play, item)
                if lost:
                    yield row | {"trace": None, "days_observed": 0, "status": "censored"}
                else:
                    yield row | _observe(play, same, through, last, days)


def is_discovery(play: Row, same: Iterable[Row]) -> bool:
    """None of these in the 90 days before it, and of several at its instant it is the first."""
    for other in same:
        if play["played_at"] - 90 * DAY <= other["played_at"] < play["played_at"]:
            return False
        if other["played_at"] == play["played_at"] and other["play_id"] < play["play_id"]:
            return False
    return True


def _observe(play: Row, same: Sequence[Row], through: date, last: date, days: int) -> Row:
    trace = observed = 0
    for n in range(1, days + 1):
        day = play["ds"] + n * DAY
        if day <= through and day <= last:
            observed += 1
            for other in same:
                if other["ds"] == day:
                    trace |= 1 << (n - 1)
    return {"trace": trace, "days_observed": observed, "status": status(play["ds"], days, through, last)}


def _make_row(play: Row, item: str) -> Row:
    return {
        "user_id": play["user_id"],
        "item_type": item,
        "item_id": play[f"{item}_id"],
        "play_id": play["play_id"],
        "discovered_at": play["played_at"],
        "bucket": bucket(play["user_id"]),
        "ds": play["ds"],
    }
