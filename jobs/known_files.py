"""Which files are in a table already, and which of those that an input names are to be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from jobs.input_files import InputFile
from jobs.publishing.record_tables import FILES
from jobs.publishing.transactions import list_transactions
from jobs.publishing.warehouse import Warehouse

READ, RECOGNISED, REFUSED, FAILED = "read", "recognised", "refused", "failed"
# Of no file: rows were taken out of the table.
RETRACTED = "retracted"
# What is looked at each time, of all files that there ever were.
_COLUMNS = (
    "outcome",
    "transaction",
    "retractions",
    "file_id",
    "bytes",
    "modified_at",
    "settings",
    "content_id",
)
# A file as it is listed: hash of its path, size, modification time in ms, and the source's settings.
Listing = tuple[str, int, int, str]


@dataclass(frozen=True)
class IdentifiedFile:
    file: InputFile
    file_id: str
    content_id: str


@dataclass(frozen=True)
class KnownFiles:
    """What the records say of one table.

    A content is known since the last time that rows were taken out of the table: what was retracted comes back from a
    file of another name or time.
    """

    listings: Collection[Listing] = frozenset()
    # content and settings
    contents: Collection[tuple[str, str]] = frozenset()
    paths: Collection[str] = frozenset()
    retractions: int = 0

    @classmethod
    def of_records(cls, rows: Iterable[Mapping[str, Any]], transactions: Collection[str]) -> KnownFiles:
        """Of all records of one table, in any order.

        Args:
            rows: with `modified` as files are listed, in milliseconds.
            transactions: those of the table's log.
        """
        rows = list(rows)
        retractions = max((row["retractions"] or 0 for row in rows), default=0)
        read = [row for row in rows if is_in(row, transactions)]
        # while what they were recognised by is in: a commit may have been taken out of the log
        contents = {(row["content_id"], row["settings"]) for row in read}
        recognised = (row for row in rows if row["outcome"] == RECOGNISED)
        there = [*read, *(row for row in recognised if (row["content_id"], row["settings"]) in contents)]
        return cls(
            {(row["file_id"], row["bytes"], row["modified"], row["settings"]) for row in there},
            {(row["content_id"], row["settings"]) for row in there if row["retractions"] == retractions},
            {row["file_id"] for row in there},
            retractions,
        )


def load_known_files(warehouse: Warehouse, table: str) -> KnownFiles:
    opened = warehouse.table(table)
    if opened is None:
        return KnownFiles()
    where = (pc.field("table_name") == table) & (pc.field("table_id") == table_id(opened))
    records = FILES.read(warehouse, _COLUMNS, where)
    # as numbers: a hundred thousand instants as objects take longer than all else
    instants = records["modified_at"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    rows = records.drop_columns("modified_at").append_column("modified", instants).to_pylist()
    return KnownFiles.of_records(rows, list_transactions(warehouse, table) if rows else ())


def is_in(record: Mapping[str, Any], transactions: Collection[str]) -> bool:
    """Whether it is of a file whose rows are published, new ones by a transaction of the log."""
    transaction = record["transaction"]
    return bool(record["outcome"] == READ and (transaction is None or transaction in transactions))


def table_id(table: DeltaTable) -> str:
    return str(table.metadata().id)


@dataclass(frozen=True)
class FormerReading:
    """What is known of a file that was read by other settings; `taken` are rows that were events, new ones or not."""

    source: str
    settings: str
    taken: int
    # or, where false, a copy of it elsewhere
    is_of_path: bool = True


@dataclass(frozen=True)
class Delivery:
    """What becomes of the files that an input names."""

    new: Sequence[IdentifiedFile] = ()
    # read before at this path, of other content or by other settings
    changed: Sequence[IdentifiedFile] = ()
    # in as well, and to be read all the same
    again: Sequence[IdentifiedFile] = ()
    # of a content that is in
    recognised: Sequence[IdentifiedFile] = ()
    # of a content that another file of this delivery has
    copies: Sequence[IdentifiedFile] = ()
    # of those to be read, the ones whose rejects are to be taken out where they are none any more
    replays: Sequence[IdentifiedFile] = ()
    # by path, of those to be read that are in by other settings
    former: Mapping[str, FormerReading] = field(default_factory=dict)

    @property
    def to_read(self) -> list[IdentifiedFile]:
        return sorted((*self.new, *self.changed, *self.again), key=lambda each: each.file.path)

    @property
    def read_before(self) -> list[IdentifiedFile]:
        """Those whose rows may be in, so that duplicates are expected of them."""
        return [*self.changed, *self.again]

    def describe(self) -> list[str]:
        """A line for what is not plainly new or in."""
        lines = []
        if self.read_before:
            lines.append(
                f"files: {len(self.to_read):,} to read, {len(self.new):,} new, {len(self.changed):,} changed, "
                f"{len(self.again):,} in already; rows whose ids are in are duplicates"
            )
        if kept := len(self.recognised) + len(self.copies):
            lines.append(
                f"files: {kept:,} hold what is in under another name or time, and are not read again"
            )
        return lines


def select_files(
    known: KnownFiles,
    files: Sequence[InputFile],
    settings: str,
    identify_path: Callable[[str], str],
    identify_contents: Callable[[Sequence[InputFile]], Sequence[str]],
    is_wanted: Callable[[InputFile], bool] = lambda file: False,
) -> Delivery:
    """Which files to read.

    Args:
        settings: a hash of what the source says of the rows.
        identify_contents: opens the files, so it is given those alone of which the listing says too little.
        is_wanted: of a file that is to be read though it is in.
    """
    ids = {file: identify_path(file.path) for file in files}
    listed = {file for file in files if (ids[file], file.bytes, file.modified, settings) in known.listings}
    unlisted = [file for file in files if file not in listed or is_wanted(file)]
    kinds: dict[str, Any] = {name: [] for name in ("new", "changed", "again", "recognised", "copies")}
    seen: set[str] = set()
    for file, content in zip(unlisted, identify_contents(unlisted), strict=True):
        each = IdentifiedFile(file, ids[file], content)
        is_in = file in listed or (content, settings) in known.contents
        if is_wanted(file):
            kind = "again" if is_in else "changed" if each.file_id in known.paths else "new"
        elif is_in:
            kind = "recognised"
        elif content in seen:
            # recorded once its twin is in
            kind = "copies"
        else:
            kind = "changed" if each.file_id in known.paths else "new"
        seen.add(content)
        kinds[kind].append(each)
    return Delivery(**kinds)
