"""How many rows a table of listeners has with and without those of idle ones, over a history of which most are active
a few days; and how many days a reader looks at. No Spark: rows are counted by the rule, not made.

    python benchmarks/idle_rows.py
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from schemas.user_features import USER_FEATURE_GROUP
from segue.idle import count_days, find_reach, list_chain

FIRST = date(2023, 1, 1)
# Of the listeners, those who come back over the whole history; all others leave within a week.
LOYAL = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=6040)
    parser.add_argument("--days", type=int, default=1040)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    days = [FIRST + timedelta(days=n) for n in range(args.days)]
    active = draw_active_days(args.listeners, args.days, args.seed)
    every, written = count_rows(active, days, USER_FEATURE_GROUP.longest_lookback)
    chains = [len(list_chain(day, days)) for day in days]
    print(f"{args.listeners:,} listeners, {args.days:,} days, active on {active.sum():,} listener-days")
    print(f"rows of all: {every:,}; without idle ones: {written:,}; {every / written:.1f} x fewer")
    print(f"days that a look-up may open: {np.mean(chains):.1f} on average, {max(chains)} at most")
    return 0


def draw_active_days(listeners: int, days: int, seed: int) -> NDArray[np.bool_]:
    """By day and listener. Most come early, and stay a week; some come back all the time."""
    rng = np.random.default_rng(seed)
    active = np.zeros((days, listeners), bool)
    for listener in range(listeners):
        first, loyal = int(rng.beta(1, 4) * days), rng.random() < LOYAL
        later = rng.random(rng.geometric(0.05) if loyal else rng.poisson(2)) * (days if loyal else 7)
        played = first + np.concatenate([[0], later.astype(int)])
        active[played[played < days], listener] = True
    return active


def count_rows(active: NDArray[np.bool_], days: list[date], lookback: int) -> tuple[int, int]:
    """Of all listeners from their first day on, and of those that have a play in the row window of a day."""
    every = written = 0
    last = np.full(active.shape[1], -1)
    for n, day in enumerate(days):
        last[active[n]] = n
        window = count_days(day) - find_reach(day, days[n - 1] if n else None) + lookback
        every += int((last >= 0).sum())
        written += int(((last >= 0) & (n - last < window)).sum())
    return every, written


if __name__ == "__main__":
    raise SystemExit(main())
