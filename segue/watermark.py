"""Watermarks: up to which instant a table is complete, and what may not be made of the days behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta


def floor_day(instant: datetime) -> datetime:
    """The midnight, in UTC, that the day of an instant begins with."""
    return datetime.combine(instant.astimezone(UTC).date(), time(), UTC)


def is_complete(day: date, through: datetime) -> bool:
    """Whether all of a day is before an instant."""
    # by days, as the end of the last one of the calendar is no datetime
    return day < through.astimezone(UTC).date()


def find_first_provisional_label(through: datetime) -> datetime:
    """The first instant at which the newest day that has ended is not complete."""
    # a label gets the day before its own, which is complete if the watermark is anywhere in its own
    return floor_day(through) + timedelta(days=1)


def find_newest_complete(days: Sequence[date], through: datetime | None) -> date | None:
    """Of days in order."""
    return next((day for day in reversed(days) if through is None or is_complete(day, through)), None)


def describe_provisional(table: str, through: datetime, count: int, first: datetime, labels: int) -> str:
    """What is wrong with labels of days that are not complete, in words."""
    return (
        f"{count:,} of {labels:,} labels, from {first:%Y-%m-%d %H:%M:%S} on, need more than has been delivered: table "
        f"{table} is complete through {through:%Y-%m-%d %H:%M:%S} UTC, so their values could still change"
    )
