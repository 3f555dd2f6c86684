"""How many files a day becomes, and which task writes which of them: by the bytes that are expected of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from deltalake import DeltaTable

from jobs.publishing.batches import Batch
from jobs.publishing.state import TableState, read_state
from schemas import Contract
from segue.project import find_project

if TYPE_CHECKING:
    from pyspark.sql import Column

MEGABYTE = 2**20
# Small days share a task up to this part of a file: rows that are sorted take several times their bytes in Parquet.
_SHARE_FOR_SMALL_DAYS = 4
# What was underestimated is cut by the writer: at twice the size, so that a file of a little more has no tiny second.
_LIMIT = 2
# Bytes of a value in Parquet where nothing of a table is published yet: ids hardly compress, numbers do.
_WIDTHS = {"string": 16, "binary": 32, "timestamp": 8, "double": 6, "bigint": 4, "float": 4, "int": 3}
_WIDTH_OF_LIST, _WIDTH_OF_OTHERS = 256, 2


@dataclass(frozen=True)
class Slot:
    """The tasks that write a day: `count` of them from the number `first` on, each a range of its buckets."""

    first: int
    count: int

    def task_of(self, bucket: int, buckets: int) -> int:
        return self.first + (bucket * self.count // buckets if buckets else 0)


class Part(NamedTuple):
    """What tasks are assigned to: `bytes` that are written to one partition, as so many pieces."""

    key: Hashable
    partition: Hashable
    bytes: float
    pieces: int


class Target(NamedTuple):
    """What a file's rows become: how many files their partition is cut into, and since when they are said to be known.

    None is the instant that they have.
    """

    pieces: int
    available_at: datetime | None = None


@dataclass(frozen=True)
class Layout:
    """Of a batch; each task writes one file for every day that it has rows of."""

    slots: Mapping[Any, Slot]
    tasks: int
    buckets: int
    # of no file there are more
    rows_per_file: int

    @property
    def splits_days(self) -> bool:
        return any(slot.count > 1 for slot in self.slots.values())

    def task_of(self, day: date | None, bucket: int) -> int:
        # a day that nobody expected is the first task's
        return self.slots.get(day, Slot(0, 1)).task_of(bucket, self.buckets)

    def task(self, by_day: bool) -> Column:
        """The number of the task that writes a row."""
        from pyspark.sql import functions as F

        days = [day for day in self.slots if day is not None] if by_day else []
        if not days:
            slot = self.slots[None]
            first, count = F.lit(slot.first), F.lit(slot.count)
        else:
            start = min(days)
            slots = [Slot(0, 1)] * ((max(days) - start).days + 1)
            for day in days:
                slots[(day - start).days] = self.slots[day]
            # by place: of a map each row would look through all keys
            place = f"datediff(ds, date'{start}')"
            firsts, counts = (", ".join(map(str, each)) for each in zip(*map(_to_pair, slots), strict=True))
            first, count = F.expr(f"get(array({firsts}), {place})"), F.expr(f"get(array({counts}), {place})")
        return place_in(F.coalesce(first, F.lit(0)), F.coalesce(count, F.lit(1)), self.buckets)


def place_in(first: Column, count: Column, buckets: int) -> Column:
    """`Slot.task_of` for Spark."""
    from pyspark.sql import functions as F

    return (first + F.floor(F.col("bucket") * count / buckets) if buckets else first).cast("int")


def find_file_bytes(table: str) -> int:
    """How large files of a table are to get, as the project has it."""
    project = find_project()
    megabytes: int = project.file_megabytes.get(table, project.resolve("file_megabytes").value)
    return megabytes * MEGABYTE


def plan_layout(published: DeltaTable | None, batch: Batch) -> Layout:
    """From the rows of inputs and what rows of the table took so far; on a first batch from the types of its columns.

    Args:
        published: the table, None before its first batch.
    """
    contract, target = batch.contract, find_file_bytes(batch.table)
    row_bytes = (measure_row(published) if published else None) or guess_row(contract)
    expected = estimate_rows(batch, read_state(published) if published else TableState(0))
    sizes = {day: rows * row_bytes for day, rows in expected.items()}
    pieces = {day: count_pieces(size, target, contract.buckets) for day, size in sizes.items()}
    slots = assign_tasks([Part(day, day, sizes[day], pieces[day]) for day in sizes], target)
    return Layout(slots, count_tasks(slots), contract.buckets, max(1, int(_LIMIT * target / row_bytes)))


def count_pieces(size: float, target: int, buckets: int) -> int:
    """Files of a day of `size` bytes: a bucket is in one of them, and what has no buckets is one file."""
    return min(max(1, ceil(size / target)), max(1, buckets))


def assign_tasks(parts: Iterable[Part], target: int) -> dict[Hashable, Slot]:
    """The tasks of each part, by its key.

    Pieces have tasks of their own. Parts of one piece share a task while they are small, unless they are of one
    partition: a task writes one file in each.
    """
    slots: dict[Hashable, Slot] = {}
    partitions: set[Hashable] = set()
    tasks, room = 0, 0.0
    for part in parts:
        if part.pieces == 1 and part.bytes <= room and part.partition not in partitions:
            slots[part.key] = Slot(tasks - 1, 1)
        else:
            slots[part.key] = Slot(tasks, part.pieces)
            tasks += part.pieces
            room, partitions = (target / _SHARE_FOR_SMALL_DAYS if part.pieces == 1 else 0.0), set()
        room -= part.bytes
        partitions.add(part.partition)
    return slots


def count_tasks(slots: Mapping[Any, Slot]) -> int:
    return max((slot.first + slot.count for slot in slots.values()), default=1)


def place_files(
    files: Iterable[Mapping[str, Any]], targets: Mapping[str, Target], file_bytes: int
) -> dict[str, Slot]:
    """The tasks that write the rows of files anew, by path.

    Args:
        files: as `list_data_files` has them.
        targets: by path; what has none stays a file of its own.
    """
    parts: dict[Hashable, Part] = {}
    keys: dict[str, Hashable] = {}
    for file in files:
        path, target = file["path"], targets.get(file["path"])
        instant = (target and target.available_at) or file.get("partition.available_at")
        partition = file.get("partition.ds"), instant
        # a partition that is cut anew is written as one, whatever files it was
        keys[path] = key = partition if target else path
        size = file["size_bytes"] + (parts[key].bytes if key in parts else 0)
        parts[key] = Part(key, partition, size, target.pieces if target else 1)
    slots = assign_tasks(sorted(parts.values(), key=lambda part: str(part[:2])), file_bytes)
    return {path: slots[key] for path, key in keys.items()}


def estimate_rows(batch: Batch, before: TableState) -> dict[date | None, int]:
    """Of each day; none where nothing is known.

    A day has as many rows to those of its inputs as the nearest day that is published: once a table has a row for every
    listener there ever was, its inputs alone say little. Without one, as many as the largest input.
    """
    if batch.row_counts:
        return dict(batch.row_counts)
    if batch.appends:
        return {}
    own = {day: each.rows for day, each in before.day_states.items() if each.rows}
    if batch.days is None:
        return own
    by_day = {day: rows for day, rows in own.items() if day is not None}
    return {day: _estimate_day(day, by_day, batch.input_rows) for day in batch.days}


def _estimate_day(day: date, own: Mapping[date, int], inputs: Mapping[date | None, int]) -> int:
    rows = inputs.get(day, 0)
    nearest = min(own, key=lambda other: abs((other - day).days), default=None)
    if nearest is None:
        return rows
    if not (rows and inputs.get(nearest)):
        return own[nearest]
    # bounded: after a day of hardly any play, of a table with a row for everybody, the share means nothing
    return min(ceil(own[nearest] * rows / inputs[nearest]), own[nearest] + rows)


def measure_row(table: DeltaTable) -> float | None:
    """Bytes of a row in the largest file, of which least is footer; None where there is none with statistics."""
    actions = pa.table(table.get_add_actions(flatten=True))
    if not actions.num_rows or "num_records" not in actions.column_names:
        return None
    row = actions.sort_by([("size_bytes", "descending")]).slice(0, 1).to_pylist()[0]
    return row["size_bytes"] / row["num_records"] if row["num_records"] else None


def guess_row(contract: Contract) -> float:
    """By the types of its columns."""
    return sum(
        _WIDTH_OF_LIST if column.type.startswith("array") else _WIDTHS.get(column.type, _WIDTH_OF_OTHERS)
        for column in contract.columns
    )


def _to_pair(slot: Slot) -> tuple[int, int]:
    return slot.first, slot.count
