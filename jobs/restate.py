"""Takes late plays of some days into plays, in one batch; the next flow builds again what rests on those days."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from features.ingest import restore_late_plays
from jobs.arguments import add_common_arguments, parse_day
from jobs.errors import WrongUsage
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.known_ids import select_new_plays
from jobs.publishing.commits import list_file_days
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.warehouse import no_data_error
from jobs.volume import count_by_day
from schemas import CONTRACTS
from schemas.contract import add_new_columns
from segue import show
from segue.parser import CommandParser

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

HEADER = ("day", "plays", "taken in", "there already", "plays after")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Takes plays that came too late, and wait in late_plays, into plays: all of the given days, in one batch. "
        "What is made of those days and of later ones is built again by the next flow."
    )
    parser.add_argument("--from", dest="first", required=True, type=parse_day, help="first day, YYYY-MM-DD")
    until = "last day, itself included (default: the newest day of plays)"
    parser.add_argument("--until", dest="last", type=parse_day, help=until)
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and do nothing")
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> int:
    job = Job("restate", args.root, args.run_id, dry_run=args.dry_run)
    # before a lease makes folders, in a root that may be misspelt
    if not job.has("plays"):
        raise no_data_error(job.warehouse, "plays")
    # an ingest may be setting aside others, or adding the same ones
    with job.lease("plays"), job.lease("late_plays"):
        last = args.last or job.source("plays").days[-1]
        if last < args.first:
            raise WrongUsage(
                f"the days end {last}, before they begin {args.first}; give --from and --until in order"
            )
        late = job.find("late_plays")
        if late is None or not late.count:
            job.nothing_to_do("plays", "no late plays wait")
            return 0
        return _restate(job, late, args.first, last, args.dry_run)


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="segue restate")
    configure(parser)
    return run(parser.parse_args(argv))


def _restate(job: Job, late: TableInput, first: date, last: date, dry_run: bool) -> int:
    # of the ids nothing is known: those that were derived too are looked for as if they were given
    rows = add_new_columns(late.rows(), CONTRACTS["late_plays"])
    plays = restore_late_plays(rows, CONTRACTS["plays"], first, last)
    existing, new = select_new_plays(job, plays)
    new = new.persist()
    changes = _count_changes(job, plays, new)
    if not changes:
        job.nothing_to_do("plays", f"no late plays of {first} to {last} wait")
        return 0
    print(show.format_table(HEADER, changes))
    if dry_run:
        return 0
    if any(taken for _, _, taken, *_ in changes):
        parameters = {"first": first, "last": last}
        batch = job.batch("plays", inputs=[late, existing], appends=True, parameters=parameters)
        empty = job.source("plays").empty_columns
        job.publish(batch, new, missing={name: f"plays never have {name}" for name in empty})
    # after the commit: what is killed between the two finds them in plays, and takes them away here
    _remove_late_plays(job, late, first, last)
    new.unpersist()
    job.say(f"what rests on plays from {changes[0][0]} on is stale: run the flow")
    return 0


def _count_changes(job: Job, plays: DataFrame, new: DataFrame) -> list[tuple[date, int, int, int, int]]:
    """Of each day that late plays are of: plays, those taken in, those that are there already, plays after."""
    states = job.source("plays").day_states
    late, taken = count_by_day(plays), count_by_day(new)
    before = {day: states[day].rows if day in states else 0 for day in sorted(late)}
    return [
        (day, rows, taken.get(day, 0), late[day] - taken.get(day, 0), rows + taken.get(day, 0))
        for day, rows in before.items()
    ]


def _remove_late_plays(job: Job, late: TableInput, first: date, last: date) -> None:
    from pyspark.sql import functions as F

    table = job.warehouse.table("late_plays", late.version)
    assert table is not None
    files = tuple(path for path, _ in list_file_days(table))
    gone = F.to_date("played_at").between(first, last)
    rewrite_files(
        job, Rewrite("retract", job.warehouse.create(CONTRACTS["late_plays"]), "late_plays", files, gone)
    )
