"""Meters a step while it runs, and records what it cost when it ends, which never fails the step."""

from __future__ import annotations

import atexit
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jobs.embeddings.progress import peak_bytes
from jobs.messages import LOG
from jobs.publishing.record_tables import COSTS
from jobs.publishing.warehouse import Warehouse, find_contract
from jobs.session import is_submitted
from jobs.sizing.stages import count_jobs, find_task_cpus, read_stages, sum_stages
from schemas import Contract
from segue.failures import describe_cause

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# Of the session: "false" records nothing.
SETTING = "spark.segue.runCosts"
PLAYS, LISTENERS, TRACKS = "play_rows", "listener_rows", "track_rows"
_GROUP = "spark.jobGroup.id"


@dataclass
class Meter:
    """What is known of a step so far. Until it opens a session there is nothing to record."""

    step: str
    group: str = field(default_factory=lambda: f"segue {uuid4().hex}")
    started: float = field(default_factory=time.monotonic)
    warehouse: Warehouse | None = None
    run_id: str = ""
    context: SparkContext | None = None
    jobs_before: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    published: int = 0


# Per thread, as steps run at the same time in threads of one process.
_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def record_costs(step: str) -> Iterator[None]:
    """Records what Spark did inside the block, for `segue size`."""
    meter = Meter(step)
    token = _METER.set(meter)
    try:
        yield
    except Exception:
        # what was refused has cost as much. Not of what was interrupted, which is to end at once
        _finish(meter)
        raise
    else:
        _finish(meter)
    finally:
        _METER.reset(token)


def note_job(name: str, warehouse: Warehouse, run_id: str) -> None:
    """Called by each job: where costs of the step that is on go to, and under which run."""
    meter = _METER.get()
    if meter is None and is_submitted():
        # spark-submit ran its file, not a step by name; the process is the step
        meter = Meter(name)
        _METER.set(meter)
        atexit.register(_finish, meter)
    if meter and meter.warehouse is None:
        meter.warehouse, meter.run_id = warehouse, run_id


def note_session(spark: SparkSession) -> None:
    """What this thread has Spark do from now on is of the step that is on."""
    meter = _METER.get()
    if meter is None or spark.conf.get(SETTING, "true") == "false":
        return
    with _warn(meter):
        context = spark.sparkContext
        context.setJobGroup(meter.group, meter.step)
        if meter.context is None:
            meter.jobs_before = count_jobs(context)
            meter.context = context


def note_rows(table: str, rows: int, published: bool = False) -> None:
    """Rows that the step that is on reads, or has published, of a table."""
    if meter := _METER.get():
        if kind := find_kind(find_contract(table)):
            meter.rows[kind] += rows
        meter.published += rows if published else 0


def find_kind(contract: Contract) -> str | None:
    """What the rows of a table grow with; None of a table without an entity, which has few."""
    if contract.entity is None:
        return None
    keys = [name for name in contract.key if name not in ("ds", "span")]
    # pairs of a listener and a track grow with plays
    if keys != [contract.entity]:
        return PLAYS
    return LISTENERS if contract.personal else TRACKS


def _finish(meter: Meter) -> None:
    context, warehouse = meter.context, meter.warehouse
    if context is None or warehouse is None:
        return
    with _warn(meter):
        context.setLocalProperty(_GROUP, None)  # type: ignore[arg-type]
        COSTS.append(warehouse, [_measure(meter, context)])


@contextmanager
def _warn(meter: Meter) -> Iterator[None]:
    """What goes wrong inside is said, and is no reason to fail: a driver may be one whose JVM lets nobody look."""
    try:
        yield
    except Exception as problem:
        LOG.warning(f"costs of {meter.step} were not recorded: {describe_cause(problem)}")


def _measure(meter: Meter, context: SparkContext) -> dict[str, Any]:
    seconds = time.monotonic() - meter.started
    stages, lost = read_stages(context, meter.group, meter.jobs_before)
    return {
        "run_id": meter.run_id,
        "step": meter.step,
        "ended_at": datetime.now(UTC),
        "seconds": seconds,
        "cores": context.defaultParallelism,
        **{kind: meter.rows[kind] for kind in (PLAYS, LISTENERS, TRACKS)},
        "rows_published": meter.published,
        "lost": lost,
        **sum_stages(stages, find_task_cpus(context, stages)),
        "driver_bytes": peak_bytes(),
    }
