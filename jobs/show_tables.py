"""Every table: what it holds, its days, how fresh it is, and how many releases that can be opened have it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from jobs.catalogue.arguments import add_catalogue_arguments, open_catalogue
from jobs.catalogue.entries import TableEntry
from segue import show

FIELDS = (
    "table",
    "rows",
    "days",
    "first",
    "last",
    "age (days)",
    "complete through",
    "late (runs)",
    "releases",
    "made by",
    "meaning",
)
LATE = FIELDS.index("late (runs)")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{__doc__} The age is counted from the end of the newest day; late are the runs of the project's schedule "
        "that a newer day was there for, the one that may be running included."
    )
    add_catalogue_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    catalogue = open_catalogue(args)
    entries = [catalogue.describe_table(table) for table in catalogue.tables]
    if args.json:
        print(show.format_json_lines(map(asdict, entries)))
    else:
        print(_format_table(entries, catalogue.schedule is not None))
        if not any(entry.published for entry in entries):
            # of a root that is misspelt the table looks the same
            print(f"\nno table is published under {show.escape(args.root)}")
    return 0


def _format_table(entries: Sequence[TableEntry], has_schedule: bool) -> str:
    rows = [FIELDS, *map(_list_cells, entries)]
    # a column of nothing would be read as "never late"
    header, *body = rows if has_schedule else [(*row[:LATE], *row[LATE + 1 :]) for row in rows]
    return show.format_table([str(name) for name in header], body)


def _list_cells(entry: TableEntry) -> tuple[object, ...]:
    about = (len(entry.releases), entry.made_by, entry.meaning or entry.note)
    if entry.published is None:
        return (entry.table, *[None] * 7, *about)
    p = entry.published
    days = (p.days or None, p.first_day, p.last_day, p.age_days, p.complete_through)
    return (entry.table, p.rows, *days, entry.late_runs, *about)
