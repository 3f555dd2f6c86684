"""Training, validation and test rows by their instants and by listeners, as `segue training-set` splits them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import accumulate

import numpy as np

from segue.buckets import xxhash64
from segue.errors import UsageError
from segue.instants import to_micros
from segue.lookup import Ints, Key

SPLITS = ("train", "validation", "test")
# fine enough for a share of 0.01 %, and what a share is rounded to
_PARTS = 10_000


def split_by_time(at: Ints, instants: Sequence[datetime]) -> Ints:
    """The place in `SPLITS` of instants in microseconds; `instants` are where validation and test begin.

    Raises:
        UsageError: no instants, more than two, or not in order.
    """
    # a day is none: whether it begins or ends a split is not said
    if isinstance(instants, date) or not all(isinstance(each, datetime) for each in instants):
        hint = "datetime(2026, 11, 1, tzinfo=UTC), say"
        raise UsageError(f"instants are a list of datetime.datetime; got {instants!r}", hint)
    limits = [to_micros(each) for each in instants]
    if len(limits) > 2 or limits != sorted(set(limits)):
        raise UsageError("instants are one (where the test begins) or two in order", f"got {list(instants)}")
    places = _places(len(limits) + 1)
    return places[np.searchsorted(np.array(limits, np.int64), at, side="right")]


def split_by_share(key: Key, shares: Sequence[float], salt: str = "") -> Ints:
    """The place in `SPLITS` of each row, by a hash of its key: a key is in the same split at any time.

    Another `salt` is another split: without it, what is a test set for one model would be one for all of them.

    Raises:
        UsageError: shares that do not add up to 1.
    """
    # shares are typed by people: 0.7 0.2 0.1 add up to 1 but for rounding
    if len(shares) not in (2, 3) or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise UsageError(f"shares are two or three that add up to 1; got {list(shares)}")
    limits = np.array([round(_PARTS * limit) for limit in accumulate(shares)])
    # the last split takes what is left by shares that were rounded
    places = _places(len(shares))[np.searchsorted(limits[:-1], _hash(key, salt), side="right")]
    return places[key.codes]


def _hash(key: Key, salt: str) -> Ints:
    """Of each value, and at the end of null, as Spark's `pmod(xxhash64(salt, key), _PARTS)`; without a salt, of
    the key alone."""
    salts = (salt,) if salt else ()
    hashes = (xxhash64(*salts, each) for each in (*key.values.to_pylist(), None))
    return np.fromiter((each % _PARTS for each in hashes), np.int64, len(key.values) + 1)


def _places(count: int) -> Ints:
    # two splits are training and test
    return np.array([0, 2] if count == 2 else range(count))
