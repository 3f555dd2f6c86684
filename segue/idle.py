"""Days of which idle entities have no row: which earlier row is theirs, and what it comes to.

A group of features may leave out the rows of entities whose finite windows are all empty. A day then has the rows of
all others, and of those that became idle within the days that it stands for: its own, or as many before it as the
longest tile that ends with it has (a Fenwick tree, as with windows). So an entity's row is on one of at most 15 days,
however long ago it played, and is of an idle entity there, too: only what is of all time differs, in known ways, which
the columns say in the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from segue.errors import SegueError

MICROS_A_DAY = 86_400_000_000
# Days that one day stands for at most, a power of two: 45 years, as with the tiles of windows.
LONGEST_SPAN = 2**14
_DAY_BEFORE_FIRST = date(1969, 12, 31)


def count_days(day: date) -> int:
    """From 1970 up to the end of a day."""
    return (day - _DAY_BEFORE_FIRST).days


def find_reach(day: date, before: date | None) -> int:
    """The day has the rows of all entities that became idle on day numbers above this.

    Args:
        before: the day of the table before it; it stands for the days without rows between them, too.
    """
    last, first = count_days(day), count_days(before) if before else 0
    span = LONGEST_SPAN
    while span > 1 and last // span * span <= first:
        span //= 2
    return last // span * span - span


def list_chain(day: date, days: Sequence[date]) -> list[date]:
    """Where an entity's row of a day may be, in order: the first of these days that has one is it. 15 days at most.

    Args:
        days: of the table, oldest first; `day` is one.
    """
    place, chain = bisect_left(days, day), [day]
    while place and (reach := find_reach(days[place], days[place - 1])) > 0:
        # the one that stands for that day: itself, or the next where that has no rows
        place = bisect_left(days, _DAY_BEFORE_FIRST + timedelta(days=reach))
        chain.append(days[place])
    return chain


@dataclass(frozen=True)
class Idle:
    """What becomes of one column: `kind` is "same", "days", "instant" or "halved", in so many days."""

    kind: str
    half_life: int = 0

    @classmethod
    def parse(cls, text: str) -> Idle:
        """As columns say it; SegueError for what this version does not know."""
        kind, _, window = text.partition(" ")
        if kind not in ("same", "days", "instant", "halved") or (kind == "halved") != bool(window):
            known = "same, days, instant, and halved with a window"
            raise SegueError(
                f"a column's values without plays are said to be {text!r}; this version knows {known}",
                "install the version that the table was written with",
            )
        return cls(kind, int(window.removesuffix("d")) if window else 0)

    def weight(self, days: int) -> float:
        """What a value is multiplied by after so many days."""
        # by Python alone, whoever reads: powers of other libraries may differ in the last bit
        return 2.0 ** (-days / self.half_life) if self.half_life else 1.0

    def bring_forward(self, values: pa.ChunkedArray, days: int) -> pa.ChunkedArray:
        """What becomes of the values in so many days; null stays null."""
        if self.kind == "days":
            # in whole microseconds, as the day itself would have had it to the last bit
            micros = pc.round(pc.multiply(values, float(MICROS_A_DAY)), round_mode="half_to_even")
            return pc.divide(pc.add(micros, float(days * MICROS_A_DAY)), float(MICROS_A_DAY))
        if self.kind == "instant":
            return pc.add(values, pa.scalar(timedelta(days=days), pa.duration("us")))
        return pc.multiply(values, self.weight(days)) if self.kind == "halved" else values
