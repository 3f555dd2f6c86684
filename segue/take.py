"""Rows by their places, however many items their lists and texts have together.

Arrow counts the items of a list column, and the bytes of a text one, in 32 bits. More in one piece is an error of its
own for texts, but lists come out with wrong items.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

# Items or bytes in one piece: to take them, Arrow makes a place of 8 bytes for each.
PIECE = 2**27


def take_rows(rows: pa.Table, places: pa.Array) -> pa.Table:
    """The rows at these places in their order, of nulls where a place is null; in several chunks, if they are large."""
    # an item is a bit at least: mostly this says it, where a look at each column would take longer than the rows
    if rows.nbytes * 8 * max(len(places), 1) <= PIECE:
        return rows.take(places)
    return pa.table([take_values(column, places) for column in rows.columns], rows.schema)


def take_values(column: pa.ChunkedArray, places: pa.Array) -> pa.ChunkedArray:
    """As `take_rows`, of one column."""
    step = max(PIECE // max(_find_longest(column), 1), 1)
    # chunks are put together before anything is taken, so that they may not have more either
    if max(len(column), len(places)) <= step:
        return column.take(places)
    large = column.cast(_with_large_offsets(column.type)).combine_chunks()
    pieces = (places.slice(start, step) for start in range(0, len(places), step))
    return pa.chunked_array([large.take(piece).cast(column.type) for piece in pieces], column.type)


def _find_longest(column: pa.ChunkedArray) -> int:
    """No value has more items or bytes in it, at any depth; 0 for what has no offsets."""
    type_ = column.type
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        length = pc.max(pc.list_value_length(column)).as_py() or 0
        return length * max(_find_longest(pc.list_flatten(column)), 1)
    if pa.types.is_struct(type_):
        fields = [pc.struct_field(column, place) for place in range(type_.num_fields)]
        return max(map(_find_longest, fields), default=0)
    kinds = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)
    return (pc.max(pc.binary_length(column)).as_py() or 0) if any(kind(type_) for kind in kinds) else 0


def _with_large_offsets(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.large_list(_field_with_large_offsets(type_.value_field))
    if pa.types.is_struct(type_):
        return pa.struct([_field_with_large_offsets(field) for field in type_])
    large = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
    return large.get(type_, type_)


def _field_with_large_offsets(field: pa.Field) -> pa.Field:
    return field.with_type(_with_large_offsets(field.type))
