"""Small Delta tables about the others, which the driver writes without Spark: no batch of them is staged or audited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from jobs.errors import JobError, first_line
from jobs.publishing.warehouse import Warehouse
from schemas import Contract
from schemas.feature_profiles import FEATURE_PROFILES
from schemas.input_files import INPUT_FILES
from schemas.quality_results import QUALITY_RESULTS
from schemas.run_costs import RUN_COSTS
from segue.releases import FILES_BEFORE_COMPACTION
from segue.retry import retry
from segue.storage import Snapshot, find_table

# Arrow's for Spark's.
PLAIN_TYPES = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class RecordTable:
    """`place` is its path below the root; `called` is its name in an error.

    `rows_per_group` is for rows that are large: of files that are joined, a reader of some days decodes little else.
    """

    place: tuple[str, ...]
    contract: Contract
    called: str
    rows_per_group: int | None = None

    def path(self, warehouse: Warehouse) -> str:
        return warehouse.path(*self.place)

    @property
    def schema(self) -> pa.Schema:
        """As Delta has it, without Spark: whoever reads what was recorded may have none."""
        columns = self.contract.columns
        return pa.schema([pa.field(c.name, _arrow_type(c.type), c.nullable, c.metadata) for c in columns])

    def append(self, warehouse: Warehouse, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raises JobError where they cannot be written."""
        names = ",".join(self.contract.statistics)
        settings = {"delta.dataSkippingStatsColumns": names} if names else None

        def write() -> None:
            table = find_table(self.path(warehouse))
            # merge: a root of before gets the columns that have been added to the contract since
            write_deltalake(
                table or self.path(warehouse),
                self.to_arrow(rows, table),
                mode="append",
                schema_mode="merge",
                configuration=settings,
            )

        try:
            # two that make the table at once: the loser's rows are not in the log
            retry(write, CommitFailedError)
        except (DeltaError, OSError) as problem:
            raise JobError(
                f"the {self.called} cannot be written: {first_line(problem)}; nothing is published without "
                "its record. Put right what is named here, then run the step again"
            ) from problem

    def to_arrow(self, rows: Sequence[Mapping[str, Any]], table: DeltaTable | None) -> pa.Table:
        """Rows for the table as it lies there, if it does."""
        known = {field.name for field in table.schema().fields} if table else set()
        # without the comments of columns that it has: Delta merges none that differs, and it has its own
        fields = [field.remove_metadata() if field.name in known else field for field in self.schema]
        # a schema, as a column of nothing but nulls would come without a type
        return pa.Table.from_pylist(list(rows), schema=pa.schema(fields))

    def read(
        self, warehouse: Warehouse, columns: Iterable[str], where: pc.Expression | None = None
    ) -> pa.Table:
        """Some columns of the rows, null where they were written before there was such a column; no row where nothing
        was ever written."""
        table, names = find_table(self.path(warehouse)), list(columns)
        if table is None:
            return self.schema.empty_table().select(names)
        snapshot = Snapshot(self.path(warehouse), table)
        rows = snapshot.read(snapshot.files, [name for name in names if name in snapshot.schema.names], where)
        for place, name in enumerate(names):
            if name not in snapshot.schema.names:
                kind = self.schema.field(name).type
                rows = rows.add_column(place, name, pa.nulls(rows.num_rows, kind))
        return rows

    @property
    def _writer_properties(self) -> WriterProperties | None:
        rows = self.rows_per_group
        return WriterProperties(compression="SNAPPY", max_row_group_size=rows) if rows else None

    def compact(self, warehouse: Warehouse) -> None:
        """Every attempt appends a small file; only delta-rs writes here, so its own means will do."""
        # no release names a version of it: a week is for readers who began in time
        if table := find_table(self.path(warehouse)):
            if len(table.file_uris()) > FILES_BEFORE_COMPACTION:
                table.optimize.compact(writer_properties=self._writer_properties)
            remove_old_files(table, days=7)


def _arrow_type(text: str) -> pa.DataType:
    """Of a type of Spark's: plain, a list, or a struct of plain ones."""
    kind, _, inner = text.removesuffix(">").partition("<")
    if kind == "array":
        return pa.list_(pa.field("element", _arrow_type(inner)))
    if kind == "struct":
        return pa.struct(
            [(name, PLAIN_TYPES[type_]) for name, type_ in (f.split(":") for f in inner.split(","))]
        )
    return PLAIN_TYPES[kind]


def remove_old_files(table: DeltaTable, days: int) -> None:
    table.vacuum(retention_hours=24 * days, dry_run=False, enforce_retention_duration=False)


RESULTS = RecordTable(("quality", "results"), QUALITY_RESULTS, "quality results")
PROFILES = RecordTable(("quality", "profiles"), FEATURE_PROFILES, "feature profiles", 1_000)
FILES = RecordTable(("quality", "files"), INPUT_FILES, "records of input files")
COSTS = RecordTable(("quality", "costs"), RUN_COSTS, "costs of runs")
RECORD_TABLES = (RESULTS, PROFILES, FILES, COSTS)
