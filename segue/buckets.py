"""The hash bucket of a key, the same as Spark computes it."""

from __future__ import annotations

import xxhash

# The seed that Spark's xxhash64() starts from.
SEED = 42


def bucket(key: str, buckets: int) -> int:
    """`pmod(xxhash64(key), buckets)`; Spark hashes UTF-8 bytes and reads the result as signed."""
    unsigned = xxhash.xxh64_intdigest(key.encode(), seed=SEED)
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return signed % buckets
