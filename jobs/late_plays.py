"""Plays that come too late for their day: set aside in `late_plays`, where they open no day again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from features.ingest import make_late_plays
from jobs.inputs import Input, TableInput
from jobs.job import Job
from jobs.known_ids import check_owners, name_comparison, select_new_rows
from schemas import CONTRACTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class LatePlays:
    """Those of one input."""

    rows: DataFrame
    # those that wait already
    existing: TableInput | None
    # how many of each file, as Spark calls it
    by_file: Mapping[str, int]
    # the day of the oldest, and the first day that plays are still taken for
    oldest: date
    first_day: date

    @property
    def count(self) -> int:
        return sum(self.by_file.values())

    @property
    def days(self) -> int:
        """How much too late the oldest is."""
        return (self.first_day - self.oldest).days

    def __str__(self) -> str:
        return (
            f"{self.count:,} late: of days before {self.first_day}, the oldest of {self.oldest}. They wait in "
            f"late_plays; segue restate --from {self.oldest} takes them into plays"
        )


def _find_first_day(job: Job, allowed_days: int) -> date | None:
    # before there are plays, none is late: a first load holds years
    state = job.state("plays")
    return state.days[-1] - timedelta(days=allowed_days) if state and state.days else None


def split_late_plays(job: Job, plays: DataFrame, allowed_days: int) -> tuple[DataFrame, LatePlays | None]:
    """The plays that are taken, and those that are too late and do not wait already, if any.

    Args:
        plays: with `file`, which the late ones have no more.

    Raises:
        JobError: an id is that of another play that waits, of another source.
    """
    from pyspark.sql import functions as F

    first_day = _find_first_day(job, allowed_days)
    if first_day is None:
        return plays, None
    # all that wait are compared: they lie under the day when they came, and are few
    too_late = plays.where(F.col("ds") < first_day)
    existing, late = select_new_rows(job, "late_plays", "play_id", too_late, None)
    if existing:
        check_owners(CONTRACTS["plays"], too_late, existing)
    counts = late.groupBy("file").agg(F.count("*").alias("count"), F.min("ds").alias("oldest")).collect()
    taken = plays.where(F.col("ds") >= first_day)
    if not counts:
        return taken, None
    by_file = {row["file"]: row["count"] for row in counts}
    oldest = min(row["oldest"] for row in counts)
    return taken, LatePlays(late.drop("file"), existing, by_file, oldest, first_day)


def publish_late_plays(job: Job, late: LatePlays, files: Input, missing: Mapping[str, str]) -> None:
    parameters = name_comparison(job, "late_plays")
    batch = job.batch("late_plays", inputs=[files, late.existing], appends=True, parameters=parameters)
    job.publish(batch, make_late_plays(late.rows, datetime.now(UTC)), missing=missing)
