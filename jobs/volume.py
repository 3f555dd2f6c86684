"""How many plays a day has, against the same weekday of the weeks before: half a delivery is no error of any row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A month: enough for a median that one holiday does not move.
WEEKS = 4
# The median of the last week's shares is how far all is above or below its month by now: growth, a summer.
LEVEL_DAYS, SPREAD_DAYS = 7, 28
LEVELS = (0.5, 2.0)
# Of the spread that shares have anyhow: what it exceeds is no news. `benchmarks/volume_bounds.py` chose these numbers,
# with those of the gate.
LOW_SPREADS, LOW_FREE, MOST_ALLOWANCE = 2.0, 0.35, 0.1
# Of a normal distribution, as a multiple of the median deviation.
STANDARD_DEVIATION = 1.4826
# Variance of a share in counts of n plays is this over n: of the day itself, and of a median of four.
VARIANCE = 1.35


@dataclass(frozen=True)
class Volume:
    """All plays of a day: as a share of what such a weekday has by now, and of the fullest of the four before. Rows of
    other tables are judged in the same way.

    `allowance` is for days that vary a lot, or have few plays: so much may be missing besides.
    """

    day: date
    share: float
    of_fullest: float
    allowance: float
    # standard deviation of the shares of a month, by their median deviation
    spread: float

    def measures(self) -> dict[str, float]:
        """For the gate: what days vary by anyhow is taken for plays that are there."""
        return {"weekday_share": self.share + self.allowance, "fullest_weekday_share": self.of_fullest}


def compare_with_weekdays(plays: Mapping[date, int], day: date) -> Volume | None:
    """None where one of the four weeks has no such day, or an empty one.

    Args:
        plays: of every day that there is, with those of `day`.
    """
    before = _list_weekdays(plays, day)
    if not before:
        return None
    level = _find_level(_list_shares(plays, day, LEVEL_DAYS))
    expected = median(before) * level
    spread = max(_measure_spread(_list_shares(plays, day, SPREAD_DAYS)), sqrt(VARIANCE / expected))
    return Volume(
        day,
        share=plays[day] / expected,
        # of two such deliveries; what grows is over its level, what shrinks was as full before
        of_fullest=plays[day] / (max(before) * max(level, 1)),
        allowance=min(max(LOW_SPREADS * spread - LOW_FREE, 0), MOST_ALLOWANCE),
        spread=spread,
    )


def count_by_day(events: DataFrame) -> dict[date, int]:
    return {row["ds"]: row["count"] for row in events.groupBy("ds").count().collect()}


def find_main_day(new_plays: Mapping[date, int]) -> date | None:
    """The day that most of a delivery is of: of the others it has the last hours, or the first."""
    return max(new_plays, key=lambda day: (new_plays[day], day), default=None)


def _list_weekdays(plays: Mapping[date, int], day: date) -> list[int]:
    before = [plays.get(day - timedelta(weeks=n), 0) for n in range(1, WEEKS + 1)]
    return before if all(before) else []


def _list_shares(plays: Mapping[date, int], day: date, count: int) -> list[float]:
    """Of so many days before, the plays of each as a share of its own weekdays'."""
    days = [day - timedelta(days=n) for n in range(1, count + 1)]
    weekdays = {each: _list_weekdays(plays, each) for each in days}
    return [plays.get(each, 0) / median(before) for each, before in weekdays.items() if before]


def _find_level(shares: Sequence[float]) -> float:
    # of two or three days a bad one would be the median
    least, most = LEVELS
    return min(max(median(shares), least), most) if 2 * len(shares) > LEVEL_DAYS else 1


def _measure_spread(shares: Sequence[float]) -> float:
    if 2 * len(shares) < SPREAD_DAYS:
        return 0
    middle = median(shares)
    return STANDARD_DEVIATION * median(abs(share - middle) for share in shares)
