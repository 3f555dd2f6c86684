"""Training, validation and test rows by their instants and by listeners, as `segue training-set` splits them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce
from itertools import accumulate
from numbers import Real

import numpy as np
import pyarrow as pa
from pyarrow.types import (
    is_binary,
    is_binary_view,
    is_boolean,
    is_date,
    is_fixed_size_binary,
    is_float32,
    is_float64,
    is_int8,
    is_int16,
    is_int32,
    is_int64,
    is_large_binary,
    is_timestamp,
    is_uint8,
    is_uint16,
    is_uint32,
)

from segue.buckets import xxhash64
from segue.errors import UsageError, first_line
from segue.instants import INSTANT, to_micros
from segue.keys import decode_runs, is_text, to_text, value_type
from segue.lookup import Ints

SPLITS = ("train", "validation", "test")
# fine enough for a share of 0.01 %, and what a share is rounded to
_PARTS = 10_000
_INTEGERS_OF_32 = (is_boolean, is_int8, is_int16, is_int32, is_uint8, is_uint16)
# By the types of Arrow, what they are in turn until they are what Spark hashes: it has no unsigned ones, and its days
# and instants are numbers.
_CASTS: dict[tuple[Callable[[pa.DataType], bool], ...], list[pa.DataType]] = {
    _INTEGERS_OF_32: [pa.int32()],
    (is_int64, is_uint32): [pa.int64()],
    (is_date,): [pa.date32(), pa.int32()],
    (is_timestamp,): [INSTANT, pa.int64()],
    (is_float32,): [pa.float32()],
    (is_float64,): [pa.float64()],
    (is_binary, is_large_binary, is_binary_view, is_fixed_size_binary): [pa.large_binary()],
}


def read_instants(instants: Iterable[datetime]) -> list[int]:
    """Where validation and test begin, in microseconds; one is where the test begins.

    Raises:
        UsageError: no instants, more than two, or not in order.
    """
    listed = list(instants) if isinstance(instants, Iterable) else [instants]
    # a day is none: whether it begins or ends a split is not said
    if not isinstance(instants, Iterable) or not all(isinstance(each, datetime) for each in listed):
        hint = "datetime(2026, 11, 1, tzinfo=UTC), say"
        raise UsageError(f"instants are a list of datetime.datetime; got {instants!r}", hint)
    limits = [to_micros(each) for each in listed]
    if len(limits) > 2 or limits != sorted(set(limits)):
        raise UsageError("instants are one (where the test begins) or two in order", f"got {listed}")
    return limits


def are_shares(numbers: Sequence[float]) -> bool:
    """Whether these are the shares of two or three splits: none below 0, and 1 in all."""
    # typed by people: 0.7 0.2 0.1 add up to 1 but for rounding; of NaN, nothing is true
    return len(numbers) in (2, 3) and min(numbers) >= 0 and abs(sum(numbers) - 1) <= 1e-9


def read_shares(shares: Iterable[float]) -> list[float]:
    """Raises UsageError where they are not two or three numbers that add up to 1, or none at all."""
    listed = list(shares) if isinstance(shares, Iterable) else [shares]
    if listed and not (all(isinstance(each, Real) for each in listed) and are_shares(listed)):
        raise UsageError(f"shares are two or three that add up to 1; got {listed}")
    return [float(each) for each in listed]


def split_by_time(at: Ints, limits: Sequence[int]) -> Ints:
    """The place in `SPLITS` of instants in microseconds; `limits` as `read_instants` gives them."""
    return _places(len(limits) + 1)[np.searchsorted(np.array(limits, np.int64), at, side="right")]


def split_by_share(key: pa.ChunkedArray, shares: Sequence[float], salt: str = "") -> Ints:
    """The place in `SPLITS` of each row, by a hash of its key: a key is in the same split at any time.

    Another `salt` is another split: without it, what is a test set for one model would be one for all of them.

    Raises:
        UsageError: a key of a type that is not hashed as Spark does.
    """
    limits = np.array([round(_PARTS * limit) for limit in accumulate(shares)])
    # the last split takes what is left by shares that were rounded
    return _places(len(shares))[np.searchsorted(limits[:-1], _hash(key, salt), side="right")]


def _hash(key: pa.ChunkedArray, salt: str) -> Ints:
    """Of each row, as Spark's `pmod(xxhash64(salt, key), _PARTS)`; without a salt, of the key alone."""
    encoded = _to_hashed(key).dictionary_encode().combine_chunks()
    salts = (salt,) if salt else ()
    # of null at the end, which is the place -1
    hashes = [xxhash64(*salts, each) % _PARTS for each in (*_to_bytes(encoded.dictionary), None)]
    return np.array(hashes)[encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()]


def _to_hashed(key: pa.ChunkedArray) -> pa.ChunkedArray:
    """As the values whose bytes Spark hashes: by type, so that a number is another key than its digits."""
    type_ = value_type(key.type)
    if is_text(type_):
        return to_text(key)
    casts = next((casts for kinds, casts in _CASTS.items() if any(kind(type_) for kind in kinds)), None)
    if casts is None:
        raise UsageError(
            f"a split is by texts, numbers of 64 bits with a sign, days or instants; got {type_}",
            "give it as text, here and to segue training-set",
        )
    try:
        return reduce(pa.ChunkedArray.cast, casts, decode_runs(key).cast(type_))
    except pa.ArrowInvalid as problem:  # such as nanoseconds, which Spark has not
        raise UsageError(f"what a split is by is not hashed as Spark does: {first_line(problem)}") from None


def _to_bytes(values: pa.Array) -> Sequence[str | bytes]:
    if not pa.types.is_primitive(values.type):
        texts: list[str | bytes] = values.to_pylist()
        return texts
    numbers = values.to_numpy()
    if pa.types.is_floating(values.type):
        # zero has two signs and NaN many bits; Spark hashes one of each
        numbers = np.where(np.isnan(numbers), numbers.dtype.type(np.nan), numbers + 0)
    data, width = numbers.tobytes(), numbers.dtype.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]


def _places(count: int) -> Ints:
    # two splits are training and test
    return np.array([0, 2] if count == 2 else range(count))
