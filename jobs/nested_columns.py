"""Columns of which a row holds many values, lists and objects, and how a field of them is taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from schemas.common import quote_name

# Of keys of an object.
SHOWN = 8
# What most wants to be taken.
_IDS = ("id", "$oid", "$date", "uts", "name", "#text")
MANY_PLAYS = "one row holds many plays: write a row a play first"


def is_nested(values: Sequence[Any], has_lists: bool = False) -> bool:
    """Lists of texts are none where it `has_lists`."""
    if has_lists:
        values = [each for value in values for each in (value if isinstance(value, list) else [value])]
    return any(isinstance(value, (dict, list)) for value in values)


def describe_nested(name: str, values: Sequence[Any], kind: str, holds_plays: bool) -> str:
    """What is in a nested column, and SQL that takes a part of it.

    Args:
        kind: of the file: what is nested is text in JSON.
        holds_plays: ids or instants are lists, so that a row is of several plays.
    """
    column = quote_name(name)
    if any(isinstance(value, list) for value in values):
        sql = f"get({column}, 0)" if kind == "parquet" else f"get_json_object({column}, '$[0]')"
        if holds_plays:
            return f"{name} is a list: {MANY_PLAYS}"
        if any(isinstance(each, dict) for value in values if isinstance(value, list) for each in value):
            return f"{name} is a list of objects: where they are plays, write a row a play first"
        return f"{name} is a list: take one of its values, such as {sql}"
    keys = list(dict.fromkeys(key for value in values if isinstance(value, dict) for key in value))
    key = next((each for each in (*_IDS, *keys) if each in keys and _is_plain(each)), "...")
    sql = f"{column}.{quote_name(key)}" if kind == "parquet" else f"get_json_object({column}, '$.{key}')"
    listed = ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
    return f"{name} has fields ({listed}): take one of them, such as {sql}"


def _is_plain(key: str) -> bool:
    # others need another spelling in a path
    return re.fullmatch(r"[$#@]?\w+", key) is not None
