"""Takes plays, or other events, out again; the next flow builds again what rested on them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from jobs import FLOW
from jobs.arguments import add_common_arguments, add_day_arguments, requested_days
from jobs.errors import JobError, WrongUsage
from jobs.file_records import record_retraction
from jobs.graph import downstream
from jobs.job import Job
from jobs.publishing.commits import list_file_days
from jobs.publishing.part_files import find_part_file, name_part_file
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.state import read_state
from jobs.publishing.state_commits import drop_empty_days
from jobs.publishing.warehouse import check_declared, has_rows, no_data_error
from jobs.receipts import write_receipt
from jobs.retraction_targets import Choose, Target, find_target, make_choice, to_rows
from jobs.user_ids import list_first, read_ids
from schemas import CONTRACTS
from schemas.plays import PLAYS
from segue import show
from segue.log import find_commit, parse_commit_metadata, read_entry
from segue.parser import CommandParser

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

WAYS = "--play ID ..., --plays FILE, --input FILE ..., --of-source NAME, --day, or --from and --to"
# Options that a receipt does not repeat: ids of plays, and paths, may hold those of listeners.
_MAY_NAME_USERS = ("play", "plays", "input")


@dataclass(frozen=True)
class Retraction:
    """What goes from one table: its keys, the files that they are in, and how many are of each day."""

    table: str
    version: int
    keys: DataFrame
    files: tuple[str, ...]
    days: dict[date, int]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Takes plays out of plays and late_plays, or rows out of another table of events, and writes a receipt. What "
        "is made of their days and of later ones is built again by the next flow. Of several options all must hold. "
        "Files that were ingested are not Segue's: what is still in them comes back if they are ingested again."
    )
    add = parser.add_argument
    of = "a table of events that the project declares, to take rows out of it in place of plays"
    add("--table", metavar="TABLE", default=PLAYS.name, help=of)
    add("--play", "--id", nargs="+", default=[], metavar="ID", help="ids of plays, or of rows of --table")
    add("--plays", "--ids", metavar="FILE", help="a file with an id a line")
    add("--input", nargs="+", metavar="FILE", help="the rows that these source files hold")
    layout = "TOML file: how the files of --input are laid out (default: the project's)"
    add("--source", metavar="TOML", help=layout)
    add("--of-source", metavar="NAME", help="rows of the source of this name")
    add_day_arguments(parser, "every day")
    add("--dry-run", action="store_true", help="say what would go, and do nothing")
    missing = "rows that are not there are no error (else: exit 1)"
    add("--ignore-missing", action="store_true", help=missing)
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> int:
    target = find_target(args.table)
    days = requested_days(args, list)
    ids = read_ids(args.play, args.plays, "--plays")
    if not (ids or args.input or args.of_source or days):
        raise WrongUsage(f"nothing to take out; give {WAYS}")
    job = Job("retract", args.root, args.run_id, dry_run=args.dry_run)
    # which days of theirs rest on what goes is known only where they are declared
    check_declared(job.warehouse, "what was made in there of the rows that go would stay")
    # its last run may have been killed once no row was left
    if job.state(target.name) is None:
        raise no_data_error(job.warehouse, target.name)
    with ExitStack() as leases:
        # an ingest may be adding the same rows, or setting them aside
        for name in target.tables:
            leases.enter_context(job.lease(name))
        choose = make_choice(job, target, args, ids, days)
        tables = [name for name in target.tables if has_rows(job.warehouse, name)]
        found = [_find(job, target, name, choose, days) for name in tables]
        missing = _find_missing(job, target, ids, found)
        _print_changes(job, target, found)
        if not args.dry_run:
            if any(each.days for each in found):
                record_retraction(job, target.name)
            for each in found:
                _retract(job, each)
            # also where nothing was found: the last run may have been killed before it came to it
            _remove_days_beyond(job, target)
            if any(each.days for each in found):
                _write_receipt(job, target, args, found)
    _print_missing(target, missing, len(ids))
    is_complete = not missing and any(each.days for each in found)
    return 0 if is_complete or args.ignore_missing else 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="segue retract")
    configure(parser)
    return run(parser.parse_args(argv))


# --- which rows


def _find(job: Job, target: Target, table: str, choose: Choose, days: Sequence[date]) -> Retraction:
    from pyspark.sql import functions as F

    # rows lie under their own days, late plays under that of their arrival
    rows = job.table(table, days if days and table == target.name else None).rows()
    chosen = choose(rows.withColumn("_file", find_part_file()))
    keys = chosen.select(target.key, F.to_date(target.time).alias("day"), "_file").persist()
    counts = keys.groupBy("day", "_file").count().collect()
    names = {row["_file"] for row in counts}
    version = job.version(table)
    opened = job.warehouse.table(table, version)
    files = [path for path, _ in list_file_days(opened) if name_part_file(path) in names] if opened else []
    of_days: Counter[date] = Counter()
    for row in counts:
        of_days[row["day"]] += row["count"]
    return Retraction(table, version, keys.select(target.key), tuple(files), of_days)


def _find_missing(job: Job, target: Target, ids: Sequence[str], found: Sequence[Retraction]) -> list[str]:
    """Those of the ids that are in none of the tables."""
    if not ids:
        return []
    rows = to_rows(job, target, ids)
    for each in found:
        rows = rows.join(each.keys, target.key, "left_anti")
    return sorted(row[target.key] for row in rows.collect())


# --- out of the tables


def _retract(job: Job, retraction: Retraction) -> None:
    if not retraction.files:
        return
    table = job.warehouse.table(retraction.table, retraction.version)
    assert table is not None
    name, rows = retraction.table, sum(retraction.days.values())
    state = rewrite_files(job, Rewrite("retract", table, name, retraction.files, gone_keys=retraction.keys))
    if state is None:
        raise JobError(
            f"table {name}: files were replaced while rows were taken out of them; nothing of it was changed. Run "
            "the command again"
        )
    job.say(f"{name} version {state.version}: {rows:,} rows taken out")


def _remove_days_beyond(job: Job, target: Target) -> None:
    """What was made of days before the first and after the last one that there are by now, and were before.

    Steps make the days that plays, or these events, have, so nothing would ever take the place of these. Where a table
    has days that these events never reached, as attributions have those of plays, a step names them; without any of
    these events there is no such step, and all days go.
    """
    from pyspark.sql import functions as F

    before, events = _find_days_before(job, target), job.warehouse.state(target.name)
    kept = events.days if events else []

    def is_beyond(day: date | None) -> bool:
        return day is not None and (not kept or (_reaches(before, day) and not _reaches(kept, day)))

    for name in downstream(FLOW, target.name):
        table, state = job.warehouse.table(name), job.warehouse.state(name)
        if table is None or state is None or not CONTRACTS[name].by_day:
            continue
        if not (days := [day for day in state.days if is_beyond(day)]):
            continue
        files = tuple(path for path, day in list_file_days(table) if is_beyond(day))
        with job.lease(name):
            if files:
                rewrite_files(job, Rewrite("retract", table, name, files, F.col("ds").isin(days)))
            else:  # an erasure has taken all of their rows
                drop_empty_days(job.warehouse, name, {"run": job.run_id, "job": job.name})
        job.say(f"{name}: {len(days)} days gone that {target.name} no longer reach")


def _find_days_before(job: Job, target: Target) -> list[date]:
    """Those that a retraction found, if it was the last to change the table: this one, or one that was killed then."""
    table = job.warehouse.table(target.name)
    assert table is not None
    uri, newest = table.table_uri, table.version()
    is_retraction = parse_commit_metadata(find_commit(read_entry(uri, newest) or [])).get("kind") == "retract"
    # months later the log may have no entry of the version before
    if not is_retraction or read_entry(uri, newest - 1) is None:
        return []
    before = job.warehouse.table(target.name, newest - 1)
    return read_state(before).days if before else []


def _reaches(days: Sequence[date], day: date) -> bool:
    return bool(days) and days[0] <= day <= days[-1]


# --- what is said of it


def _print_changes(job: Job, target: Target, found: Sequence[Retraction]) -> None:
    state, cells = job.state(target.name), []
    for each in found:
        for day, count in sorted(each.days.items()):
            before = state.day_states[day].rows if state and each.table == target.name else None
            cells.append((each.table, day, before, count, None if before is None else before - count))
    if cells:
        print(show.format_table(("table", "day", "rows", "taken out", "rows after"), cells))
    else:
        print(f"nothing in {' and '.join(target.tables)} matches; nothing is taken out")


def _print_missing(target: Target, missing: Sequence[str], count: int) -> None:
    if missing:
        where = f"not in {' or '.join(target.tables)}, or not of the given days and source"
        print(f"\n{len(missing)} of {count} ids are {where}: {list_first(missing)}")


def _write_receipt(job: Job, target: Target, args: argparse.Namespace, found: Sequence[Retraction]) -> None:
    now = datetime.now(UTC)
    receipt = {
        "run": job.run_id,
        "retracted_at": now,
        "options": {
            name: value for name, value in vars(args).items() if value and name not in _MAY_NAME_USERS
        },
        # what was there before can be read at these versions for as long as their files are kept
        "tables": [
            {
                "table": each.table,
                "version_before": each.version,
                target.name: {str(d): n for d, n in each.days.items()},
            }
            for each in found
        ],
    }
    print(
        f"Receipt: {write_receipt(job, receipt, now)}\nRun the flow: it builds again what rests on the days above."
    )


if __name__ == "__main__":
    raise SystemExit(main())
