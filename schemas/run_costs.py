"""Run costs: what each step of each run took of the machines, as Spark counted it."""

from __future__ import annotations

from schemas.contract import Column, Contract

RUN_COSTS = Contract(
    name="run_costs",
    meaning="One row per run and step that started Spark: rows, bytes, time and memory, for `segue size`.",
    columns=(
        Column("run_id", "string", "one command that ran one or more jobs", nullable=False),
        Column("step", "string", "the step, as `segue run` names it", nullable=False),
        Column("ended_at", "timestamp", "instant when the step ended", "UTC", False),
        Column("seconds", "double", "from its begin to its end", "s", False),
        Column("cores", "int", "tasks that could run at the same time", "tasks", False),
        Column(
            "play_rows", "bigint", "rows read and published of tables by play, event or pair", "rows", False
        ),
        Column("listener_rows", "bigint", "the same of tables with a row per listener", "rows", False),
        Column(
            "track_rows", "bigint", "the same of tables with a row per track or other entity", "rows", False
        ),
        Column(
            "rows_published",
            "bigint",
            "rows of all batches that were published, 0 if none was",
            "rows",
            False,
        ),
        Column("stages", "int", "stages of Spark that ran tasks", "stages", False),
        Column(
            "lost",
            "int",
            "jobs and stages that Spark had forgotten by the end: all below lacks them",
            nullable=False,
        ),
        Column("tasks", "bigint", "tasks that ended, repeated ones too", "tasks", False),
        Column("core_seconds", "double", "time that tasks held their cores, Python's included", "s", False),
        Column("cpu_seconds", "double", "CPU of the tasks' JVM threads alone", "s", False),
        Column("gc_seconds", "double", "time that tasks waited for the collection of garbage", "s", False),
        Column("bytes_read", "bigint", "of files, as far as they were read", "bytes", False),
        Column("bytes_written", "bigint", "of files; refused and scratch ones too", "bytes", False),
        Column("shuffle_bytes", "bigint", "written for other tasks, compressed", "bytes", False),
        Column("spill_bytes", "bigint", "written to disk for want of memory", "bytes", False),
        Column(
            "task_bytes", "bigint", "largest memory that one task sorted, hashed or joined in", "bytes", False
        ),
        Column(
            "largest_task_seconds",
            "double",
            "of the stage whose largest is farthest from its median",
            "s",
        ),
        Column("median_task_seconds", "double", "of that stage", "s"),
        Column("driver_bytes", "bigint", "largest memory so far of the driver's Python process", "bytes"),
    ),
    key=("run_id", "step", "ended_at"),
    partitions=(),
    statistics=("ended_at",),
)
