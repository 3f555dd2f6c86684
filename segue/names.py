"""Lists of names as callers give them: of features, columns and labels."""

from __future__ import annotations

from collections.abc import Iterable

from segue.errors import UsageError


def read_names(what: str, names: Iterable[str]) -> list[str]:
    """The names in their order; of a generator too, which can be gone through once only.

    Raises:
        UsageError: they are no list of strings.
    """
    # text has an iterator of strings too: 'title' would be five names
    if not isinstance(names, str) and isinstance(names, Iterable):
        listed = list(names)
        if all(isinstance(each, str) for each in listed):
            return listed
    raise UsageError.not_a_list(what, repr(names))
