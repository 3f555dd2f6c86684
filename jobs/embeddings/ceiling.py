"""The two tasks that hold a whole space, and what they need: a world too large for them is refused before the work."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.embeddings.steps import run_on_executor
from jobs.errors import JobError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from features.embeddings.neighbours import Search
    from jobs.inputs import TableInput

# Numbers of tracks have 32 bits.
MOST_TRACKS = 2**31 - 1
# Of a process with its libraries and blocks of products; of a track beside its vectors: its id three times, plays,
# states: benchmarks/embedding_sizes.py.
PROCESS_BYTES, TRACK_BYTES = 700 * 2**20, 300
# Below, there is no machine that could not, and none is looked at: that would be a job of its own.
SMALL = 2**30
MANY_TRACKS = 500_000  # of fewer, dimensions are not looked up
# A limit of a container, by the version of Linux's control groups; the text `max` where there is none.
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class TooLarge(JobError):
    """A space that no task of this cluster can hold."""


@dataclass(frozen=True)
class SpaceTask:
    """A task that holds `copies` matrices of tracks x dimensions, of 4 bytes a number."""

    name: str
    tracks: int
    dimensions: int
    copies: int
    at_once: int = 1  # such tasks on one machine
    more_dimensions: int = 0  # of other vectors of the same tracks, beside each copy

    @property
    def bytes(self) -> int:
        per_track = 4 * self.copies * (self.dimensions + self.more_dimensions) + TRACK_BYTES
        return self.at_once * (PROCESS_BYTES + self.tracks * per_track)

    def check(self, limit: int) -> None:
        """Raises TooLarge where so many bytes are not enough, or track numbers are."""
        tasks = "one task" if self.at_once == 1 else f"each of {self.at_once} tasks"
        beside = f", beside {self.more_dimensions} of the version before," if self.more_dimensions else ""
        world = f"{self.name} holds {self.tracks:,} tracks of {self.dimensions} dimensions{beside} in {tasks}"
        if self.tracks > MOST_TRACKS:
            raise TooLarge(f"{world}, which numbers {MOST_TRACKS:,} at most; train with more --min-plays")
        if self.bytes > limit:
            raise TooLarge(
                f"{world}, {self.bytes / 2**30:,.1f} GiB, and the machine has {limit / 2**30:,.1f} GiB; give executors "
                f"more memory, or train with fewer --dimensions: {self._fitting(limit)} would fit"
            )

    def _fitting(self, limit: int) -> int:
        left = (limit / self.at_once - PROCESS_BYTES) / self.tracks - TRACK_BYTES
        return max(0, int(left / (4 * self.copies)) - self.more_dimensions)


def training_task(tracks: int, dimensions: int, dimensions_before: int = 0) -> SpaceTask:
    # in and out vectors; what is measured reuses them, unless the version before has other dimensions
    more = 0 if dimensions_before == dimensions else dimensions_before
    return SpaceTask("the training", tracks, dimensions, copies=2, more_dimensions=more)


def search_task(tracks: int, dimensions: int, search: Search, pairwise: bool) -> SpaceTask:
    # items as they came and in the index; queries too, where these are not the items: in beside out vectors
    name = "the search for next tracks" if pairwise else "the search for similar tracks"
    return SpaceTask(name, tracks, dimensions, copies=3 if pairwise else 2, at_once=search.tasks)


def check_fits(spark: SparkSession, task: SpaceTask) -> None:
    """Raises TooLarge where an executor's machine cannot hold it."""
    if task.bytes > SMALL or task.tracks > MOST_TRACKS:
        task.check(int(run_on_executor(spark, _look_at_machine)["bytes"]))


def check_search(published: TableInput, search: Search, pairwise: bool) -> None:
    """As `check_fits`, for neighbours among the published vectors of a day."""
    if published.count < MANY_TRACKS:
        return
    rows = published.rows()
    vectors = rows.where("vector is not null").selectExpr("count(*)", "coalesce(max(size(vector)), 0)")
    tracks, dimensions = vectors.collect()[0]
    check_fits(rows.sparkSession, search_task(tracks, dimensions, search, pairwise))


def _look_at_machine() -> dict[str, Any]:
    return {"bytes": machine_bytes()}


def machine_bytes() -> int:
    """What a process may have here: all memory, or less where its container or Spark limits it."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    # `spark.executor.pyspark.memory` is a limit of the address space
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    for path in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits)
