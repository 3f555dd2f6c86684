"""A plane through vectors, for a map of them: principal components (Pearson, 1901)."""

from __future__ import annotations

import numpy as np

from features.embeddings.arrays import Doubles, Matrix


def project_on_plane(vectors: Matrix) -> tuple[Doubles, float]:
    """Where vectors lie on the plane on which they differ most, (n, 2), and the share of their variance that it shows.

    The same vectors are always at the same places: of each axis, the dimension that it follows most goes up with it.
    Where all vectors are one, they lie at (0, 0), and nothing is lost.
    """
    centred = vectors.astype(np.float64) - (vectors.mean(axis=0, dtype=np.float64) if len(vectors) else 0.0)
    if not centred.any():
        return np.zeros((len(vectors), 2)), 1.0
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    # the decomposition leaves open in which direction an axis goes
    strongest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), strongest])[:, None]
    places = centred @ axes[:2].T
    variances = lengths**2
    # a single dimension, or two vectors, have one axis
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1]))), float(variances[:2].sum() / variances.sum())
