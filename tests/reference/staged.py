"""Publishing without Spark: files are laid by pyarrow and audited by nobody, all else is as `jobs` has it.

For tests of logs, files and versions, where a batch costs milliseconds; `test_publish` has Spark stage and the
gate judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import uuid4
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, WriterProperties, write_deltalake

import jobs.job
from expectations.gate_settings import GateSettings
from expectations.profile import DayProfile, Profile
from expectations.verdict import Result, Verdict
from jobs.job import Job
from jobs.outcomes import Outcome
from jobs.publishing import layout
from jobs.publishing.batches import Batch, folder, reserve
from jobs.publishing.footers import NO_VALUE, log_written_files
from jobs.publishing.layout import plan_layout
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.records import record
from jobs.publishing.warehouse import Warehouse
from reference.rows import Row, complete_rows
from schemas import Contract

if TYPE_CHECKING:
    import pytest

PASSED = Verdict((Result("expect_rows_to_be_laid", None, "info", True, "laid", "laid"),))
REFUSED = Verdict((Result("expect_rows_to_be_laid", "laid", "critical", False, "wrong", "right"),))


def cut_finely(patch: pytest.MonkeyPatch, megabyte: int = 1) -> None:
    """Until `patch` is undone, days of a few rows are as many files as large ones, up to one for each bucket.

    `megabyte`: the bytes that are taken for one.
    """
    patch.setattr(layout, "MEGABYTE", megabyte)


def stage(job: Job, batch: Batch, rows: Any, measures: Any = None) -> StagedBatch:
    """The first three steps of `Job.publish`, for what may happen between these and the others."""
    batch = reserve(job.warehouse, batch)
    violation = jobs.job.stage(job.warehouse, batch, rows)
    suite, missing = job.gate.suite_of(batch.table), job._missing(batch)
    return jobs.job.audit(job.spark, job.warehouse, batch, suite, measures or {}, missing, violation)


def commit(job: Job, staged: StagedBatch) -> Outcome:
    """The last two."""
    record(job.warehouse, job.run_id, staged, "passed")
    return job._commit(staged)


class LaidJob(Job):
    """A job whose batches are rows in plain Python, with the verdict that a test gives it.

    A day is as many files as its layout says: with `cut_finely`, one for every few rows.
    """

    spark: Any = None
    verdict = PASSED
    # of a file; none: pyarrow's
    rows_per_group: int | None = None
    # whether its batches are profiled, as those of a real job are
    profiles = False
    _staged_rows: Any = None

    def publish(self, batch: Batch, rows: Any, *args: Any, **options: Any) -> Outcome:
        with self._without_spark():
            return super().publish(batch, rows, *args, **options)

    def stage(self, batch: Batch, rows: Any) -> StagedBatch:
        with self._without_spark():
            return stage(self, batch, rows)

    def commit(self, staged: StagedBatch) -> Outcome:
        return commit(self, staged)

    @contextmanager
    def _without_spark(self) -> Iterator[None]:
        with (
            mock.patch.object(jobs.job, "stage", self._stage),
            mock.patch.object(jobs.job, "audit", self._audit),
            # seconds of imports, for expectations that nobody holds the rows to
            mock.patch.object(GateSettings, "suite_of", lambda gate, table: None),
            nullcontext() if self.profiles else mock.patch.object(jobs.job, "record_profiles"),
        ):
            yield

    def _stage(self, warehouse: Warehouse, batch: Batch, rows: Sequence[Row]) -> None:
        self._staged_rows = rows
        contract, plan = batch.contract, plan_layout(warehouse.table(batch.table), batch)
        of_task: dict[int, list[Row]] = defaultdict(list)
        for row in complete_rows(rows, contract):
            day = row["ds"] if contract.by_day else None
            of_task[plan.task_of(day, row.get("bucket", 0))].append(row)
        path, job_id = folder(warehouse, batch), uuid4()
        for task, of_one in sorted(of_task.items()):
            name = f"part-{task:05}-{job_id}-c000.snappy.parquet"
            of_one.sort(key=lambda row: (row.get("bucket"), row.get(contract.entity or "")))
            self._write_files(path, name, of_one, contract.partitions)
        log_written_files(path, contract.statistics)

    def _write_files(self, path: str, name: str, rows: Sequence[Row], partitions: Sequence[str]) -> None:
        """As a task of Spark's does: a file for each partition, in a folder of its own, and all of one name."""
        fields = [field for field in pa.schema(DeltaTable(path).schema()) if field.name not in partitions]
        of_folder: dict[Path, list[Row]] = defaultdict(list)
        for row in rows:
            values = (NO_VALUE if row[each] is None else row[each] for each in partitions)
            of_folder[Path(path, *map("{}={}".format, partitions, values))].append(row)
        for to, of_one in of_folder.items():
            to.mkdir(parents=True, exist_ok=True)
            pq.write_table(
                pa.Table.from_pylist(of_one, schema=pa.schema(fields)),
                to / name,
                row_group_size=self.rows_per_group,
            )

    def _audit(self, _: Any, warehouse: Warehouse, batch: Batch, *__: Any) -> StagedBatch:
        return StagedBatch(
            batch, folder(warehouse, batch), _profile(batch.contract, self._staged_rows), self.verdict
        )


def append(table: DeltaTable, rows: Sequence[Row]) -> None:
    """One more file, or one for each of their partitions."""
    write_deltalake(
        table,
        pa.Table.from_pylist(list(rows), schema=pa.schema(table.schema())),
        mode="append",
        writer_properties=WriterProperties(compression="SNAPPY"),
    )


def _profile(contract: Contract, rows: Sequence[Row]) -> Profile:
    """Sums of hashes as the real one has, of other hashes."""
    days: dict[date | None, DayProfile] = defaultdict(lambda: DayProfile(0, 0))
    for row in rows:
        day = row["ds"] if contract.by_day else None
        text = repr([row.get(name) for name in contract.names if name != "available_at"])
        profile = days[day]
        days[day] = DayProfile(
            profile.rows + 1, (profile.content_hash + crc32(text.encode()) * 2**24) % 2**64
        )
    return Profile(len(rows), 0, dict(days))
