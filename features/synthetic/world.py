"""The settings of a generated world, and its randomness."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import Column
from pyspark.sql import functions as F

from features.settings import SettingsError, SettingsModel

DAY_MS = 86_400_000

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class WorldError(SettingsError):
    """Settings of which no world can be made."""


class World(SettingsModel):
    """Everything that decides which plays come out; equal settings give equal plays.

    Raises:
        WorldError: once, with every setting out of range, or how settings contradict each other.
    """

    refusal: ClassVar[str] = "no such world"
    error: ClassVar[type[SettingsError]] = WorldError

    seed: int = Field(default=1, ge=0, le=2**63 - 1, description="another number, another world")
    users: int = Field(default=2_000, ge=1, le=10**9, description="listeners, bots among them")
    first_day: date = Field(
        default=date(2026, 1, 5),
        ge=date(2000, 1, 1),
        le=date(2090, 1, 1),
        description="first day of plays, UTC",
    )
    days: int = Field(default=45, ge=1, le=3_650, description="days of plays")
    tracks: int = Field(default=4_000, ge=1, le=10**9, description="tracks in the catalogue")
    artists: int = Field(default=400, ge=1, le=10**9, description="artists, at most one per track")
    clusters: int = Field(default=40, ge=1, le=10**6, description="taste clusters, at most one per artist")
    sessions_per_day: float = Field(
        default=0.4, ge=0.001, le=6.0, description="sessions of the average listener in a day"
    )
    plays_per_session: float = Field(
        default=8.0, ge=1.0, le=30.0, description="plays in the average session, before they end at 30"
    )
    off_taste: Share = Field(default=0.08, description="share of plays from any cluster, not the session's")
    repeats: Share = Field(
        default=0.1, description="share of plays of the listener's favourite in the cluster"
    )
    new_tracks: Share = Field(default=0.1, description="share of tracks released after the first day")
    bots: Share = Field(default=0.002, description="share of users that are bots")
    late: Share = Field(default=0.02, description="share of plays delivered 1 to 3 days late")
    duplicates: Share = Field(default=0.01, description="share of plays delivered twice")
    broken: Share = Field(default=0.004, description="lines that are no play, per play")
    slate: int = Field(
        default=0, ge=0, le=20, description="items shown before each session, or 0 for no impressions"
    )
    discoveries: Share = Field(
        default=0.0, description="share of sessions before which a track is discovered, to come back to"
    )
    background: Share = Field(
        default=0.0, description="share of sessions in the background: less is skipped, less saved"
    )
    weekend: float = Field(
        default=1.0, ge=0.1, le=10.0, description="sessions of a Saturday or Sunday per session of other days"
    )

    @model_validator(mode="after")
    def _check_consistency(self) -> World:
        # both at once: pydantic stops at the first that is raised
        faults = []
        if not self.clusters <= self.artists <= self.tracks:
            faults.append(
                f"clusters, artists, tracks are {self.clusters}, {self.artists}, {self.tracks}, must not fall"
            )
        if self.off_taste + self.repeats > 1:
            faults.append(f"off_taste + repeats is {self.off_taste + self.repeats}, must be at most 1")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def bot_count(self) -> int:
        return int(self.users * self.bots)

    @property
    def week(self) -> tuple[float, ...]:
        """Sessions by day of the week, from Monday on, as shares of those of the busiest days."""
        # no share above 1: a listener has a session or none in a slot, and the busiest have one in each
        others, ends = min(1.0, 1 / self.weekend), min(1.0, self.weekend)
        return (others,) * 5 + (ends,) * 2

    @property
    def epoch_ms(self) -> int:
        """Of day 0, since 1970."""
        # toordinal counts from the year 1; 1970 began 719,163 days later
        return (self.first_day.toordinal() - 719_163) * DAY_MS

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
        """64 bits that depend on the seed, `stream` and the keys: never on partitions or on run order."""
        # hashed here, and not for each row again
        salt = hashlib.blake2b(f"{self.seed} {stream}".encode(), digest_size=8).digest()
        start = F.lit(int.from_bytes(salt, "little", signed=True)).cast("bigint")
        # bigint, since Spark hashes an int and the equal bigint differently
        return F.xxhash64(start, *[key.cast("bigint") for key in keys])

    def uniform(self, stream: str, *keys: Column) -> Column:
        """A double in [0, 1)."""
        # the upper 53 bits of the hash: all that a double holds
        return F.shiftrightunsigned(self.hash(stream, *keys), 11) * F.lit(2.0**-53)

    def randbelow(self, limit: Column | int, stream: str, *keys: Column) -> Column:
        """A whole number in [0, limit), each as likely."""
        # to within limit / 2^53: no limit here is near enough to that to show
        return F.floor(self.uniform(stream, *keys) * limit)
