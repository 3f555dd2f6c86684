"""Keys as callers have them: any kind of text that Arrow, numpy, pandas or polars know, as Arrow's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segue.errors import UsageError, first_line

CAST_HINT = "with cast_keys=True whole numbers become their digits, 7 is '7', and bytes are read as UTF-8"


def value_type(type_: pa.DataType) -> pa.DataType:
    """Of a dictionary, as pandas has categories, or of a run-end encoding, that of its values."""
    is_encoded = pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_)
    return type_.value_type if is_encoded else type_


def is_text(type_: pa.DataType) -> bool:
    # what keys may come as: numpy, pandas and polars each have their own; an empty list is of nulls
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(kind(value_type(type_)) for kind in kinds)


def can_cast(type_: pa.DataType) -> bool:
    """Whether each value has one text only: 7.0 could be '7' or '7.0', so a float has not."""
    kinds = (pa.types.is_integer, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    plain = value_type(type_)
    return is_text(type_) or any(kind(plain) for kind in (*kinds, pa.types.is_fixed_size_binary))


def read_keys(keys: Any, cast: bool = False) -> pa.StringArray:
    """The keys in their order; NaN in an array of numpy or pandas is null.

    Raises:
        UsageError: they are no list, or no texts; with `cast`, no whole numbers or bytes either.
    """
    if isinstance(keys, str | bytes):
        raise UsageError.not_a_list("keys", repr(keys))
    column = _to_arrow(keys, cast)
    if not (can_cast if cast else is_text)(column.type):
        raise _wrong_type(column.type, cast)
    try:
        return pc.cast(to_text(column), pa.string()).combine_chunks()
    except pa.ArrowInvalid as problem:
        raise UsageError(f"keys cannot be read as text: {problem}", "give them as strings") from None


def to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that `can_cast` allows, as text; large, as all texts of one may be more than the 2 GB of others."""
    column = decode_runs(column)
    if pa.types.is_dictionary(column.type) and pa.types.is_string_view(column.type.value_type):
        # as polars lends its categories: Arrow takes no rows of such a dictionary
        type_ = pa.dictionary(column.type.index_type, pa.large_string())
        column = pa.chunked_array([_recode(chunk) for chunk in column.chunks], type_)
    if pa.types.is_fixed_size_binary(column.type):  # which Arrow casts to no text
        column = column.cast(pa.large_binary())
    return column.cast(pa.large_string())


def read_texts(rows: pa.Table, name: str, whose: str) -> pa.ChunkedArray:
    """A column of keys as text, however it has them.

    Raises:
        UsageError: bytes that are no UTF-8, lists, or others that no text is made of.
    """
    try:
        return to_text(rows[name])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        text = f"{name!r} of {whose} cannot be read as text: {first_line(problem)}"
        raise UsageError(text, "give it as strings") from None


def decode_runs(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column with a value for each row, also where it came with one for each run of equal rows."""
    if not pa.types.is_run_end_encoded(column.type):
        return column
    return pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], value_type(column.type))


def count_nulls(column: pa.ChunkedArray) -> int:
    """Those among the values of a dictionary too, which its indices do not tell from others."""
    if not pa.types.is_dictionary(column.type):
        return int(column.null_count)
    are_null = (pc.take(chunk.dictionary.is_null(), chunk.indices) for chunk in column.chunks)
    return sum(pc.sum(each.fill_null(True)).as_py() or 0 for each in are_null)


def replace_views(rows: pa.Table) -> pa.Table:
    """With texts and bytes as large ones where they are views, as polars lends them, and a value for each row where
    they are runs: Arrow takes no rows of either."""
    plain = pa.table([decode_runs(column) for column in rows.columns], rows.column_names)
    fields = [old.with_type(new.type) for old, new in zip(rows.schema, plain.schema, strict=True)]
    return plain.cast(pa.schema(map(_without_views, fields), rows.schema.metadata))


def _without_views(field: pa.Field) -> pa.Field:
    return field.with_type(_type_without_views(field.type))


def _type_without_views(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(type_):
        return pa.large_string()
    if pa.types.is_binary_view(type_):
        return pa.large_binary()
    of_lists = {pa.types.is_list: pa.list_, pa.types.is_large_list: pa.large_list}
    for is_list, make in of_lists.items():
        if is_list(type_):
            return make(_without_views(type_.value_field))
    if pa.types.is_struct(type_):
        return pa.struct([_without_views(field) for field in type_])
    return type_


def _recode(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.large_string()))


def _to_arrow(keys: Any, cast: bool) -> pa.ChunkedArray:
    try:
        if isinstance(keys, pa.ChunkedArray):
            return keys
        if not isinstance(keys, pa.Array) and hasattr(keys, "__arrow_c_stream__"):
            # polars, and others that lend their columns: nothing is copied
            return pa.chunked_array(keys)
        array = keys if isinstance(keys, pa.Array) else _build_array(keys)
        return pa.chunked_array([array], array.type)
    except UnicodeEncodeError as problem:
        raise _not_utf8(problem) from None
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        texts = _join_kinds(keys)
        if cast and texts is not None:
            return _build_texts(texts)
        got = repr(keys)[:60]
        if texts is not None:
            raise UsageError(f"keys must be a list of strings; got {got}", CAST_HINT) from None
        raise UsageError.not_a_list("keys", got) from None


def _build_texts(texts: list[str | None]) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([texts], pa.string())
    except UnicodeEncodeError as problem:
        raise _not_utf8(problem) from None


def _not_utf8(problem: UnicodeEncodeError) -> UsageError:
    # half of a character, as bytes that are no text become in file names and arguments
    got = problem.object[: problem.end][-60:]
    return UsageError(
        f"keys must be text that UTF-8 can hold; got {got!r}", "decode the ids as the source does"
    )


def _build_array(keys: Any) -> pa.Array:
    if isinstance(keys, np.ndarray) and keys.ndim == 1 and keys.dtype.kind in "TO":
        # `T`, the variable-width strings of numpy 2, is a type that Arrow does not read
        return pa.array(keys.tolist(), from_pandas=True)
    return pa.array(keys)


def _join_kinds(keys: Any) -> list[str | None] | None:
    """Strings and whole numbers together, as text; None where there is anything else."""
    is_list = isinstance(keys, list | tuple)
    allowed = is_list and all(
        key is None or (isinstance(key, str | int | np.integer) and not isinstance(key, bool)) for key in keys
    )
    return [None if key is None else str(key) for key in keys] if allowed else None


def _wrong_type(type_: pa.DataType, cast: bool) -> UsageError:
    got = f"values of type {value_type(type_)}"
    if not can_cast(type_):
        return UsageError.not_a_list("keys", got)
    return UsageError(f"keys must be a list of strings; got {got}", None if cast else CAST_HINT)
