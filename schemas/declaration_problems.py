"""What is wrong with a feature over any rows, and with a group of features."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from schemas.column_problems import find_name_problems
from schemas.operations import LIFETIME, OPERATIONS, DeclarationError, window_days
from schemas.row_problems import find_group_sql_problems, find_key_problems, is_personal
from schemas.sql import find_syntax_problems

if TYPE_CHECKING:
    from schemas.declarations import Feature, FeatureGroup

# Which of a group's windows a tile is in is a bigint with a bit for each.
MAX_WINDOWS = 62


def find_feature_problems(feature: Feature) -> Iterator[str]:
    if feature.op not in OPERATIONS:
        near = get_close_matches(feature.op, OPERATIONS, n=1)
        hint = f"; perhaps {near[0]}" if near else ""
        yield f"operation {feature.op!r} is unknown; known: {', '.join(OPERATIONS)}{hint}"
        return
    if not re.fullmatch(r"[a-z][a-z0-9_]*", feature.what):
        yield f"its name {feature.what!r} is no column's; use a-z, 0-9 and _"
    # a text that is no SQL would otherwise be found out by the first job
    for option, sql in feature.expressions.items():
        yield from find_syntax_problems(option, sql)
    yield from _find_option_problems(feature)
    for window in feature.windows:
        yield from _find_window_problems(feature, window)


def _find_option_problems(feature: Feature) -> Iterator[str]:
    empty = feature.operation.empty_value
    if feature.default is not None and empty is not None:
        value = list(empty) if isinstance(empty, tuple) else empty
        yield f"{feature.op} of no plays is {value} by definition, so it takes no default"
    needed = feature.operation.options
    given = [option for option in ("per", "k", "at", "edges") if getattr(feature, option)]
    yield from (f"{feature.op} needs {option}=…" for option in needed if option not in given)
    yield from (f"{feature.op} has no {option}=…; leave it out" for option in given if option not in needed)
    # of bools, which are ints to Python, there is no count
    if feature.k and (type(feature.k) is not int or feature.k < 1):
        yield f"k is {feature.k!r}, expected a whole number from 1 on"
    if list(feature.edges) != sorted(set(feature.edges)):
        yield f"edges {feature.edges} are not in order, each once"
    if not all(0 <= rank <= 1 for rank in feature.at):
        yield f"at {feature.at} is not within 0 and 1"


def _find_window_problems(feature: Feature, window: str) -> Iterator[str]:
    operation = feature.operation
    if window == LIFETIME:
        if not (operation.allows_lifetime or operation.longest == 0):
            yield f"{feature.op} has no window 'lifetime'"
        return
    try:
        length = window_days(window)
    except DeclarationError as problem:
        yield str(problem)
        return
    if length > operation.longest:
        longest = f"the longest is {operation.longest}d" if operation.longest else "only 'lifetime'"
        yield f"{feature.op} has no window {window!r}; {longest}"


def find_group_problems(group: FeatureGroup) -> Iterator[str]:
    yield from find_name_problems("name", group.table)
    names = [feature.name(window) for feature, window in group.feature_windows]
    if duplicates := ", ".join(sorted({name for name in names if names.count(name) > 1})):
        yield f"{duplicates} declared twice; a name follows from what, op and window, so give one of them another"
    # the catalogue's columns follow from SQL that can be read
    yield from (sql_problems := list(find_group_sql_problems(group)))
    if not sql_problems:
        yield from find_key_problems(group)
    # the type is in no part's name
    if len({part.name for part in group.parts}) < len(set(group.parts)):
        yield "one expression is declared with two types; give it one"
    windows = {LIFETIME, *(over for f, w in group.feature_windows for over in f.operation.total_windows(w))}
    if len(windows) > MAX_WINDOWS:
        yield f"{len(windows)} different windows; {MAX_WINDOWS} fit"
    if not group.idle_rows:
        yield from _find_idle_problems(group)
    if "user_id" not in group.keys:
        # a track's row names no listener, so an erasure would neither find nor rewrite it
        personal = [f"{f.what}_{f.op}" for f in group.features if is_personal(f)]
        yield from (
            f"{n} would keep what one listener did where no listener can be erased from" for n in personal
        )


def _find_idle_problems(group: FeatureGroup) -> Iterator[str]:
    if not group.daily:
        yield "idle_rows=False is of a daily table, and there is none; leave it out"
    # a default in a row looks like a value, and would grow by a day each day
    growing = [
        f"{f.what}_{f.op}" for f in group.features if f.operation.idle == "days" and f.default is not None
    ]
    if growing:
        yield f"{', '.join(growing)} has a default, which idle_rows=False cannot tell from days; leave one of them out"
