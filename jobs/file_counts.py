"""What became of the rows of each file, and of all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from jobs.file_identity import ListedPaths
from jobs.known_files import Delivery
from jobs.late_plays import LatePlays
from jobs.row_counts import count_reasons, measure_reasons, sum_reasons
from jobs.volume import Volume

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class FileCounts:
    """Of one file; a row that is in several files counts as new in one of them."""

    rows: int = 0
    events: int = 0
    late: int = 0
    rejected: int = 0
    # of other kinds, as the source declares
    left_out: int = 0

    @property
    def duplicates(self) -> int:
        # of rows of this input, or of rows published before: to tell them apart would take one more count of all
        # rows, and the gate bounds them together
        return self.rows - self.events - self.late - self.rejected - self.left_out

    def __add__(self, other: FileCounts) -> FileCounts:
        return FileCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class IngestCounts:
    """What the rows of one input became; `reasons` counts the rejects with each reason."""

    # by path, as they were listed
    files: Mapping[str, FileCounts]
    # by how many days the oldest of the late plays is too old
    late_days: int
    # of the main day; None where nothing can be said of it
    volume: Volume | None
    reasons: Mapping[str, int]
    # paths of files that were read before, of which duplicates are expected
    read_before: Collection[str] = frozenset()

    @property
    def total(self) -> FileCounts:
        return sum(self.files.values(), FileCounts())

    def describe(self, table: str) -> str:
        total = self.total
        late = f"+ {total.late:,} late " if total.late else ""
        left_out = f" + {total.left_out:,} left out" if total.left_out else ""
        return (
            f"{total.rows:,} rows read = {total.events:,} new {table} + {total.duplicates:,} duplicates "
            f"{late}+ {total.rejected:,} rejected{left_out}"
        )

    def measures(self) -> dict[str, float]:
        """For the gate: what it bounds, and the reasons, for the report."""
        total = self.total
        expected = sum(each.duplicates for path, each in self.files.items() if path in self.read_before)
        counts = {"rejected": total.rejected, "duplicate": total.duplicates - expected, "late": total.late}
        # of those that are meant: a history that is mostly podcasts has no fewer rejects for it
        meant = max(total.rows - total.left_out, 1)
        shares = {f"{name}_share": count / meant for name, count in counts.items()}
        volume = {"has_weekdays": 0.0}
        if self.volume:
            volume = {"has_weekdays": 1.0, **self.volume.measures()}
        return shares | {"late_days": self.late_days} | volume | measure_reasons(self.reasons)


def count_new(events: DataFrame) -> Counter[tuple[date, str]]:
    """New events by their day and their file, as Spark calls it."""
    counts = events.groupBy("ds", "file").count().collect()
    return Counter({(row["ds"], row["file"]): row["count"] for row in counts})


def sum_by_day(new: Mapping[tuple[date, str], int]) -> dict[date, int]:
    days: Counter[date] = Counter()
    for (day, _), count in new.items():
        days[day] += count
    return dict(days)


def count_outcomes(
    events_with_reasons: DataFrame,
    new: Mapping[tuple[date, str], int],
    late: LatePlays | None,
    volume: Volume | None,
    delivery: Delivery,
) -> IngestCounts:
    by_reasons = count_reasons(events_with_reasons)
    files: dict[str, FileCounts] = {}
    paths = ListedPaths(each.file for each in delivery.to_read)

    def add(file: str, counts: FileCounts) -> None:
        path = paths.find(file)
        files[path] = files.get(path, FileCounts()) + counts

    for row in by_reasons:
        count = row["count"]
        rejected, left_out = bool(row["reasons"]) * count, (row["reasons"] is None) * count
        add(row["file"], FileCounts(count, 0, 0, rejected, left_out))
    for (_, file), count in new.items():
        add(file, FileCounts(events=count))
    for file, count in (late.by_file if late else {}).items():
        add(file, FileCounts(late=count))
    read_before = {each.file.path for each in delivery.read_before}
    return IngestCounts(files, late.days if late else 0, volume, sum_reasons(by_reasons), read_before)
