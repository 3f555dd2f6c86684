"""What the stages of a step took, as Spark's own status store counted it: no event log, and no listener of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkContext

# A stage as Spark's REST interface has it.
Stage = Mapping[str, Any]
# Of the tasks of a stage: the median and the largest.
QUANTILES = (0.5, 1.0)
# Events of tasks reach the store by a queue; what a step ended with is there in milliseconds.
MOST_WAIT_MS = 10_000
_NEVER_RAN = ("SKIPPED", "PENDING")


def count_jobs(context: SparkContext) -> int:
    """All that this context has begun: the next one has this number."""
    return int(_scala(context).dagScheduler().numTotalJobs())


def read_stages(context: SparkContext, group: str, jobs_before: int) -> tuple[list[Stage], int]:
    """The stages of a job group, and how many of its jobs and stages Spark has forgotten.

    Spark keeps a thousand of each (`spark.ui.retainedJobs`, `spark.ui.retainedStages`), the newest ones.

    Args:
        jobs_before: number of the first job that the group may have.
    """
    scala = _scala(context)
    scala.listenerBus().waitUntilEmpty(MOST_WAIT_MS)
    store, jvm = scala.statusStore(), _jvm(context)
    # in one call what would be a call to the JVM for each number
    mapper = jvm.org.apache.spark.status.api.v1.JacksonMessageWriter().mapper()
    jobs = json.loads(mapper.writeValueAsString(store.jobsList(None)))
    ids = sorted({id_ for job in jobs if job.get("jobGroup") == group for id_ in job["stageIds"]})
    oldest = min((job["jobId"] for job in jobs), default=count_jobs(context))
    quantiles = context._gateway.new_array(jvm.double, len(QUANTILES))  # type: ignore[union-attr]
    quantiles[0], quantiles[1] = QUANTILES
    of_any_status = jvm.java.util.ArrayList()
    attempts = [
        json.loads(mapper.writeValueAsString(store.stageData(id_, False, of_any_status, True, quantiles)))
        for id_ in ids
    ]
    # of jobs that are forgotten nobody knows the group
    lost = max(0, oldest - jobs_before) + sum(not each for each in attempts)
    return [stage for each in attempts for stage in each], lost


def find_task_cpus(context: SparkContext, stages: Iterable[Stage]) -> dict[int, int]:
    """Cores that a task holds, by the resource profile of its stage."""
    default = int(context.getConf().get("spark.task.cpus", "1") or 1)
    profiles = {stage["resourceProfileId"] for stage in stages} - {0}
    manager = _scala(context).resourceProfileManager()
    found = {id_: manager.resourceProfileFromId(id_).getTaskCpus() for id_ in profiles}
    return {0: default} | {
        id_: int(each.get()) if each.isDefined() else default for id_, each in found.items()
    }


def sum_stages(stages: Sequence[Stage], task_cpus: Mapping[int, int]) -> dict[str, Any]:
    """Columns of `run_costs`, of all attempts: what failed and was tried again was paid for as well."""
    ran = [stage for stage in stages if stage["status"] not in _NEVER_RAN]

    def total(*names: str) -> int:
        return sum(int(stage[name]) for stage in ran for name in names)

    held = sum(stage["executorRunTime"] * task_cpus[stage["resourceProfileId"]] for stage in ran)
    median, largest = find_farthest_task(ran)
    return {
        "stages": len(ran),
        "tasks": total("numCompleteTasks", "numFailedTasks", "numKilledTasks"),
        "core_seconds": held / 1e3,
        "cpu_seconds": total("executorCpuTime") / 1e9,
        "gc_seconds": total("jvmGcTime") / 1e3,
        "bytes_read": total("inputBytes"),
        "bytes_written": total("outputBytes"),
        "shuffle_bytes": total("shuffleWriteBytes"),
        "spill_bytes": total("diskBytesSpilled"),
        "task_bytes": int(max((each["peakExecutionMemory"][1] for each in _list_quantiles(ran)), default=0)),
        "median_task_seconds": median,
        "largest_task_seconds": largest,
    }


def find_farthest_task(stages: Iterable[Stage]) -> tuple[float | None, float | None]:
    """Median and largest seconds of the stage whose largest task is the farthest from its median."""
    times = [each["executorRunTime"] for each in _list_quantiles(stages)]
    if not times:
        return None, None
    median, largest = max(times, key=lambda pair: pair[1] - pair[0])
    return median / 1e3, largest / 1e3


def _list_quantiles(stages: Iterable[Stage]) -> list[Mapping[str, Any]]:
    # none of a stage of which no task ended well
    return [each for stage in stages if (each := stage.get("taskMetricsDistributions"))]


def _scala(context: SparkContext) -> Any:
    return context._jsc.sc()


def _jvm(context: SparkContext) -> Any:
    return context._jvm
