"""Files of a scratch unpacked once per executor, and mapped by all of its tasks."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa


def unpack_once(name: str, unpack: Callable[[Path], None]) -> Path:
    """The folder of that name on this executor, filled by the first task that asks for it."""
    from pyspark import SparkFiles

    # where an executor keeps files until the application ends
    folder = Path(SparkFiles.getRootDirectory(), name)
    folder.mkdir(parents=True, exist_ok=True)
    # tasks of one machine wait for the one that is here
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # written last: what a task left that was killed while it unpacked is unpacked again
        if not (folder / "whole").exists():
            unpack(folder)
            (folder / "whole").touch()
    return folder


def map_array(folder: Path, name: str) -> np.ndarray:
    # "c" is copy on write, though nobody writes: to numba a read-only array is another type
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c"))


def combine_chunks(column: pa.ChunkedArray) -> pa.Array:
    # a single chunk is taken as it is: it may be mapped from a file, and is not to be copied
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
