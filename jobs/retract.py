"""Takes plays out again, by id, file, source or day; the next flow builds again what rested on them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from features.ingest import parse_and_validate_plays, play_fields
from jobs import FLOW, input_files, sources
from jobs.arguments import add_common_arguments, add_day_arguments, requested_days
from jobs.errors import JobError, WrongUsage
from jobs.file_records import record_retraction
from jobs.graph import downstream
from jobs.job import Job
from jobs.publishing.commits import list_file_days
from jobs.publishing.part_files import find_part_file, name_part_file
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.state_commits import drop_empty_days
from jobs.publishing.warehouse import has_rows, no_data_error
from jobs.receipts import write_receipt
from jobs.recognise_source import resolve_source
from jobs.source_rows import read_rows
from jobs.user_ids import list_first, read_ids
from schemas import CONTRACTS
from segue import show
from segue.parser import CommandParser
from segue.project import find_project

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TABLES = ("plays", "late_plays")
WAYS = "--play ID ..., --plays FILE, --input FILE ..., --of-source NAME, --day, or --from and --to"

# Of rows of either table, those that are meant.
Choose = Callable[["DataFrame"], "DataFrame"]


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
        "Takes plays out of plays and late_plays, and writes a receipt. What is made of their days and of later ones "
        "is built again by the next flow. Of several options all must hold. Files that were ingested are not Segue's: "
        "what is still in them comes back if they are ingested again."
    )
    add = parser.add_argument
    add("--play", nargs="+", default=[], metavar="ID", help="ids of plays")
    add("--plays", metavar="FILE", help="a file with an id a line")
    add("--input", nargs="+", metavar="FILE", help="the plays that these source files hold")
    layout = "TOML file: how the files of --input are laid out"
    add("--source", metavar="TOML", default=find_project().resolve("source").value, help=layout)
    add("--of-source", metavar="NAME", help="plays of the source of this name")
    add_day_arguments(parser, "every day")
    add("--dry-run", action="store_true", help="say what would go, and do nothing")
    missing = "plays that are not there are no error (else: exit 1)"
    add("--ignore-missing", action="store_true", help=missing)
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> int:
    days = requested_days(args, list)
    ids = read_ids(args.play, args.plays, "--plays")
    if not (ids or args.input or args.of_source or days):
        raise WrongUsage(f"nothing to take out; give {WAYS}")
    job = Job("retract", args.root, args.run_id)
    # its last run may have been killed once no play was left
    if job.state("plays") is None:
        raise no_data_error(job.warehouse, "plays")
    # an ingest may be adding the same plays, or setting them aside
    with job.lease("plays"), job.lease("late_plays"):
        choose = _make_choice(job, args, ids, days)
        found = [_find(job, name, choose, days) for name in TABLES if has_rows(job.warehouse, name)]
        missing = _find_missing(job, ids, found)
        _print_changes(job, found)
        if not args.dry_run:
            if any(each.days for each in found):
                record_retraction(job, "plays")
            for each in found:
                _retract(job, each)
            # also where nothing was found: a run that was killed may not have come to it
            _remove_days_beyond(job)
            if any(each.days for each in found):
                _write_receipt(job, args, found)
    _print_missing(missing, len(ids))
    is_complete = not missing and any(each.days for each in found)
    return 0 if is_complete or args.ignore_missing else 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="segue retract")
    configure(parser)
    return run(parser.parse_args(argv))


# --- which plays


def _make_choice(job: Job, args: argparse.Namespace, ids: Sequence[str], days: Sequence[date]) -> Choose:
    """What all the options together mean."""
    from pyspark.sql import functions as F

    wanted = _to_rows(job, ids) if ids else None
    of_files = list(_read_keys(job, args)) if args.input else []

    def choose(rows: DataFrame) -> DataFrame:
        rows = rows.where(F.to_date("played_at").isin(list(days))) if days else rows
        rows = rows.where(F.col("source") == args.of_source) if args.of_source else rows
        rows = rows if wanted is None else rows.join(wanted, "play_id", "left_semi")
        if not of_files:
            return rows
        matches = [rows.join(keys, keys.columns, "left_semi") for keys in of_files]
        # by either key, and once
        return matches[0].unionByName(matches[1]).dropDuplicates(["play_id"])

    return choose


def _to_rows(job: Job, ids: Sequence[str]) -> DataFrame:
    return job.spark.createDataFrame([(id_,) for id_ in ids], "play_id string")


def _read_keys(job: Job, args: argparse.Namespace) -> Iterator[DataFrame]:
    """The keys of the plays in some files: ids; and what plays were known by before durations were a part of ids."""
    from pyspark.sql import functions as F

    if not args.source:
        raise WrongUsage("--input needs --source, the TOML file that says how the files are laid out")
    source = sources.load_source(resolve_source(args.source, args.input))
    contract = CONTRACTS["plays"]
    columns = sources.column_map(source, "plays", play_fields(contract))
    rows = read_rows(job.spark, source, input_files.list_files(args.input, lambda: job.spark), columns)
    plays = parse_and_validate_plays(rows, columns, source.name, datetime.now(UTC), contract)
    plays = plays.where(F.size("reasons") == 0)
    yield plays.select("play_id")
    yield plays.where("former_id is not null").select(F.col("former_id").alias("play_id"), "ms_played")


def _find(job: Job, table: str, choose: Choose, days: Sequence[date]) -> Retraction:
    from pyspark.sql import functions as F

    # plays lie under their own days, late ones under that of their arrival
    rows = job.table(table, days if days and table == "plays" else None).rows()
    chosen = choose(rows.withColumn("_file", find_part_file()))
    keys = chosen.select("play_id", F.to_date("played_at").alias("day"), "_file").persist()
    counts = keys.groupBy("day", "_file").count().collect()
    names = {row["_file"] for row in counts}
    version = job.version(table)
    opened = job.warehouse.table(table, version)
    files = [path for path, _ in list_file_days(opened) if name_part_file(path) in names] if opened else []
    of_days: Counter[date] = Counter()
    for row in counts:
        of_days[row["day"]] += row["count"]
    return Retraction(table, version, keys.select("play_id"), tuple(files), of_days)


def _find_missing(job: Job, ids: Sequence[str], found: Sequence[Retraction]) -> list[str]:
    """Those of the ids that are in neither table."""
    if not ids:
        return []
    rows = _to_rows(job, ids)
    for each in found:
        rows = rows.join(each.keys, "play_id", "left_anti")
    return sorted(row["play_id"] for row in rows.collect())


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
            f"table {name}: files were replaced while plays were taken out of them; nothing of it was changed. Run "
            "the command again"
        )
    job.say(f"{name} version {state.version}: {rows:,} plays taken out")


def _remove_days_beyond(job: Job) -> None:
    """What was made of days before the first and after the last one that plays have by now.

    Steps make the days that plays have, so nothing would ever take the place of these.
    """
    from pyspark.sql import functions as F

    plays = job.warehouse.state("plays")
    kept = plays.days if plays else []

    def is_beyond(day: date | None) -> bool:
        return day is not None and not (kept and kept[0] <= day <= kept[-1])

    for name in downstream(FLOW, "plays"):
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
        job.say(f"{name}: {len(days)} days gone that plays no longer reach")


# --- what is said of it


def _print_changes(job: Job, found: Sequence[Retraction]) -> None:
    plays, cells = job.state("plays"), []
    for each in found:
        for day, count in sorted(each.days.items()):
            before = plays.day_states[day].rows if plays and each.table == "plays" else None
            cells.append((each.table, day, before, count, None if before is None else before - count))
    if cells:
        print(show.format_table(("table", "day", "plays", "taken out", "plays after"), cells))
    else:
        print("no play matches; nothing is taken out")


def _print_missing(missing: Sequence[str], count: int) -> None:
    if missing:
        where = "in neither table, or not of the given days and source"
        print(f"\n{len(missing)} of {count} ids are {where}: {list_first(missing)}")


def _write_receipt(job: Job, args: argparse.Namespace, found: Sequence[Retraction]) -> None:
    now = datetime.now(UTC)
    receipt = {
        "run": job.run_id,
        "retracted_at": now,
        # ids of plays may hold those of listeners
        "options": {name: value for name, value in vars(args).items() if value and name != "play"},
        # what was there before can be read at these versions for as long as their files are kept
        "tables": [
            {
                "table": each.table,
                "version_before": each.version,
                "plays": {str(d): n for d, n in each.days.items()},
            }
            for each in found
        ],
    }
    print(
        f"Receipt: {write_receipt(job, receipt, now)}\nRun the flow: it builds again what rests on the days above."
    )


if __name__ == "__main__":
    raise SystemExit(main())
