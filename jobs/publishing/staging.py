"""What Spark does of a publication: it writes a batch where no log names it, and reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from expectations.verdict import Result
from jobs.errors import JobError, first_line
from jobs.publishing.batches import Batch, folder
from jobs.publishing.commits import list_staged_files
from jobs.publishing.footers import log_written_files
from jobs.publishing.layout import Layout, plan_layout
from jobs.publishing.warehouse import Warehouse
from jobs.session import tune
from schemas import Contract, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

# Beyond these, Delta's scan of the log is quicker than looking at every file; a remote one takes a request.
FEW_FILES = 1_000
FEW_REMOTE_FILES = 32
# A hundred thousand plays: one core reads and counts them in less than the tasks of a shuffle take.
FEW_BYTES = 8 * 1024**2
# Of tables that are looked up in, as a row is read with the pages that it is in. Parquet's own have 20,000 rows or a
# megabyte; smaller ones make files larger: decision 49.
PAGES = {"parquet.page.row.count.limit": "1000", "parquet.page.size": str(2**16)}
_BROKEN = "a row breaks the constraint"


def stage(warehouse: Warehouse, batch: Batch, rows: DataFrame) -> Result | None:
    """Writes the files of a reserved batch; the constraint that a row breaks, if one does."""
    layout = plan_layout(warehouse.table(batch.table), batch)
    rows = conform(rows, batch.contract)
    if batch.clustered and not layout.splits_days:
        rows = _sort(rows, batch.contract)
    else:
        rows = _cluster_by_bucket(rows, batch.contract, layout)
    # an object store has no rename: what tasks write aside and move, as Spark does, would be copied there
    contract = None if warehouse.remote else batch.contract
    return write(rows, folder(warehouse, batch), contract, layout.rows_per_file)


def _cluster_by_bucket(rows: DataFrame, contract: Contract, layout: Layout) -> DataFrame:
    from pyspark.sql import functions as F

    if layout.tasks > 1:
        # each file holds a narrow range of buckets, sorted: that is what prunes a look-up
        rows = rows.repartitionById(layout.tasks, layout.task(contract.by_day))
    else:
        # by values: each day is one task's, and so one file, whatever the number of shuffle partitions
        rows = rows.repartition(F.col("ds") if contract.by_day else F.lit(0))
    return _sort(rows, contract) if contract.buckets else rows


def _sort(rows: DataFrame, contract: Contract) -> DataFrame:
    from pyspark.sql import functions as F

    order = ["ds" if contract.by_day else None, "bucket", contract.entity, contract.event_time]
    rows = rows.sortWithinPartitions(*[name for name in order if name])
    # above the sort: of rows from two sources the optimizer puts the null below, no longer sees that it is one value,
    # and the writer sorts by it once more, which undoes this order
    null = F.lit(None).cast("timestamp")
    return rows.withColumn("available_at", null) if "available_at" in contract.partitions else rows


def write(
    rows: DataFrame, path: str, contract: Contract | None = None, rows_per_file: int = 0
) -> Result | None:
    """None, or the constraint that a row breaks: behind the expectations, the last line.

    Args:
        path: an empty Delta table, which names the files afterwards.
        contract: the table's; if given, the files are written as plain Parquet. Delta's writer plans, collects
            statistics and makes a snapshot of its log, which takes longer than a day's rows do.
        rows_per_file: at which a task begins another file; 0 for never.

    Raises:
        JobError: what Spark wrote to, or shuffled through, gave out.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        if contract is None:
            _append(rows, rows_per_file).format("delta").save(path)
        else:
            _write_parquet(rows, path, contract, rows_per_file)
    except (PySparkException, Py4JError) as error:
        # in the text of whatever it is wrapped in: a task finds it, and Python gets that a write failed
        violation = re.search(
            rf"(?:\[DELTA_(?:VIOLATE|NOT_NULL)_CONSTRAINT\w*\] ?|{_BROKEN} )(.*)", str(error)
        )
        if violation:
            observed, expected = first_line(violation[1]), "every row keeps the table's constraints"
            return Result("expect_constraints_to_hold", None, "critical", False, observed, expected)
        if isinstance(error, PySparkException):
            raise  # the step itself is wrong, and needs its trace
        raise JobError(
            f"{path} could not be written: {_root_cause(error)}; nothing was published. "
            "Put right what is named here (a full disk, rights, a lost machine), then run the step again"
        ) from error
    return None


def _append(rows: DataFrame, rows_per_file: int) -> DataFrameWriter:
    return rows.write.mode("append").option("maxRecordsPerFile", rows_per_file)


def _write_parquet(rows: DataFrame, path: str, contract: Contract, rows_per_file: int) -> None:
    from pyspark.sql import functions as F

    for name, condition in contract.constraints.items():
        # as Delta has it, null is a breach too; and an error, not a filter, as a row that goes missing is none
        fault = F.raise_error(F.lit(f"{_BROKEN} {name} ({condition})")).cast("boolean")
        rows = rows.where(F.when(F.expr(condition), True).otherwise(fault))
    writer = _append(rows, rows_per_file).option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
    for key in contract.key if len(contract.key) == 1 else ():
        # each value is there once: a dictionary of them is made, found too long, and written as plain values after all
        writer = writer.option(f"parquet.enable.dictionary#{key}", "false")
    if contract.one_row_per_entity:
        writer = writer.options(**PAGES)
    writer.partitionBy(*contract.partitions).parquet(path)
    log_written_files(path, contract.statistics)


def read_staged_rows(spark: SparkSession, warehouse: Warehouse, path: str, contract: Contract) -> DataFrame:
    """The files that the log of a staged batch names, read back, in a session set to their number of rows."""
    files = list_staged_files(warehouse, path)
    # from the log's statistics: counting the rows would be a job of its own
    tune(spark, sum(json.loads(file["stats"])["numRecords"] for file in files))
    if not 0 < len(files) <= (FEW_REMOTE_FILES if warehouse.remote else FEW_FILES):
        return spark.read.format("delta").load(path)
    # few are read as what they are, Parquet files: Delta's own scan asks its log with a Spark job or two for
    # each query, and an audit makes several. With the contract's schema, as no footer is read to infer one
    parent = path.rsplit("/", 1)[0]
    paths = [f"{parent}/{file['path']}" for file in files]
    rows = spark.read.schema(contract.struct()).option("basePath", path).parquet(*paths)
    rows = rows.select(*contract.names)  # Spark puts partition columns last
    # one partition, so that no aggregation of the audit shuffles
    return rows.coalesce(1) if sum(file["size"] for file in files) <= FEW_BYTES else rows


@contextmanager
def explain_unreadable(batch: Batch) -> Iterator[None]:
    """Page checksums are on, so what a disk spoiled since it was written ends here, not at a reader."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise JobError(
            f"table {batch.table}: what was staged of batch {batch.id} cannot be read back and audited: "
            f"{_root_cause(error)}; nothing was published. Look at the disk, then run the step again"
        ) from error


def _root_cause(problem: Exception) -> str:
    """What the innermost cause says: the outer ones say only which call failed, or that a task did."""
    causes = re.findall(r"Caused by: [\w.$]+: (.+)", str(problem))
    return causes[-1].strip() if causes else first_line(problem)
