"""What a step costs for each row, fitted to what its runs cost: costs add up, and none is below zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

# As many as there must be to see a cost apart from a fixed one, and whether a line goes through them.
LEAST_RUNS = 3
# Between the smallest and the largest run: of runs of one size nobody can say what of them is fixed.
LEAST_SPREAD = 2.0
# Of the mean of all: a run that cost next to nothing weighs no more than one that cost this.
_FLOOR = 0.01
# A model of more terms must be better by this share of what is left: of rows that grew together, one kind is enough.
_BETTER = 1e-6

Rows = Mapping[str, float]


class TooFewRuns(ValueError):
    """Nothing can be predicted from these runs; the text says why."""


@dataclass(frozen=True)
class Fit:
    """A cost as `fixed`, and so much for each row of each kind."""

    fixed: float
    per_row: Mapping[str, float]

    def predict(self, rows: Rows) -> float:
        return self.fixed + sum(cost * rows[kind] for kind, cost in self.per_row.items())

    def find_scale(self, rows: Rows, limit: float) -> float:
        """How many times these rows cost `limit`: infinity where they cost nothing, 0 where the fixed cost is more."""
        growing = self.predict(rows) - self.fixed
        room = max(limit - self.fixed, 0.0)
        return room / growing if growing else float("inf") if room else 0.0


def fit_costs(rows: Sequence[Rows], costs: Sequence[float]) -> Fit:
    """The costs that fit the runs best, by their relative errors: a run of a million rows counts as one of a thousand.

    Args:
        rows: of each run, by kind; all runs have the same kinds.
        costs: of each run.

    Raises:
        TooFewRuns: fewer than `LEAST_RUNS`, or all of about one size.
    """
    check_runs(rows)
    kinds = list(rows[0])
    values = np.asarray(costs, float)
    weights = 1 / np.maximum(values, _FLOOR * values.mean() or 1.0)
    matrix = np.array([[1.0, *(run[kind] for kind in kinds)] for run in rows])
    fixed, *per_row = solve_non_negative(matrix * weights[:, None], values * weights)
    return Fit(float(fixed), dict(zip(kinds, map(float, per_row), strict=True)))


def check_runs(rows: Sequence[Rows]) -> None:
    """Raises TooFewRuns where `fit_costs` would."""
    if len(rows) < LEAST_RUNS:
        raise TooFewRuns(f"{len(rows)} of {LEAST_RUNS} runs")
    sizes = [sum(run.values()) for run in rows]
    if max(sizes) < LEAST_SPREAD * min(sizes) or not max(sizes):
        raise TooFewRuns(
            f"{len(rows)} runs of one size: the largest needs {LEAST_SPREAD:.0f} x the smallest's rows"
        )


def solve_non_negative(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares without negative coefficients; of equal solutions the one of fewest and first columns.

    Exact: the optimum is the plain solution in the columns that are not zero in it, and of four columns there are
    fifteen choices.
    """
    scale = np.abs(matrix).max(axis=0)
    columns = np.flatnonzero(scale)
    best, least = np.zeros(matrix.shape[1]), float(values @ values)
    for size in range(1, len(columns) + 1):
        for chosen in map(list, combinations(columns, size)):
            found, _, rank, _ = np.linalg.lstsq(matrix[:, chosen] / scale[chosen], values, rcond=None)
            # columns that say the same are as many solutions
            if rank < size or (found < 0).any():
                continue
            residual = float(np.square(matrix[:, chosen] / scale[chosen] @ found - values).sum())
            if residual < least - _BETTER * max(least, 1e-12):
                best, least = np.zeros(matrix.shape[1]), residual
                best[chosen] = found / scale[chosen]
    return best
