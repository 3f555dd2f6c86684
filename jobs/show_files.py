"""The input files of a table, newest first: what became of each, and of its rows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.errors import WrongUsage
from jobs.file_records import list_records
from jobs.publishing.warehouse import Warehouse
from schemas import EVENT_TABLES
from schemas.plays import PLAYS
from segue import show
from segue.builtin_commands import add_root
from segue.roots import refuse_missing_root

FIELDS = (
    "fate",
    "rows",
    "new",
    "duplicate",
    "late",
    "rejected",
    "left out",
    "bytes",
    "modified",
    "source",
    "run",
    "file",
)
# Files that a screen has room for.
SHOWN = 40
LONGEST = 100


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{__doc__} A file is read once, wherever it lies: one that was renamed or touched is recognised, one that has "
        "changed is read again as a whole."
    )
    add = parser.add_argument
    add(
        "table", nargs="?", default=PLAYS.name, metavar="TABLE", help="plays, or an event table (%(default)s)"
    )
    add("--history", action="store_true", help="every run of each file, not its newest alone")
    add("--last", type=int, default=SHOWN, metavar="N", help="as many files at most (%(default)s)")
    add_root(parser)
    add("--json", action="store_true", help="one JSON object a line, of all files")


def run(args: argparse.Namespace) -> int:
    known = [PLAYS.name, *(table.name for table in EVENT_TABLES)]
    if args.table not in known:
        raise WrongUsage(f"no files are read into {args.table!r}; tables of files are: {', '.join(known)}")
    refuse_missing_root(args.root)
    records = list_records(Warehouse(args.root), args.table)
    if not args.history:
        records = list(_select_newest(records))
    if args.json:
        print(show.format_json_lines(records), end="\n" if records else "")
        return 0
    if not records:
        print(f"no file was read into {args.table} under {show.escape(args.root)}")
        return 0
    print(show.format_table(FIELDS, map(_list_cells, records[: args.last]), LONGEST))
    if len(records) > args.last:
        print(f"{len(records) - args.last:,} more; --last N shows as many, --json all")
    for error in dict.fromkeys(each["error"] for each in records[: args.last] if each["error"]):
        print(f"\n{show.cut(show.escape(error), 10 * LONGEST)}")
    return 0


def _select_newest(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each file."""
    seen: set[str] = set()
    for each in records:
        if each["file_id"] not in seen:
            yield each
        seen.add(each["file_id"])


def _list_cells(record: Mapping[str, Any]) -> tuple[Any, ...]:
    counts = [record[f"{name}_rows"] for name in ("new", "duplicate", "late", "rejected", "left_out")]
    path = record["path"] or f"({record['file_id'][:12]})"
    return (
        record["fate"],
        record["rows"],
        *counts,
        record["bytes"],
        record["modified_at"],
        record["source"],
        record["run_id"],
        path.removeprefix("file:"),
    )
