"""When a flow runs: a cron expression in UTC, and the runs that it means. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

# Of each field the least and the greatest value; Sunday is 0 and 7.
FIELDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
RANGE = " ".join(f"{name} {low}-{high}" for name, (low, high) in FIELDS.items())
EXAMPLE = "30 4 * * *"
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", re.ASCII)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Schedule:
    """What `parse_schedule` makes of an expression: of each field the values that it names."""

    expression: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @cached_property
    def times(self) -> list[time]:
        """Of a day that has runs, in order."""
        return [time(hour, minute, tzinfo=UTC) for hour in self.hours for minute in self.minutes]

    def is_on(self, day: date) -> bool:
        """Where both days of the month and weekdays are named, one of them is enough, as in every cron."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        _, _, days, _, weekdays = self.expression.split()
        either = "*" not in (days, weekdays)
        return day.month in self.months and ((of_month or of_week) if either else (of_month and of_week))

    def list_runs(self, after: datetime) -> Iterator[datetime]:
        """The runs after an instant, without end."""
        day = after.astimezone(UTC).date()
        while True:
            runs = (datetime.combine(day, at) for at in self.times) if self.is_on(day) else ()
            yield from (run for run in runs if run > after)
            day += _DAY

    def count_late_runs(self, last_day: date, now: datetime) -> int:
        """Runs until now that a day after `last_day` was there for: a run takes in the days that are over."""
        # 1 may be the one that is running now: how long runs take, no schedule says
        today = now.astimezone(UTC).date()
        whole = sum(self.is_on(last_day + _DAY * n) for n in range(2, (today - last_day).days))
        count = whole * len(self.times)
        if today >= last_day + 2 * _DAY and self.is_on(today):
            count += sum(datetime.combine(today, at) <= now for at in self.times)
        return count


def parse_schedule(expression: str) -> Schedule:
    """Raises ValueError, with what is wrong: not five fields, a value that a field cannot have, no day at all."""
    texts = expression.split()
    if len(texts) != len(FIELDS):
        raise ValueError(f"it has {len(texts)} fields")
    minutes, hours, days, months, weekdays = (
        _parse_field(name, text) for name, text in zip(FIELDS, texts, strict=True)
    )
    schedule = Schedule(
        " ".join(texts),
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
    )
    if "*" not in (texts[2], texts[4]) and "*" in texts[2] + texts[4]:
        # cron takes days that are both, Kubernetes those that are either
        raise ValueError(f"schedulers differ on day {texts[2]!r} beside weekday {texts[4]!r}")
    if texts[4] == "*" and min(days) > max(_LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError("no such day ever comes")
    return schedule


def _parse_field(name: str, text: str) -> set[int]:
    low, high = FIELDS[name]
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"its {name} {text!r} is none")
        first, last, step = (None if each is None else int(each) for each in match.groups())
        if first is None:
            first, last = low, high
        elif last is None:
            # a value with a step goes on to the end
            last = high if step else first
        if not (low <= first <= last <= high) or step == 0:
            raise ValueError(f"its {name} {text!r} is not within {low} and {high}")
        values |= set(range(first, last + 1, step or 1))
    return values
