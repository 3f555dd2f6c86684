"""Files of one version of a table, read by Spark as Parquet files, without Delta's scan.

Delta asks its log for the files of each query, with a Spark job or two and a plan of its own: of a flow over small data
that was a sixth of the time of all queries. What is read here is a version that is known, and so are its files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.errors import JobError
from segue.storage import DataFile

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from py4j.java_gateway import JavaObject
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

# Each takes some calls to the JVM, of half a millisecond; Delta's scan takes longer than those of a hundred.
FEW_FILES = 100
_SOURCES = "org.apache.spark.sql.execution.datasources"


def read_as_parquet(
    spark: SparkSession, table: DeltaTable, path: str, files: Sequence[DataFile]
) -> DataFrame | None:
    """Rows of some files of a table as Delta would give them: columns, types, what may be null, values of partitions.

    None where that takes Delta: no files, or many, or files of one folder with different values of partition columns.

    Args:
        path: of the table, on a disk of this machine.

    Raises:
        JobError: a file is not there, or is no longer as the log has it.
    """
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    folders = _find_folders(files)
    if not 0 < len(files) <= FEW_FILES or folders is None:
        return None
    schema = read_schema(table)
    partitions = table.metadata().partition_columns
    jvm, path = _Jvm(spark, StructType([schema[name] for name in partitions])), os.path.abspath(path)
    index = jvm.make_index(path, [file.path for file in files], folders)
    _check_listed(index, path, files)
    stored = StructType([field for field in schema if field.name not in partitions])
    return DataFrame(jvm.make_relation(index, stored), spark).select(*schema.names)


def read_schema(table: DeltaTable) -> StructType:
    """Of a version, by its log alone: columns as Delta's scan has them."""
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(table.schema().to_json()))


def _find_folders(files: Sequence[DataFile]) -> dict[str, tuple[Any, ...]] | None:
    """The values of partition columns by folder, if all files of a folder have the same."""
    folders: dict[str, tuple[Any, ...]] = {}
    for file in files:
        values = tuple(file.partition.values())
        if folders.setdefault(file.path.rpartition("/")[0], values) != values:
            return None
    return folders


def _check_listed(index: JavaObject, path: str, files: Sequence[DataFile]) -> None:
    # Spark says nothing of a file that it does not find, and its rows would be missing
    found = index.sizeInBytes()
    if found != (expected := sum(file.bytes for file in files)):
        raise JobError(
            f"{path}: files of a version hold {found:,} bytes, and {expected:,} by its log; a file is lost or damaged. "
            "Run: segue verify"
        )


class _Jvm:
    """Spark's own classes for a relation of files; no function of Python's makes one."""

    def __init__(self, spark: SparkSession, partitions: StructType) -> None:
        self._spark, self._partitions = spark, partitions
        self._none = self._find("scala.Option").empty()

    def make_index(
        self, path: str, files: Sequence[str], folders: Mapping[str, tuple[Any, ...]]
    ) -> JavaObject:
        new_path = self._find("org.apache.hadoop.fs.Path")
        new_partition = self._find(f"{_SOURCES}.PartitionPath")
        values = self._make_rows(list(folders.values()))
        partitions = [
            new_partition(row, new_path(f"file:{path}/{folder}"))
            for folder, row in zip(folders, values, strict=True)
        ]
        return self._find(f"{_SOURCES}.InMemoryFileIndex")(
            self._spark._jsparkSession,
            self._make_seq([new_path(f"file:{path}/{file}") for file in files]),
            self._make_map(),
            self._none,
            getattr(self._find(f"{_SOURCES}.NoopCache$"), "MODULE$"),
            self._find("scala.Option").apply(
                self._find(f"{_SOURCES}.PartitionSpec")(
                    self._make_type(self._partitions), self._make_seq(partitions)
                )
            ),
            self._none,
        )

    def make_relation(self, index: JavaObject, stored: StructType) -> JavaObject:
        relation = self._find(f"{_SOURCES}.HadoopFsRelation")(
            index,
            self._make_type(self._partitions),
            self._make_type(stored),
            self._none,
            self._find(f"{_SOURCES}.parquet.ParquetFileFormat")(),
            self._make_map(),
            self._spark._jsparkSession,
        )
        return self._spark._jsparkSession.baseRelationToDataFrame(relation)

    def _make_rows(self, values: Sequence[tuple[Any, ...]]) -> Sequence[JavaObject]:
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_schema

        if not self._partitions:
            return [self._find("org.apache.spark.sql.catalyst.InternalRow").empty() for _ in values]
        fields, columns = to_arrow_schema(self._partitions), zip(*values, strict=True)
        # Spark knows its own form of dates and instants; of a small Arrow table it makes rows without a job
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=fields)
        return self._spark.createDataFrame(table)._jdf.queryExecution().executedPlan().executeCollect()

    def _make_type(self, schema: StructType) -> JavaObject:
        return self._find("org.apache.spark.sql.types.DataType").fromJson(schema.json())

    def _make_seq(self, values: Sequence[JavaObject]) -> JavaObject:
        return self._find("org.apache.spark.api.python.PythonUtils").toSeq(list(values))

    def _make_map(self) -> JavaObject:
        return self._find("org.apache.spark.api.python.PythonUtils").toScalaMap({})

    def _find(self, name: str) -> Any:
        # by its full name: of each package on the way the JVM would be asked, and look for a class of that name
        return getattr(self._spark._jvm, name)
