"""Two trainings of the same tracks brought into one orientation: the rotation of one space onto another.

Orthogonal Procrustes (Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966). In
and out vectors are rotated by one matrix, so what a track is near to, and what follows it, stay what they were.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import orthogonal_procrustes

from features.embeddings.arrays import Doubles, Ints, Matrix, normalise_rows

# Tracks that two spaces share for each dimension, or a rotation would fit noise.
ANCHORS_PER_DIMENSION = 2
# Each cold training finds the same neighbourhoods, rotated at random. What is not a rotation is not undone:
# two trainings from different seeds still have a mean cosine of about 0.5 and a third of their neighbours in
# common, so a rotated space has a space id of its own all the same.


class AlignmentError(ValueError):
    """Rows that no rotation can be fitted to."""


def select_anchors(support_new: Ints, support_old: Ints, most: int = 10_000) -> Ints:
    """Numbers, ascending, of the `most` rows with most plays in the training that has fewer of them.

    Args:
        support_new: plays per track, 0 where the training did not have it; of the other, `support_old`.

    Raises:
        AlignmentError: the two have different lengths.
    """
    if support_new.shape != support_old.shape:
        raise _shape_mismatch("supports", support_new.shape, support_old.shape)
    # rare tracks lie where chance put them in either space: what they add is noise. 10,000 rows are 80 to a
    # dimension at 128 dimensions, and more rows would only be rarer ones
    shared_support = np.minimum(support_new, support_old).astype(np.int64)
    order = np.argsort(-shared_support, kind="stable")[: max(0, most)]
    return np.sort(order[shared_support[order] > 0]).astype(np.int64)


def fit_rotation(new: Matrix, old: Matrix) -> Doubles:
    """The orthogonal (d, d) matrix R with which `new @ R` comes nearest to `old`, a reflection where that is nearer.

    Args:
        new: (n, d), the vectors to rotate; `old`, row by row the same tracks in the space to rotate to.

    Raises:
        AlignmentError: shapes that do not match, numbers that are none, or fewer rows than dimensions that
            have a direction in both spaces.
    """
    if new.ndim != 2 or new.shape != old.shape:
        raise _shape_mismatch("matrices", new.shape, old.shape)
    source, target = _scale_to_unit(new), _scale_to_unit(old)
    # a row of zeros has no direction, and says nothing of a rotation; with fewer rows than dimensions there
    # are many best rotations, and any of them would fit
    usable = int(np.count_nonzero(source.any(axis=1) & target.any(axis=1)))
    if usable < new.shape[1]:
        raise AlignmentError(
            f"a rotation of {new.shape[1]} dimensions cannot be fitted to {usable} tracks; expected as many tracks "
            "as dimensions, or more, with a vector in both spaces: train on more plays, or begin a new space"
        )
    return np.asarray(orthogonal_procrustes(source, target)[0], np.float64)


def _scale_to_unit(matrix: Matrix) -> Doubles:
    double = matrix.astype(np.float64)
    if not np.isfinite(double).all():
        bad = int(np.count_nonzero(~np.isfinite(double).all(axis=1)))
        raise AlignmentError(
            f"{bad} of {len(double)} vectors are not finite; expected numbers: such a space cannot be used at all"
        )
    # a direction counts, and not that a hit's vector is ten times as long
    return normalise_rows(double)


def _shape_mismatch(what: str, new: tuple[int, ...], old: tuple[int, ...]) -> AlignmentError:
    return AlignmentError(
        f"{what} must match row by row, got shapes {new} and {old}: pick the tracks both have"
    )
