"""How well a perfect reward model does: one that knows the rules of `features/synthetic/discoveries.py`.

It knows the quality of the track, the intent of the session and the day of the week, and says how many days a
discovered track will be played on. A line through early signals knows less; both shares are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from features.synthetic.discoveries import (
    BACKGROUND_RETURN,
    BACKGROUND_SAVE,
    COMPLETED_CHANCE_BACKGROUND,
    COMPLETED_CHANCES,
    QUALITIES,
    QUALITY_SHARES,
    RETURN_DAYS,
    SAVED_CHANCES,
    return_chance,
)
from features.synthetic.world import World

Floats = NDArray[np.float64]

# Their places among the early signals; then comes a return on each day.
COMPLETED, SAVED = 0, 1


@dataclass(frozen=True)
class PerfectRewards:
    """Shares of the variance of stickiness (1 + the days of returns), after 0, 1 … 59 days.

    `known` is that of who knows quality, intent and weekday, beside the returns so far; `by_line` that of the best line
    through completed, saved and the returns so far; `alone` that of the best line through one signal.
    """

    mean: float
    known: Floats
    by_line: Floats
    alone: dict[str, float]


@dataclass(frozen=True)
class _Case:
    """What decides the chances of a discovery: how often it is so, and the chance of each early signal."""

    weight: float
    chances: Floats

    @property
    def covariance(self) -> Floats:
        """Signals are independent draws, but that only what was completed is saved."""
        covariance = np.diag(self.chances * (1 - self.chances))
        completed, saved = self.chances[[COMPLETED, SAVED]]
        covariance[COMPLETED, SAVED] = covariance[SAVED, COMPLETED] = saved * (1 - completed)
        return covariance


def compute_perfect_rewards(world: World, quality_shares: Sequence[float] = QUALITY_SHARES) -> PerfectRewards:
    """Of discoveries whose returns lie all in the world; of whole weeks of them where there are none.

    Args:
        quality_shares: of the catalogue, the tracks of each of `QUALITIES`, as they were drawn.
    """
    cases = _list_cases(world, quality_shares)
    weights = np.array([each.weight for each in cases])
    means = np.array([each.chances for each in cases])
    mean = weights @ means
    covariance = sum(each.weight * each.covariance for each in cases)
    # of all cases together: within them, and between their means
    covariance = covariance + (means - mean).T @ (weights[:, None] * (means - mean))
    days = covariance[SAVED + 1 :, SAVED + 1 :]
    spread, with_target = days.sum(), covariance[:, SAVED + 1 :].sum(axis=1)
    ahead = [weights @ (means * (1 - means))[:, SAVED + 1 + n :].sum(axis=1) for n in range(RETURN_DAYS + 1)]
    by_line = [_explain(covariance, with_target, range(SAVED + 1 + n)) for n in range(RETURN_DAYS + 1)]
    names = {"completed": COMPLETED, "saved": SAVED, "replayed_1d": SAVED + 1}
    return PerfectRewards(
        1 + float(mean[SAVED + 1 :].sum()),
        1 - np.array(ahead) / spread,
        np.array(by_line) / spread,
        {name: _explain(covariance, with_target, [place]) / float(spread) for name, place in names.items()},
    )


def _explain(covariance: Floats, with_target: Floats, places: Sequence[int]) -> float:
    """The variance of the best line through some signals."""
    chosen = np.array(places)
    weights = np.linalg.solve(covariance[np.ix_(chosen, chosen)], with_target[chosen])
    return float(weights @ with_target[chosen])


def _list_cases(world: World, quality_shares: Sequence[float]) -> list[_Case]:
    weekdays = _weigh_weekdays(world)
    intents = ((False, 1 - world.background), (True, world.background))
    return [
        _Case(
            quality_shares[level] * share * weekdays[weekday],
            _list_chances(world, level, background, weekday),
        )
        for level, (background, share), weekday in product(range(len(QUALITIES)), intents, range(7))
        if share and weekdays[weekday]
    ]


def _weigh_weekdays(world: World) -> Floats:
    """Of discoveries, from Monday on; there are as many as sessions."""
    first = world.first_day.weekday()
    days = range(world.days - RETURN_DAYS - 1) if world.days > RETURN_DAYS + 1 else range(7)
    counts = np.bincount([(first + day) % 7 for day in days], minlength=7) * np.array(world.week)
    weights: Floats = counts / counts.sum()
    return weights


def _list_chances(world: World, level: int, background: bool, weekday: int) -> Floats:
    completed = COMPLETED_CHANCE_BACKGROUND if background else COMPLETED_CHANCES[level]
    saved = completed * SAVED_CHANCES[level] * (BACKGROUND_SAVE if background else 1.0)
    quality = QUALITIES[level] * (BACKGROUND_RETURN if background else 1.0)
    returns = (
        return_chance(quality, float(n)) * world.week[(weekday + n) % 7] for n in range(1, RETURN_DAYS + 1)
    )
    return np.array([completed, saved, *returns])
