"""Thrift's compact protocol, which the footers of Parquet are written in: structs of any definition, read and written.

A struct is a dict from the number of a field to its type and value; a list is the type of its items and a Python list.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
_LONG_LIST = 15


class Field(NamedTuple):
    type: int
    value: Any


class Items(NamedTuple):
    type: int
    values: list[Any]


Struct = dict[int, Field]


def read_struct(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """And the place behind it.

    Raises:
        ValueError: these bytes are no struct, or a part of one.
    """
    try:
        return _read_struct(data, at)
    except IndexError:
        raise ValueError("a struct of Thrift ends too early") from None


def write_struct(struct: Struct) -> bytes:
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _read_struct(data: bytes, at: int) -> tuple[Struct, int]:
    struct: Struct = {}
    number = 0
    while (head := data[at]) != STOP:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        kind = head & 15
        if kind in (TRUE, FALSE):
            struct[number] = Field(TRUE, kind == TRUE)
        else:
            value, at = _read_value(data, at, kind)
            struct[number] = Field(kind, value)
    return struct, at + 1


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (I32, I64, I16):
        return _read_integer(data, at)
    if kind == BINARY:
        size, at = read_varint(data, at)
        return _cut(data, at, size), at + size
    if kind == STRUCT:
        return _read_struct(data, at)
    if kind in (LIST, SET):
        return _read_items(data, at)
    if kind in (TRUE, FALSE, BYTE):  # of a list: in a struct, a truth value is the type itself
        return data[at], at + 1
    if kind == DOUBLE:
        return _cut(data, at, 8), at + 8
    raise ValueError(f"a value of Thrift's type {kind}, which Parquet does not use")


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError
    return data[at : at + size]


def _read_items(data: bytes, at: int) -> tuple[Items, int]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == _LONG_LIST:
        size, at = read_varint(data, at)
    values = []
    for _ in range(size):
        value, at = _read_value(data, at, kind)
        values.append(value)
    return Items(kind, values), at


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(struct.items()):
        head = (TRUE if value else FALSE) if kind == TRUE else kind
        if 0 < number - before <= 15:
            out.append((number - before) << 4 | head)
        else:
            out.append(head)
            _write_integer(out, number)
        if kind != TRUE:
            _write_value(out, kind, value)
        before = number
    out.append(STOP)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I32, I64, I16):
        _write_integer(out, value)
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (LIST, SET):
        _write_items(out, value)
    elif kind == DOUBLE:
        out += value
    else:
        out.append(value)


def _write_items(out: bytearray, items: Items) -> None:
    if len(items.values) < _LONG_LIST:
        out.append(len(items.values) << 4 | items.type)
    else:
        out.append(_LONG_LIST << 4 | items.type)
        _write_varint(out, len(items.values))
    for value in items.values:
        _write_value(out, items.type, value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_varint(out, (value << 1) ^ (value >> 63))


def _write_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
