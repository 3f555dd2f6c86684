"""Where tables are, and one version of a table: its files as the log names them.

The log is read with deltalake, the files with pyarrow's own dataset. Partition values are true only
in the log: a batch is staged before its instant of publication is known, so paths say null there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, reduce
from operator import and_
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import fs as pafs

from segue.errors import SegueError, UsageError, first_line
from segue.forks import note_use, run_where_possible
from segue.idle import Idle
from segue.names import read_names
from segue.paged_file import PagedFiles
from segue.paths import make_absolute

# Spark may write timestamps as int96, which as nanoseconds could not hold the year 9999.
# Page checksums are written by Spark and not looked at by default: a flipped bit would be read as other rows.
FORMAT = pads.ParquetFileFormat(
    coerce_int96_timestamp_unit="us",
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(page_checksum_verification=True),
)

# In the metadata of a column, as JSON: what it is for a key that has no row.
DEFAULT = b"segue.default"

# In the same place: why nobody should begin to use a column; and why it is no more, if it is.
DEPRECATED, REMOVED = b"segue.deprecated", b"segue.removed"

# In the same place: what becomes of a value on days of which an idle entity has no row, see `segue.idle`.
IDLE = b"segue.idle"

# Amazon's own name for its store, and Hadoop's.
S3 = ("s3", "s3a")

# The column that says in which space a row's vectors are.
SPACE = "space_id"


def table_uri(root: str | os.PathLike[str], table: str) -> str:
    return join_path(make_absolute(root), "tables", table)


def releases_uri(root: str | os.PathLike[str]) -> str:
    return join_path(make_absolute(root), "releases")


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """What pyarrow reads the files of `uri` with, and their path there."""
    if "://" not in uri:
        return pafs.LocalFileSystem(), os.path.abspath(uri)
    scheme, _, path = uri.partition("://")
    if scheme not in S3:
        return pafs.FileSystem.from_uri(uri)
    # the bucket alone: a key is a name as it stands, and in a URI spaces and percent signs would mean something else;
    # by Hadoop's name for S3, which deltalake understands and pyarrow does not
    files, _ = pafs.FileSystem.from_uri(f"s3://{path.partition('/')[0]}")
    return files, path.rstrip("/")


def is_delta(uri: str) -> bool:
    """Whether there is a Delta table, and not some other folder or a file."""
    files, path = filesystem(uri)
    return bool(files.get_file_info(f"{path.rstrip('/')}/_delta_log").type == pafs.FileType.Directory)


def find_table(uri: str, version: int | None = None) -> DeltaTable | None:
    """None where no table is; SegueError where one is that cannot be read."""
    note_use()
    try:
        return DeltaTable(uri, version=version)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as problem:  # of the log, or of the storage that it is on
        which = "the newest version" if version is None else f"version {version}"
        text = f"{which} of the table at {uri!r} cannot be read: {first_line(problem)}"
        raise SegueError(text) from problem


@dataclass(frozen=True)
class DataFile:
    """One file; `buckets` is its lowest and highest, None where the log has no statistics."""

    path: str
    bytes: int
    partition: Mapping[str, Any]
    buckets: tuple[int, int] | None

    def may_hold(self, buckets: Collection[int]) -> bool:
        if self.buckets is None:
            return True
        low, high = self.buckets
        return any(low <= bucket <= high for bucket in buckets)


class Snapshot:
    """One version of one table."""

    def __init__(self, uri: str, table: DeltaTable) -> None:
        metadata = table.metadata()
        settings = metadata.configuration
        self.uri = uri
        self.name = uri.rsplit("/", 1)[-1]
        self.version = table.version()
        self.schema = pa.schema(table.schema())
        self.partitions = tuple(metadata.partition_columns)
        # In the table's own properties: the client knows no contracts.
        self.key = tuple(name.strip() for name in settings.get("segue.key", "").split(",") if name.strip())
        self.entity = settings.get("segue.entity") or None
        self.buckets = int(settings.get("segue.buckets") or 0)
        self.files = _list_files(table, self.partitions)
        self._spaces: dict[date, frozenset[str]] = {}
        self.paged_files = PagedFiles()

    @classmethod
    def at(cls, uri: str, version: int) -> Snapshot:
        return run_where_possible(cls._open, uri, version)

    @classmethod
    def _open(cls, uri: str, version: int) -> Snapshot:
        table = find_table(uri, version)
        if table is None:
            raise SegueError(
                f"version {version} of the table at {uri!r} cannot be read: there is no Delta table"
            )
        return cls(uri, table)

    @cached_property
    def days(self) -> list[date]:
        """Empty for a table that has no days."""
        return sorted({file.partition["ds"] for file in self.files if file.partition.get("ds")})

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What a column is for a key that has no row, of those that declare it."""
        json_defaults = ((field.name, (field.metadata or {}).get(DEFAULT)) for field in self.schema)
        return {name: json.loads(text) for name, text in json_defaults if text is not None}

    @cached_property
    def idle(self) -> dict[str, Idle]:
        """What becomes of the values of an entity on days without a row of it, of those that do not go to defaults."""
        return {name: Idle.parse(text) for name, text in self.list_marked(IDLE).items()}

    @cached_property
    def vectors(self) -> tuple[str, ...]:
        """Lists of floats in a table that says in which space they are: not to be mixed with another's."""
        if SPACE not in self.schema.names:
            return ()
        lists = (field for field in self.schema if pa.types.is_list(field.type))
        return tuple(field.name for field in lists if pa.types.is_floating(field.type.value_type))

    def spaces(self, day: date) -> frozenset[str]:
        """Those that the rows of a day are of, read once. The gate lets one pass."""
        if day not in self._spaces:
            self._spaces[day] = self.spaces_of(self.select(day))
        return self._spaces[day]

    def spaces_of(self, files: Sequence[DataFile]) -> frozenset[str]:
        """Those that the rows of these files are of."""
        batches = self.batches(files, [SPACE])  # never all rows at once
        return frozenset(space for batch in batches for space in batch[SPACE].unique().to_pylist())

    def resolve_day(self, day: date | str | None) -> date | None:
        """`day` if the table has it, its newest for None; None where there are no days at all."""
        if day is None:
            return self.days[-1] if self.days else None
        # A datetime is a date to Python, but in which zone would be a guess.
        if isinstance(day, datetime) or not isinstance(day, date):
            try:
                day = date.fromisoformat(day)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                text = f"a day is a datetime.date or text like '2026-11-20'; got {day!r}"
                raise UsageError(text) from None
        if day not in self.days:
            raise UsageError.unknown("day", day, reversed(self.days), f"table {self.name}, newest first")
        return day

    def names(self, columns: Sequence[str] | None) -> list[str]:
        """`columns` once each, all known; for None every one still declared but `bucket`, which serves storage."""
        if columns is None:
            gone = {"bucket", *self.list_marked(REMOVED)}
            return [name for name in self.schema.names if name not in gone]
        names = read_names("columns", columns)
        for name in names:
            if name not in self.schema.names:
                raise UsageError.unknown("column", name, self.schema.names, f"table {self.name}")
        return list(dict.fromkeys(names))

    def list_marked(self, mark: bytes) -> dict[str, str]:
        """Columns with a mark, `DEPRECATED`, `REMOVED` or `IDLE`, and what it says."""
        texts = {field.name: (field.metadata or {}).get(mark, b"").decode() for field in self.schema}
        return {name: text for name, text in texts.items() if text}

    def select(self, day: date | None = None, buckets: Collection[int] | None = None) -> list[DataFile]:
        """The files that can hold such rows: of one day, of some buckets; None leaves open."""
        files = self.files if day is None else [file for file in self.files if file.partition["ds"] == day]
        return list(files) if buckets is None else [file for file in files if file.may_hold(buckets)]

    def read(
        self, files: Sequence[DataFile], columns: Sequence[str], where: pads.Expression | None = None
    ) -> pa.Table:
        with self.translate_read_errors():
            return self._dataset(files).to_table(columns=list(columns), filter=where)

    def batches(self, files: Sequence[DataFile], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self.translate_read_errors():
            yield from self._dataset(files).to_batches(columns=list(columns))

    def read_version_id(self, day: date | None) -> str | None:
        """Which training the vectors of a day are of; None where it has no rows."""
        # The gate lets one version a day pass, so any row says it; but a file may have no rows.
        batches = (batch for file in self.select(day) for batch in self.batches([file], ["version_id"]))
        return next((batch["version_id"][0].as_py() for batch in batches if batch.num_rows), None)

    def count(self, files: Sequence[DataFile]) -> int:
        """Their rows, by the files' footers."""
        with self.translate_read_errors():
            return int(self._dataset(files).count_rows())

    def check_files(self) -> None:
        """Raises SegueError if the log names a file that is no longer there."""
        source, path = filesystem(self.uri)
        for info in source.get_file_info([f"{path}/{file.path}" for file in self.files]):
            if info.type == pafs.FileType.NotFound:
                raise self._lost_files(info.path)

    def _dataset(self, files: Sequence[DataFile]) -> pads.FileSystemDataset:
        # deltalake's own datasets abort the process at its exit about every second time (deltalake 1.6.6)
        source, path = filesystem(self.uri)
        fragments = [
            # The size is known from the log: without it, a remote store is asked once per file.
            FORMAT.make_fragment(
                f"{path}/{file.path}",
                filesystem=source,
                partition_expression=self._partition_expression(file),
                file_size=file.bytes,
            )
            for file in files
        ]
        return pads.FileSystemDataset(fragments, self.schema, FORMAT, source)

    def _partition_expression(self, file: DataFile) -> pads.Expression | None:
        """From this, pyarrow fills in the partition columns, which the file itself does not have."""
        terms = [
            pads.field(name).is_null()
            if value is None
            else pads.field(name) == pa.scalar(value, self.schema.field(name).type)
            for name, value in file.partition.items()
        ]
        return reduce(and_, terms) if terms else None

    @contextmanager
    def translate_read_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as problem:
            raise self._lost_files(problem) from problem
        # pyarrow raises the one for a checksum that does not fit, and the other for a file that ends too early
        except (OSError, pa.ArrowInvalid) as problem:
            raise SegueError(
                f"version {self.version} of the table at {self.uri!r} cannot be read: {first_line(problem)}",
                "segue verify finds the file; until it is restored, open another release",
            ) from problem

    def _lost_files(self, example: object) -> SegueError:
        return SegueError(
            f"version {self.version} of the table at {self.uri!r} has lost files, such as {first_line(example)}; "
            "they were vacuumed or removed",
            "use a newer release",
        )


def join_path(root: str | os.PathLike[str], *parts: str) -> str:
    """Of a place under a root."""
    base = os.path.expanduser(os.fspath(root))
    return "/".join((base.rstrip("/") or "/", *parts))


def _list_files(table: DeltaTable, partitions: Sequence[str]) -> list[DataFile]:
    actions = pa.table(table.get_add_actions(flatten=True))
    # of each file of the table, only what is used becomes Python objects
    names = ("path", "size_bytes", "min.bucket", "max.bucket", *(f"partition.{name}" for name in partitions))
    rows = actions.select([name for name in names if name in actions.column_names]).to_pylist()
    files = [_to_data_file(row, partitions) for row in rows]
    # in an order that depends on the files only, so that two scans agree
    return sorted(files, key=lambda file: (str(file.partition.get("ds")), file.buckets or (0, 0), file.path))


def _to_data_file(row: Mapping[str, Any], partitions: Sequence[str]) -> DataFile:
    low, high = row.get("min.bucket"), row.get("max.bucket")
    return DataFile(
        path=unquote(row["path"]),  # the log holds paths as URLs
        bytes=row["size_bytes"],
        partition={name: row[f"partition.{name}"] for name in partitions},
        buckets=None if low is None or high is None else (low, high),
    )
