"""Hashes of keys, and their buckets, the same as Spark computes them."""

from __future__ import annotations

import xxhash

# The seed that Spark's xxhash64() starts from.
SEED = 42


def bucket(key: str, buckets: int) -> int:
    """`pmod(xxhash64(key), buckets)`."""
    return xxhash64(key) % buckets


def xxhash64(*values: str | bytes | None) -> int:
    """Spark's function of this name: each value's bytes, of text in UTF-8, are hashed from the hash of those before,
    null is left out, and the result is read as signed."""
    unsigned = SEED
    for value in values:
        if value is not None:
            data = value.encode() if isinstance(value, str) else value
            unsigned = xxhash.xxh64_intdigest(data, seed=unsigned)
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned
