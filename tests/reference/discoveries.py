"""Discoveries and returns, drawn play by play and day by day, by the rules of the generator and without Spark."""

from __future__ import annotations

import random
from functools import cache
from itertools import accumulate

from features.synthetic import discoveries as law


def list_levels(count):
    """As many of each quality as its share says, so that a measure of the draw is not also one of shares."""
    shares = accumulate(law.QUALITY_SHARES)
    ends = [round(share * count) for share in shares]
    return [sum(n >= end for end in ends[:-1]) for n in range(count)]


def chance_on(world, level, background, weekday, day):
    chance = law.QUALITIES[level] / day**law.RETURN_FALL
    return chance * (law.BACKGROUND_RETURN if background else 1) * world.week[(weekday + day) % 7]


@cache
def list_chances(world, level, background, weekday):
    chances = [chance_on(world, level, background, weekday, day) for day in range(1, law.RETURN_DAYS + 1)]
    return chances, [sum(chances[n:]) for n in range(law.RETURN_DAYS + 1)]


def draw_discovery(rng, world, level):
    """What came of it, and what who knows the rules expects of its returns before each day."""
    background, weekday = rng.random() < world.background, rng.choices(range(7), world.week)[0]
    completed_chance = law.COMPLETED_CHANCE_BACKGROUND if background else law.COMPLETED_CHANCES[level]
    saved_chance = law.SAVED_CHANCES[level] * (law.BACKGROUND_SAVE if background else 1)
    completed = rng.random() < completed_chance
    chances, ahead = list_chances(world, level, background, weekday)
    trace = [int(rng.random() < chance) for chance in chances]
    return {
        "completed": completed,
        "saved": completed and rng.random() < saved_chance,
        "replayed_1d": bool(trace[0]),
        "trace": trace,
        "sticky_59d": 1 + sum(trace),
        "expected": [
            1 + past + to_come for past, to_come in zip(accumulate(trace, initial=0), ahead, strict=True)
        ],
    }


def draw_discoveries(world, count, listeners, seed=1):
    rng = random.Random(seed)
    return [
        {"user_id": n % listeners, **draw_discovery(rng, world, level)}
        for n, level in enumerate(list_levels(count))
    ]
