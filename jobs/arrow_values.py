"""Rows of Arrow as Python has them, also with instants of years that Python does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def list_values(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Each row by its names; a value that Python has none for, such as milliseconds taken as seconds, is None."""
    columns = [_list_column(column) for column in table.columns]
    return [dict(zip(table.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _list_column(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        return [_convert(value) for value in column]
    return values


def _convert(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return None
