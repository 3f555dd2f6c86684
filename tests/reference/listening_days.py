"""Months of made-up listening as arrays: a week with its own hours, growth, listeners who stay. No Spark.

What a service has of a day follows from it as it does in Segue: sessions from plays, features from windows of sessions.
A fault is a change of one day of one table, and what is made of that day has it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from expectations.column_profiles import ColumnProfile
from expectations.column_tallies import list_kinds, profile_columns
from schemas import CONTRACTS, Contract

FIRST = date(2026, 3, 2)
# Friday and Saturday are the full days.
WEEK = (1, 1, 1.02, 1.05, 1.2, 1.35, 1.1)
SOURCES, SOURCE_SHARES = ("radio", "app", "car"), (0.55, 0.3, 0.15)
WINDOW = 7

Arrays = dict[str, np.ndarray]
Change = Callable[[pa.Table], pa.Table]


@dataclass
class ListeningDays:
    """`plays_change` alters the plays of the day `last`, `changes` another table's rows of it."""

    seed: int = 1
    plays_a_day: int = 1_200
    listeners: int = 900
    # of a week
    growth: float = 0.01
    # of the rate, from day to day
    variation: float = 0.04
    last: int | None = None
    plays_change: Callable[[Arrays, np.random.Generator], Arrays] | None = None
    changes: Mapping[str, Change] = field(default_factory=dict)
    _plays: dict[int, Arrays] = field(default_factory=dict)
    _counts: dict[tuple[str, int], int] = field(default_factory=dict)

    def day(self, n: int) -> date:
        return FIRST + timedelta(days=n)

    def plays(self, n: int) -> Arrays:
        if n not in self._plays:
            self._plays[n] = self._draw(n, np.random.default_rng([self.seed, n]))
        return self._plays[n]

    def with_fault(self, last: int, plays_change=None, **changes: Change) -> ListeningDays:
        """The same days, but for one."""
        plays = {n: each for n, each in self._plays.items() if n != last}
        counts = {key: each for key, each in self._counts.items() if key[1] != last}
        return replace(
            self, last=last, plays_change=plays_change, changes=changes, _plays=plays, _counts=counts
        )

    def _draw(self, n: int, random: np.random.Generator) -> Arrays:
        weekday = self.day(n).weekday()
        rate = self.plays_a_day * WEEK[weekday] * (1 + self.growth) ** (n / 7)
        count = random.poisson(rate * random.lognormal(0, self.variation))
        # more listeners come with the growth; each has a rate of their own
        known = int(self.listeners * (1 + self.growth) ** (n / 7))
        skipped = random.random(count) < 0.35
        track_ms = random.normal(215_000, 40_000, count).clip(60_000)
        part = np.where(skipped, random.beta(1, 4, count), random.beta(20, 1, count))
        arrays = {
            "user": (known * random.random(count) ** 1.5).astype(int),
            "track": (400 * random.random(count) ** 2).astype(int),
            "minute": _draw_minutes(random, count, weekday),
            "track_ms": track_ms.round(),
            "ms_played": (track_ms * part).round(),
            "skipped": skipped,
            "saved": random.random(count) < 0.04,
            "source": random.choice(len(SOURCES), count, p=SOURCE_SHARES),
            "more_sources": np.zeros(count, int),
        }
        changes_now = self.plays_change is not None and n == self.last
        return self.plays_change(arrays, random) if changes_now and self.plays_change else arrays

    def table(self, name: str, n: int) -> pa.Table:
        rows = getattr(self, f"_make_{name}")(n)
        return self.changes[name](rows) if n == self.last and name in self.changes else rows

    def count(self, name: str, n: int) -> int:
        """Its rows."""
        if (name, n) not in self._counts:
            self._counts[name, n] = self.table(name, n).num_rows
        return self._counts[name, n]

    def count_listeners(self, name: str, n: int) -> int | None:
        """Different ones, of a table of events."""
        if name not in ("plays", "sessions"):
            return None
        if (f"listeners of {name}", n) not in self._counts:
            self._counts[f"listeners of {name}", n] = len(self.table(name, n)["user_id"].unique())
        return self._counts[f"listeners of {name}", n]

    def profile(self, name: str, n: int) -> dict[tuple[date, str], ColumnProfile]:
        rows = self.table(name, n)
        return profile_columns(rows, narrow(CONTRACTS[name], rows.column_names))

    # --- tables

    def _make_plays(self, n: int) -> pa.Table:
        return self._events(n)

    def _make_sessions(self, n: int) -> pa.Table:
        rows, plays = self._events(n), self.plays(n)
        with np.errstate(divide="ignore"):
            completion = np.minimum(plays["ms_played"] / plays["track_ms"], 1)
        return (
            rows.drop_columns(["source"])
            .append_column("completion", pa.array(completion, from_pandas=True))
            .append_column("is_bot", pa.array(np.zeros(len(rows), bool)))
        )

    def _events(self, n: int) -> pa.Table:
        plays = self.plays(n)
        names = pa.array([*SOURCES, *(f"new-{k}" for k in range(1, 3))])
        midnight = datetime.combine(self.day(n), datetime.min.time())
        instants = np.datetime64(midnight, "us") + (plays["minute"] * 60_000_000).astype("timedelta64[us]")
        return self._dated(
            n,
            user_id=pa.array(np.char.add("u", plays["user"].astype(str))),
            played_at=pa.array(instants, pa.timestamp("us", "UTC")),
            ms_played=pa.array(plays["ms_played"], pa.float64(), from_pandas=True),
            track_ms=pa.array(plays["track_ms"], from_pandas=True),
            skipped=pa.array(plays["skipped"]),
            saved=pa.array(plays["saved"]),
            source=names.take(
                pa.array(np.where(plays["more_sources"], 2 + plays["more_sources"], plays["source"]))
            ),
        )

    def _make_user_features(self, n: int) -> pa.Table:
        _, plays, ms_played, skips, days = self._window_counts(n)
        return self._dated(
            n,
            plays_count_7d=pa.array(plays),
            ms_played_sum_7d=pa.array(ms_played),
            skips_rate_7d=pa.array(skips / plays),
            plays_days_since_last_lifetime=pa.array(days),
        )

    def _make_candidates(self, n: int) -> pa.Table:
        _, plays, *_ = self._window_counts(n)
        # lengths will do for lists
        return self._dated(n, track_ids=pa.array(np.minimum(20 + 10 * plays, 100)))

    def _make_track_embeddings(self, n: int) -> pa.Table:
        random = np.random.default_rng([self.seed, n, 1])
        support = 400 - np.arange(400)
        source = np.where(np.arange(400) < 360, "learned", "artist")
        norm = np.sqrt(support) / 5 * random.lognormal(0, 0.05, 400)
        return self._dated(n, norm=pa.array(norm), support=pa.array(support), source=pa.array(source))

    def _make_semantic_codebooks(self, n: int) -> pa.Table:
        code = np.tile(np.arange(16), 2)
        return self._dated(
            n,
            level=pa.array(np.repeat([0, 1], 16)),
            code=pa.array(code),
            tracks=pa.array(
                np.random.default_rng([self.seed, n, 2]).multinomial(400, np.full(16, 1 / 16), 2).ravel()
            ),
        )

    def _make_track_semantic_ids(self, n: int) -> pa.Table:
        """Collisions follow from the codebook: tracks of one code are numbered."""
        tracks = self.table("semantic_codebooks", n)["tracks"].to_numpy()[16:]
        return self._dated(
            n, collision=pa.array(np.concatenate([np.arange(count) // 16 for count in tracks]))
        )

    def _window_counts(self, n: int) -> tuple[np.ndarray, ...]:
        """Of each listener of the window: plays, time, skips, and days since the last play."""
        days = [self.plays(max(n - k, 0)) for k in range(WINDOW)]
        user = np.concatenate([each["user"] for each in days])
        users, place, plays = np.unique(user, return_inverse=True, return_counts=True)
        sums = [
            np.bincount(place, np.nan_to_num(np.concatenate([each[name] for each in days]).astype(float)))
            for name in ("ms_played", "skipped")
        ]
        age = np.full(len(users), WINDOW)
        np.minimum.at(
            age, place, np.concatenate([np.full(len(each["user"]), k) for k, each in enumerate(days)])
        )
        return users, plays, *sums, age

    def _dated(self, n: int, **columns: pa.Array) -> pa.Table:
        rows = len(next(iter(columns.values())))
        return pa.table(columns | {"ds": pa.array([self.day(n)] * rows, pa.date32())})


TABLES = (
    "plays",
    "sessions",
    "user_features",
    "candidates",
    "track_embeddings",
    "semantic_codebooks",
    "track_semantic_ids",
)


def narrow(contract: Contract, names: list[str]) -> Contract:
    """With the columns that rows here have."""
    kept = [
        column
        for column in contract.columns
        if column.name in names or column.name not in list_kinds(contract)
    ]
    return replace(contract, columns=tuple(kept))


def _draw_minutes(random: np.random.Generator, count: int, weekday: int) -> np.ndarray:
    """Mornings and evenings; at weekends later, and all day."""
    morning, evening = (8.5, 19.5) if weekday < 5 else (11, 21)
    peaks = np.where(random.random(count) < 0.4, morning, evening)
    return (60 * (random.normal(peaks, 2.2) % 24)).astype(int)
