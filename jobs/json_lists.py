"""Where the records of a JSON document lie: in a list of objects, or in one in each element of that. No Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.foreign_names import NAMES, REQUIRED, TRACK_NAMES, fold_name

Lists = dict[str, list[Any]]


@dataclass(frozen=True)
class RecordLists:
    """`names` are those of the lists on the way down, `others` the lists that are not on it; `alike`, where nobody can
    say which of several to take, are lists of one kind."""

    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return _join(self.names)


def find_record_lists(document: dict[str, Any]) -> RecordLists:
    """No names where the document is a record itself."""
    names: list[str] = []
    others: list[str] = []
    value, lists = document, _list_lists(document)
    if not _says_what_or_when(document):
        # it may wrap all that it says in an object; what a play has in objects describes that play
        lists |= dict(_list_wrapped(document))
    while lists and not _is_record(value, lists):
        above = f"{_join(names)}." if names else ""
        name, *left = lists
        alike = [name, *(each for each in left if _are_alike(lists[each][0], lists[name][0]))]
        if len(alike) > 1:
            return RecordLists(alike=tuple(f"{above}{each}" for each in alike))
        names.append(name)
        others += [f"{above}{each}" for each in left]
        value = lists[name][0]
        lists = _list_lists(value)
    return RecordLists(tuple(names), tuple(others))


def _join(names: Sequence[str]) -> str:
    return ".".join(f"{name}[]" for name in names)


def _list_lists(value: dict[str, Any]) -> Lists:
    """Lists of objects, by name."""
    return {
        name: each
        for name, each in value.items()
        if isinstance(each, list) and each and isinstance(each[0], dict)
    }


def _list_wrapped(value: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Those of the objects in it, by their names with points between."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            lists = _list_lists(inner) | dict(_list_wrapped(inner))
            yield from ((f"{name}.{each}", found) for each, found in lists.items())


def _is_record(value: dict[str, Any], lists: Lists) -> bool:
    """Whether it says who, what or when, and the elements of its lists do not: such are artists of a play."""
    return len(_find_named(value)) > 1 and not any(map(_says_what_or_when, _list_elements(lists)))


def _says_what_or_when(value: dict[str, Any]) -> bool:
    return bool(_find_named(value) - {"user_id"})


def _find_named(value: dict[str, Any]) -> set[str]:
    """Which columns that make a play are there by their names."""
    letters = set(map(fold_name, value))
    return {column for column, names in _COLUMNS.items() if not letters.isdisjoint(names)}


def _list_elements(lists: Lists) -> Iterator[dict[str, Any]]:
    """The first of each list, and of those in it."""
    for each in lists.values():
        yield each[0]
        yield from _list_elements(_list_lists(each[0]))


def _are_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return 2 * len(one.keys() & other.keys()) > len(one.keys() | other.keys())


_COLUMNS = {
    **{column: set(map(fold_name, NAMES[column])) for column in REQUIRED},
    # a name alone may be that of a list, or of an artist
    "title": set(map(fold_name, TRACK_NAMES["title"])) - {"name"},
}
