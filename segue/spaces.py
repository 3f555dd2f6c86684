"""Spaces: vectors compare within one only, so a result never holds vectors of two."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from datetime import date

from segue.errors import SegueError, UsageError

# Of one table: the spaces of some days, a day twice where it was published twice. The gate lets one pass each time.
Days = Iterable[tuple[date, Collection[str]]]


def check_has_spaces(space: str | None, with_spaces: Sized, tables: Collection[str]) -> None:
    """Raises UsageError where a space is given and none of the `tables` has any; `with_spaces` are those that do."""
    if space is not None and not with_spaces:
        raise UsageError(
            f"space {space!r} was asked for, and no table of the features has spaces; got "
            f"{', '.join(tables) or 'no features'}",
            "leave the space out",
        )


def resolve_space(
    tables: Mapping[str, Days], space: str | None, all_spaces: Callable[[], Collection[str]]
) -> str | None:
    """The space of all vectors of one result; None where there are none.

    Args:
        tables: the days of each table that a label gets a row of.
        space: the one that the caller wants; days in others are left out.
        all_spaces: those of all days.

    Raises:
        SegueError: a day has several.
        UsageError: there are several, and none is given; or no day at all is in the one given.
    """
    since = find_first_days(tables)
    if space is None:
        if len(since) > 1:
            raise UsageError(
                f"labels would get vectors of {len(since)} spaces ({describe_spaces(since)}); vectors compare within "
                "one only",
                "give labels of days in one space, or say which by space=… (--space …): features of days in another "
                "come out null then",
            )
        return next(iter(since), None)
    # Called only where no label gets a day in `space`, as it reads a column of every day. A space that is there, and
    # that no label gets, is no error but gives nulls.
    if space not in since and space not in (spaces := all_spaces()):
        raise UsageError.unknown("space", space, sorted(spaces), "the tables of the features")
    return space


def find_first_days(tables: Mapping[str, Days]) -> dict[str, dict[str, date]]:
    """Per space, the first day of each table; the oldest space first.

    Raises:
        SegueError: a day has several.
    """
    since: dict[str, dict[str, date]] = {}
    for day, table, spaces in sorted(
        (day, table, sorted(spaces)) for table, days in tables.items() for day, spaces in days
    ):
        if len(spaces) > 1:
            raise SegueError(
                f"the rows of {table} on {day} are of several spaces ({', '.join(spaces)}); vectors compare "
                "within one only",
                "open a release whose days have one each",
            )
        for space in spaces:
            since.setdefault(space, {}).setdefault(table, day)
    return since


def describe_spaces(since: Mapping[str, Mapping[str, date]]) -> str:
    """What `find_first_days` returns, in words."""
    return "; ".join(
        f"{space}: {', '.join(f'{table} from {day}' for table, day in tables.items())}"
        for space, tables in since.items()
    )
