"""What is wrong with features and keys over the rows of their source: unknown columns, wrong types, listeners kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.column_problems import RESERVED_COLUMNS, find_name_problems
from schemas.contract import Contract
from schemas.event_tables import row_of
from schemas.operations import OPERATIONS
from schemas.sql import find_column_problems, find_sql_problems, find_syntax_problems, list_columns

if TYPE_CHECKING:
    from schemas.declarations import Feature, FeatureGroup

# What names a listener, or what only one listener did: kept only where the listener can be erased from.
IDENTIFYING_COLUMNS = ("user_id", "session_id", "play_id")
# What a default is in Python, by the type of its column; of all others a text.
_TYPES_OF_DEFAULTS: dict[str, type | tuple[type, ...]] = {
    "int": int, "bigint": int, "double": (int, float), "boolean": bool
}  # fmt: skip


def find_row_problems(feature: Feature, row: Contract) -> Iterator[str]:
    """What is wrong with it over such a row, besides what is wrong with it over any."""
    for option, sql in feature.expressions.items():
        if not list(find_syntax_problems(option, sql)):
            yield from find_column_problems(option, sql, row)
    if feature.op in OPERATIONS:
        yield from _find_type_problems(feature, row)


def _find_type_problems(feature: Feature, row: Contract) -> Iterator[str]:
    operation = feature.operation
    stored = row.column(feature.input).type if feature.input in row.names else ""
    input_type = feature.type or stored
    if operation.input_types and input_type not in operation.input_types:
        expected, actual = " or ".join(operation.input_types), input_type or "unknown (say type=…)"
        yield f"{feature.op} takes {expected}, the type of {feature.input!r} is {actual}"
    if stored and feature.type not in ("", stored):
        yield f"{feature.input} is {stored}, not {feature.type}; leave type out"
    # of an expression the type is not worked out here: that takes Spark
    if "{T}" in operation.type and not input_type:
        yield f"{feature.op} gives what it takes; say the type of {feature.input!r} by type=…"
    elif feature.default is not None and operation.empty_value is None:
        yield from _find_default_problems(feature, input_type)


def _find_default_problems(feature: Feature, input_type: str) -> Iterator[str]:
    type_ = feature.operation.type.replace("{T}", input_type)
    default, number = feature.default, len(feature.at)
    is_array = type_.startswith("array<")
    if is_array and not (isinstance(default, tuple | list) and len(default) == number):
        yield f"default is {default!r}, expected a tuple of {number}, one for each of at={feature.at}"
        return
    value_type = type_.removeprefix("array<").removesuffix(">")
    if not all(_is_value(each, value_type) for each in (default if is_array else [default])):
        yield f"default is {default!r}, expected {type_}, as all values of {feature.op} are"


def _is_value(value: object, type_: str) -> bool:
    # a bool is an int to Python, and none to Spark
    is_bool = isinstance(value, bool)
    return isinstance(value, _TYPES_OF_DEFAULTS.get(type_, str)) and is_bool == (type_ == "boolean")


def find_group_sql_problems(group: FeatureGroup) -> Iterator[str]:
    """Of the group's own SQL."""
    row = row_of(group.events, group.catalogue, {})
    own = [(f"derived key {name}", sql, row) for name, sql in group.derived_keys.items()]
    for option, sql, of in [("where", group.where, group.row), *own]:
        yield from find_sql_problems(option, sql, of)


def find_key_problems(group: FeatureGroup) -> Iterator[str]:
    row, columns = group.row, row_of(group.events, group.catalogue, {}).names
    if not group.keys:
        yield "keys are empty; give the columns that name its entity"
    if unknown := [key for key in group.keys if key not in row.names]:
        tables = f"{row.name} or tracks" if "track_id" in row.names else row.name
        yield f"{', '.join(unknown)} is no column of {tables}, so it names no entity"
    for key in group.keys:
        if key in RESERVED_COLUMNS:
            yield f"{key} is a column that tables of features have besides their keys; name an entity"
        elif key in row.names and row.column(key).type != "string":
            yield f"key {key} is {row.column(key).type}, expected string; derive one by derived_keys=…"
    for name, sql in group.derived_keys.items():
        yield from find_name_problems("derived key", name)
        if name in columns:
            yield f"derived key {name} is a column of {row.name} already; give it another name"
        if name not in group.keys:
            yield f"derived key {name} is none of the keys ({', '.join(group.keys)}); leave it out"
        if "user_id" not in group.keys and not {*list_columns(sql)}.isdisjoint(IDENTIFYING_COLUMNS):
            yield f"derived key {name} would name a listener where none can be erased from; make user_id a key too"


def is_personal(feature: Feature) -> bool:
    # these two keep the texts of their input, whosever ids those are
    lists_input = feature.op in ("top_k", "entropy")
    identifying = {*IDENTIFYING_COLUMNS, *feature.row.key}
    return feature.operation.personal or (
        lists_input and not {*list_columns(feature.input)}.isdisjoint(identifying)
    )
