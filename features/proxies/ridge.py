"""What a ridge (Hoerl and Kennard, 1970) predicts of rows whose listeners it has not seen."""

from __future__ import annotations

import numpy as np

from features.proxies.measures import ROUNDING, Floats, Ints

# Over columns of unit variance: as much as one more row, so that columns that repeat each other have one solution.
PENALTY = 1.0
FOLDS = 5


def assign_folds(listeners: Ints, folds: int = FOLDS, seed: int = 0) -> Ints:
    """Of each row its fold: all rows of a listener are in one, and folds have as many listeners, to within one."""
    distinct, own = np.unique(listeners, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(distinct))
    assigned: Ints = (order % folds)[own]
    return assigned


def predict_out_of_fold(columns: Floats, target: Floats, folds: Ints) -> Floats:
    """Of each row what a ridge of all other folds predicts.

    Args:
        columns: rows x signals, finite; `target`: finite; `folds`: of each row, at least two.
    """
    predicted = np.empty(len(target))
    for fold in np.unique(folds):
        inside = folds == fold
        means, scales, weights, intercept = _fit(columns[~inside], target[~inside])
        predicted[inside] = intercept + ((columns[inside] - means) / scales) @ weights
    return predicted


def _fit(columns: Floats, target: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Means and scales of the columns, a weight for each, and the intercept, which is not shrunk."""
    means, scales = columns.mean(axis=0), columns.std(axis=0)
    # a column that is the same in all of these rows, to within rounding, weighs nothing
    scales = np.where(scales**2 > ROUNDING * means**2, scales, np.inf)
    standard = (columns - means) / scales
    intercept = float(target.mean())
    gram = standard.T @ standard + PENALTY * np.eye(columns.shape[1])
    return means, scales, np.linalg.solve(gram, standard.T @ (target - intercept)), intercept
