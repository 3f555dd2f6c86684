"""From values to places: finite numbers, ranges, and the ticks of an axis."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Words = Callable[[Any], str]

# A line of small text is as high.
LINE = 12.0
# And a character as wide at most, in the fonts of the page.
CHARACTER = 6.6
# Characters of a label of a tick.
LONGEST = 13
LARGEST = sys.float_info.max


def to_finite(value: Any) -> float | None:
    """As a number that can be drawn; None for null, NaN, infinity and what no float holds."""
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on places from `start` to `end`; `end` can be the smaller, as y grows downwards."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, from_zero: bool = False) -> Scale:
        """From the smallest to the largest value; with some room where they are equal."""
        known = [*values, *([0.0] if from_zero else [])]
        low, high = min(known, default=0.0), max(known, default=0.0)
        if low == high:
            room = abs(low) / 10 or 1.0
            low, high = (low, high + room) if from_zero else (low - room, high + room)
        return cls(max(low, -LARGEST), min(high, LARGEST), start, end)

    def place(self, value: float) -> float:
        # halves, as the difference of two large numbers can be infinite
        span = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / span if span else 0.5
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def choose_ticks(self, most: int = 4) -> list[float]:
        """Round numbers within the range, at most so many and one; the two ends where there is none."""
        raw = self.high / most - self.low / most
        power = 10.0 ** math.floor(math.log10(raw)) if raw > 1e-300 else 0.0
        if not power or not math.isfinite(raw * 10):
            return [self.low, self.high]
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)] or [self.low, self.high]


def label_ticks(ticks: Sequence[float], words: Words) -> list[str]:
    """In the words for values; as plain numbers where two would read the same, or one leaves no room for the plot."""
    labels = [words(tick) for tick in ticks]
    if len(set(labels)) < len(labels):
        labels = [f"{tick:,.10g}" for tick in ticks]
    return labels if max(map(len, labels), default=0) <= LONGEST else [f"{tick:.4g}" for tick in ticks]
