"""Columns of vectors as matrices, without a Python object per number."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.embeddings.corpus import Matrix


class VectorError(ValueError):
    """Vectors of one space that have different lengths."""


def to_matrix(lists: pa.ListArray) -> Matrix:
    """(n, d), a row for each list that is not null; d is 0 where there is none.

    Raises:
        VectorError: lists of different lengths.
    """
    known = lists.drop_null()
    lengths = np.unique(np.diff(known.offsets.to_numpy())).tolist() or [0]
    check_one_width(*lengths)
    numbers = known.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return numbers.reshape(len(known), lengths[0])


def check_one_width(*lengths: int) -> None:
    """Raises VectorError where they differ."""
    if len(set(lengths)) > 1:
        raise VectorError(
            f"vectors of {sorted(set(lengths))} numbers; expected one length: read those of one space"
        )
