"""Spaces: vectors compare within one only, so those of two are never handed out together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date

from segue.errors import SegueError, UsageError

# Of one table: the spaces of some days. The gate lets one pass per day.
Days = Mapping[date, Collection[str]]


def resolve_space(
    tables: Mapping[str, Days], asked: str | None, everywhere: Callable[[], Collection[str]]
) -> str | None:
    """The space of all vectors handed out together; None where there are none.

    Args:
        tables: the days of each table that a label gets a row of.
        asked: the space that the caller wants; days in others are left out.
        everywhere: the spaces of all days; only called where no label gets a day in `asked`.

    Raises:
        SegueError: a day has several.
        UsageError: there are several, and none is asked for; or no day at all is in the one asked for.
    """
    since = find_first_days(tables)
    if asked is None:
        if len(since) > 1:
            raise UsageError.mixed_spaces(since)
        return next(iter(since), None)
    if asked not in since and asked not in (known := everywhere()):
        raise UsageError.unknown("space", asked, sorted(known), "the tables of the features")
    return asked


def find_first_days(tables: Mapping[str, Days]) -> dict[str, dict[str, date]]:
    """Per space, the first day of each table; the oldest space first.

    Raises:
        SegueError: a day has several.
    """
    days = sorted(
        (day, table, spaces) for table, of_days in tables.items() for day, spaces in of_days.items()
    )
    since: dict[str, dict[str, date]] = {}
    for day, table, spaces in days:
        if len(spaces) > 1:
            raise SegueError.many_spaces(table, day, spaces)
        for space in spaces:
            since.setdefault(space, {}).setdefault(table, day)
    return since
