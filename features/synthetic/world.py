"""The settings of a generated world, and its randomness."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F


class WorldError(ValueError):
    """Settings of which no world can be made."""


def _range(low: Any, high: Any, meaning: str) -> dict[str, Any]:
    return {"low": low, "high": high, "meaning": meaning}


@dataclass(frozen=True)
class World:
    """Everything that decides which plays come out; equal settings give equal plays.

    Raises:
        WorldError: once, with every setting out of range.
    """

    seed: int = field(default=1, metadata=_range(0, 2**63 - 1, "another number, another world"))
    users: int = field(default=2_000, metadata=_range(1, 10**9, "listeners, bots among them"))
    first_day: date = field(
        default=date(2026, 1, 5),
        metadata=_range(date(2000, 1, 1), date(2090, 1, 1), "first day of plays, UTC"),
    )
    days: int = field(default=45, metadata=_range(1, 3_650, "days of plays"))
    tracks: int = field(default=4_000, metadata=_range(1, 10**9, "tracks in the catalogue"))
    artists: int = field(default=400, metadata=_range(1, 10**9, "artists, at most one per track"))
    clusters: int = field(default=40, metadata=_range(1, 10**6, "taste clusters, at most one per artist"))
    sessions_per_day: float = field(
        default=0.4, metadata=_range(0.001, 6.0, "sessions of the average listener in a day")
    )
    plays_per_session: float = field(
        default=8.0, metadata=_range(1.0, 30.0, "plays in the average session, before they end at 30")
    )
    off_taste: float = field(
        default=0.08, metadata=_range(0.0, 1.0, "share of plays from any cluster, not the session's")
    )
    repeats: float = field(
        default=0.1, metadata=_range(0.0, 1.0, "share of plays of the listener's favourite in the cluster")
    )
    new_tracks: float = field(
        default=0.1, metadata=_range(0.0, 1.0, "share of tracks released after the first day")
    )
    bots: float = field(default=0.002, metadata=_range(0.0, 1.0, "share of users that are bots"))
    late: float = field(default=0.02, metadata=_range(0.0, 1.0, "share of plays delivered 1 to 3 days late"))
    duplicates: float = field(default=0.01, metadata=_range(0.0, 1.0, "share of plays delivered twice"))
    broken: float = field(default=0.004, metadata=_range(0.0, 1.0, "lines that are no play, per play"))

    def __post_init__(self) -> None:
        wrong = [
            f"{f.name} is {getattr(self, f.name)}, must be {f.metadata['low']} to {f.metadata['high']}"
            for f in fields(self)
            if not f.metadata["low"] <= getattr(self, f.name) <= f.metadata["high"]
        ]
        if not self.clusters <= self.artists <= self.tracks:
            wrong.append(
                f"clusters, artists, tracks are {self.clusters}, {self.artists}, {self.tracks}, must not fall"
            )
        if self.off_taste + self.repeats > 1:
            wrong.append(f"off_taste + repeats is {self.off_taste + self.repeats}, must be at most 1")
        if wrong:
            raise WorldError("no such world: " + "; ".join(wrong))

    @property
    def bot_count(self) -> int:
        return int(self.users * self.bots)

    def day(self, number: int) -> date:
        """Day 0 is the first."""
        return self.first_day + timedelta(days=number)

    def day_number(self, day: date) -> int:
        """Counted from 0.

        Raises:
            WorldError: for a day without plays.
        """
        number = (day - self.first_day).days
        if not 0 <= number < self.days:
            raise WorldError(
                f"day {day} has no plays: expected {self.first_day} to {self.day(self.days - 1)};"
                " move first_day or raise days"
            )
        return number

    def hash(self, stream: str, *keys: Column) -> Column:
        """64 bits that depend on the seed, `stream` and the keys: never on partitions or on run order.

        Keys become bigint, since Spark hashes an int and the equal bigint differently. `stream` is
        hashed here, and not for each row again.
        """
        salt = hashlib.blake2b(f"{self.seed} {stream}".encode(), digest_size=8).digest()
        start = F.lit(int.from_bytes(salt, "little", signed=True)).cast("bigint")
        return F.xxhash64(start, *[key.cast("bigint") for key in keys])

    def uniform(self, stream: str, *keys: Column) -> Column:
        """A double in [0, 1): the upper 53 bits of the hash, all that a double holds."""
        return F.shiftrightunsigned(self.hash(stream, *keys), 11) * F.lit(2.0**-53)

    def randbelow(self, limit: Column | int, stream: str, *keys: Column) -> Column:
        """A whole number in [0, limit), each as likely."""
        return F.floor(self.uniform(stream, *keys) * limit)
