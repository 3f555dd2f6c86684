"""What gives way first when a night grows, at which multiple of what was requested, and what moves it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from features.embeddings.settings import Settings
from jobs.publishing.layout import find_file_bytes
from jobs.sizing.predict import Prediction, World
from schemas import CONTRACTS

# The next night begins then.
DAY_HOURS = 24.0
_TRAINING = "train-track-embeddings"
# Vectors of a track as context and as target, of 4 bytes a number: the least that the training task holds.
_MATRICES, _NUMBER = 2, 4


@dataclass(frozen=True)
class Machine:
    """What a night has. Walls of what is not given are not looked for; bytes are of a task, and of the driver."""

    cores: float
    hours: float = DAY_HOURS
    task_bytes: float | None = None
    driver_bytes: float | None = None
    executor_bytes: float | None = None


@dataclass(frozen=True)
class Wall:
    """`scale` is the multiple of what was requested at which it is reached: below 1, the request is beyond it."""

    scale: float
    what: str
    moved_by: str


def find_walls(predictions: Sequence[Prediction], requested: World, machine: Machine) -> list[Wall]:
    """The first one first."""
    known = [each for each in predictions if not each.why_not]
    walls = [
        *_find_night(known, machine),
        *_find_files(known),
        *_find_tasks(known, machine),
        *_find_driver(known, machine),
        *_find_training(requested, machine),
    ]
    return sorted((wall for wall in walls if wall.scale < float("inf")), key=lambda wall: wall.scale)


def _find_night(known: Sequence[Prediction], machine: Machine) -> Iterator[Wall]:
    fits = [(each.fits["core_seconds"], each.rows) for each in known]
    growing = sum(fit.predict(rows) - fit.fixed for fit, rows in fits)
    limit = machine.hours * 3600 * machine.cores
    if growing:
        room = max(limit - sum(fit.fixed for fit, _ in fits), 0.0)
        yield Wall(
            room / growing,
            f"a night takes more than {machine.hours:g} hours of {machine.cores:,g} cores",
            "more cores: spark.executor.instances, spark.executor.cores",
        )


def _find_files(known: Iterable[Prediction]) -> Iterator[Wall]:
    """From where on a bucket is more than a file is to be: files and tasks grow, and no more of them are made."""
    for each in known:
        for table, share in each.tables.items():
            target, buckets = find_file_bytes(table), CONTRACTS[table].buckets
            yield Wall(
                _find_scale(each, target * buckets, share),
                f"a day of {table} is more than {buckets} files of {target / 2**20:,.0f} MiB, one for each bucket",
                f"[file_sizes] {table}, and memory of tasks with it",
            )


def _find_tasks(known: Iterable[Prediction], machine: Machine) -> Iterator[Wall]:
    for each in known:
        if machine.task_bytes is None or each.task is None:
            continue
        (cost,) = each.task.per_row.values()
        if not cost:
            continue
        piece = max(machine.task_bytes - each.task.fixed, 0.0) / cost
        scales = {table: _find_task_scale(each, table, piece) for table in each.tables}
        if not scales:
            continue
        table = min(scales, key=lambda name: scales[name])
        yield Wall(
            scales[table],
            f"a task of {each.step} sorts and joins in more than {machine.task_bytes / 2**30:,.1f} GiB, and spills",
            f"spark.executor.memory, fewer spark.executor.cores, smaller [file_sizes] {table}",
        )


def _find_task_scale(each: Prediction, table: str, piece: float) -> float:
    """Where a file of a table is larger than a piece that a task has the memory for."""
    # smaller than this a file need not be, so that tasks outgrow it only where buckets are all used
    pieces = CONTRACTS[table].buckets if piece >= find_file_bytes(table) else 1
    return _find_scale(each, piece * pieces, each.tables[table])


def _find_scale(each: Prediction, size: float, share: float) -> float:
    """Where a share of what a step writes is `size` bytes."""
    return each.fits["bytes_written"].find_scale(each.rows, size / share) if share else math.inf


def _find_driver(known: Iterable[Prediction], machine: Machine) -> Iterator[Wall]:
    if machine.driver_bytes is None:
        return
    for each in known:
        yield Wall(
            each.fits["driver_bytes"].find_scale(each.rows, machine.driver_bytes),
            f"the driver's Python process holds more than {machine.driver_bytes / 2**30:,.1f} GiB in {each.step}",
            "memory of the driver's machine: spark.driver.memoryOverhead",
        )


def _find_training(requested: World, machine: Machine) -> Iterator[Wall]:
    if machine.executor_bytes is None or not requested.tracks:
        return
    dimensions = Settings().dimensions
    tracks = machine.executor_bytes / (_MATRICES * _NUMBER * dimensions)
    yield Wall(
        tracks / requested.tracks,
        f"two matrices of {dimensions} numbers for {tracks:,.0f} tracks, which {_TRAINING} holds in one task, are more "
        f"than {machine.executor_bytes / 2**30:,.1f} GiB",
        "memory of the largest executor: spark.executor.memoryOverhead; fewer dimensions, a higher min_plays",
    )
