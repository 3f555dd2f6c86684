"""Arrays as long as a corpus, mapped from files without names: what trains has memory for vectors, not for plays."""

from __future__ import annotations

import tempfile
from os import environ
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from features.embeddings.arrays import Ints

# Numbers at a time where such an array is filled or passed over: what is made of it is no longer than this.
PART = 500_000


def map_empty(size: int, kind: DTypeLike) -> NDArray[Any]:
    """An array of zeros. The machine may write its pages to the file, which is gone when the array is."""
    # an empty file cannot be mapped
    if not size:
        return np.empty(0, kind)
    # the folders that Spark gives its workers: elsewhere /tmp may be memory
    folder = environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or None
    with tempfile.TemporaryFile(dir=folder) as file:
        # as a plain array: to numba and to numpy's generators a memmap is another type
        return np.asarray(np.memmap(file, kind, "w+", shape=(size,)))


def permute(draws: np.random.Generator, size: int) -> Ints:
    """What `draws.permutation(size)` gives, mapped."""
    order = map_empty(size, np.int64)
    for start in range(0, size, PART):
        order[start : start + PART] = np.arange(start, min(size, start + PART))
    draws.shuffle(order)
    return order
