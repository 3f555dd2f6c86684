"""Rows in groups, one for each day: what is counted of a column is counted of all days at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Of hashes: beside so many there is room for the number of a group in a key of 64 bits, and one sort of numbers serves
# all groups. Two of a million listeners share a hash with a probability of a third, which hides one of them.
HASH_BITS = 40
HASH_MASK = 2**HASH_BITS - 1


@dataclass(frozen=True)
class DayGroups:
    """`codes` says for each row which of `days` it is of. `listeners` are hashes of ids, -1 where there is none, or
    None where each row counts as one of its own; of each day or value `most_listeners` are kept."""

    days: tuple[date | None, ...]
    codes: Integers
    listeners: Integers | None
    most_listeners: int

    @property
    def row_counts(self) -> list[int]:
        return self.count(self.codes)

    def count(self, codes: Integers) -> list[int]:
        """Rows of each day."""
        return list(np.bincount(codes, minlength=len(self.days)).tolist())

    def sample_listeners(self, mask: Mask) -> list[tuple[int, ...]]:
        """Of each day, the least hashes of listeners among the rows of the mask."""
        if self.listeners is None:
            return [()] * len(self.days)
        return self._all_listeners if mask.all() else self._sample(mask)

    @cached_property
    def _all_listeners(self) -> list[tuple[int, ...]]:
        return self._sample(np.ones(len(self.codes), bool))

    def _sample(self, mask: Mask) -> list[tuple[int, ...]]:
        assert self.listeners is not None
        found = sample_hashes(self.codes[mask], self.listeners[mask], self.most_listeners)
        return [found.get(group, ()) for group in range(len(self.days))]


def sample_hashes(groups: Integers, hashes: Integers, most: int) -> dict[int, tuple[int, ...]]:
    """The least different hashes of each group; those below zero are none."""
    known = hashes >= 0
    keys = np.unique((groups[known].astype(np.int64) << HASH_BITS) | hashes[known])
    found = keys >> HASH_BITS
    _, starts, lengths = np.unique(found, return_index=True, return_counts=True)
    is_least = np.arange(len(keys)) - np.repeat(starts, lengths) < most
    least = split(found[is_least], keys[is_least] & HASH_MASK)
    return {group: tuple(of_group) for group, of_group in least}


def split(groups: Integers, values: Integers) -> Iterator[tuple[int, list[int]]]:
    """The values of each group; `groups` must be sorted."""
    names, starts, lengths = np.unique(groups, return_index=True, return_counts=True)
    numbers = values.tolist()
    for name, start, length in zip(names.tolist(), starts.tolist(), lengths.tolist(), strict=True):
        yield name, numbers[start : start + length]


def group_by_day(rows: pa.Table, day: str | None, listener: str | None, most_listeners: int) -> DayGroups:
    """Of a table with a column of days, or of one without: then all rows are of None."""
    hashes = None if listener is None else hash_ids(rows[listener])
    if day is None:
        return DayGroups((None,), np.zeros(rows.num_rows, np.int64), hashes, most_listeners)
    encoded = rows[day].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return DayGroups(tuple(encoded.dictionary.to_pylist()), codes, hashes, most_listeners)


def hash_ids(column: pa.ChunkedArray) -> Integers:
    """Spark's `xxhash64` of each id, the lower bits, and -1 of null. Whole numbers are such hashes already."""
    if pa.types.is_integer(column.type):
        return np.asarray(pc.fill_null(column, -1), np.int64)
    # here: executors, which get hashes from Spark, need not have it
    from xxhash import xxh64_intdigest

    encoded = column.combine_chunks().dictionary_encode()
    digests = [xxh64_intdigest(id_.encode(), seed=42) & HASH_MASK for id_ in encoded.dictionary.to_pylist()]
    return np.array([*digests, -1], np.int64)[np.asarray(pc.fill_null(encoded.indices, len(digests)))]


def hash_text(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=HASH_BITS // 8).digest())


def find_moments(groups: Integers, numbers: Floats, group_count: int) -> dict[str, list[float | None]]:
    """Mean, standard deviation, least and greatest of the finite numbers of each group; None where it has none."""
    finite = np.isfinite(numbers)
    order = np.argsort(groups[finite], kind="stable")
    groups, numbers = groups[finite][order], numbers[finite][order]
    names, starts, lengths = np.unique(groups, return_index=True, return_counts=True)
    columns = _find_moments(numbers, starts, lengths) if len(names) else (names,) * 4
    found: dict[str, list[float | None]] = {}
    for name, values in zip(("mean", "spread", "minimum", "maximum"), columns, strict=True):
        of_groups = np.full(group_count, None, object)
        of_groups[names] = values.tolist()
        found[name] = of_groups.tolist()
    return found


def _find_moments(numbers: Floats, starts: Integers, lengths: Integers) -> tuple[Floats, ...]:
    low, high = np.minimum.reduceat(numbers, starts), np.maximum.reduceat(numbers, starts)
    # by a power of two, which is exact: sums and squares of great numbers would overflow, of small ones vanish
    exponents = np.frexp(np.maximum(-low, high))[1]
    scaled_low = np.ldexp(low, -exponents)
    # above the least: a group of one value has exactly that mean, and no deviation from it
    above = np.ldexp(numbers, -np.repeat(exponents, lengths)) - np.repeat(scaled_low, lengths)
    means = np.add.reduceat(above, starts) / lengths
    deviations = above - np.repeat(means, lengths)
    spreads = np.sqrt(np.add.reduceat(deviations**2, starts) / lengths)
    return np.ldexp(scaled_low + means, exponents), np.ldexp(spreads, exponents), low, high
