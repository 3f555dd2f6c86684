"""What the next flow would do and why, table by table, before it does it; and a flow of those steps alone.

Read from logs: nothing is written, and no session is opened.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from jobs import FLOW
from jobs.arguments import add_source_arguments
from jobs.errors import JobError, WrongUsage
from jobs.feeds import add_event_option
from jobs.planned_changes import PlannedTable, Planner
from jobs.publishing.warehouse import Warehouse
from jobs.source_flows import find_all_feeds, run_flows
from jobs.training.manifest import find_manifests
from schemas import CONTRACTS
from segue import show
from segue.builtin_commands import add_root
from segue.project import find_project

# Of `--exit-code`: 1 to 3 mean what they mean elsewhere.
CHANGES = 4
COLUMNS = ("table", "what", "days", "from", "to", "rows", "MB", "minutes")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Says what the next flow would do and why, and does none of it: per table the columns that are new, changed or "
        "gone, the days to be made, and what they will cost at most. Without a source, here or in the project, of what "
        "is ingested already."
    )
    _add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    parser.add_argument(
        "--exit-code", action="store_true", help=f"end with {CHANGES} if a flow would publish anything"
    )


def configure_apply(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prints the plan and, once that is confirmed, runs the steps of the flow that it names."
    )
    _add_arguments(parser)
    parser.add_argument("--yes", action="store_true", help="run them without asking")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_root(parser)
    add_source_arguments(parser, "files, folders or globs with plays", required=False)
    catalogue = find_project().resolve("catalogue").value
    parser.add_argument(
        "--catalogue", nargs="+", default=catalogue, help="the same for tracks (default: the input)"
    )
    add_event_option(parser)
    parser.add_argument(
        "--training-sets", metavar="FOLDER", help="also say which of the training sets below it are concerned"
    )


def run(args: argparse.Namespace) -> int:
    planner, tables = _plan(args)
    if args.json:
        records = [*map(_to_record, tables), *_list_concerned(args.training_sets, tables)]
        print(show.format_json_lines(records), end="\n" if records else "")
    else:
        _print_plan(planner, tables, args.training_sets)
    return CHANGES if args.exit_code and any(table.makes for table in tables) else 0


def apply(args: argparse.Namespace) -> int:
    planner, tables = _plan(args)
    _print_plan(planner, tables, args.training_sets)
    steps = {table.step for table in tables if table.makes}
    if not steps:
        return 0
    if not args.yes:
        if not sys.stdin.isatty():
            raise WrongUsage(
                "nobody is there to confirm the plan; give --yes to run its steps without asking"
            )
        if (
            input(f"\nRun {', '.join(step.name for step in FLOW if step.name in steps)}? [y/N] ").lower()
            != "y"
        ):
            print("nothing was done")
            return 0
    arguments = ["--root", args.root]
    if args.source and args.input:
        arguments += ["--source", args.source, "--input", *args.input]
    arguments += ["--catalogue", *args.catalogue] if args.catalogue else []
    arguments += [text for each in args.events for text in ("--events", *each)]
    return run_flows(arguments, only=steps)


def _plan(args: argparse.Namespace) -> tuple[Planner, list[PlannedTable]]:
    warehouse, feeds = Warehouse(args.root), find_all_feeds(args)
    if not feeds and not warehouse.list_tables():
        raise JobError(
            f"there are no tables under {args.root!r}; give --source and --input to plan the first flow"
        )
    planner = Planner(warehouse, feeds, find_project().resolve("session_gap_ms").value)
    return planner, planner.plan()


def _print_plan(planner: Planner, tables: Sequence[PlannedTable], training_sets: str | None) -> None:
    if not any(table.makes for table in tables):
        print("nothing to do: every table is up to date")
    else:
        print(show.format_table(COLUMNS, [row for table in tables for row in _format_rows(table)]))
        if any(table.days and table.seconds is None for table in tables):
            print("\nno measured cost yet of some: minutes come from flows that published the table's step")
    for line in _describe_columns(tables):
        print(line)
    for step, problem in planner.problems.items():
        print(f"{step} would fail: {problem}")
    for each in _list_concerned(training_sets, tables):
        print(f"training set {each['training_set']}: {each['what']} ({', '.join(each['features'][:5])})")


def _format_rows(table: PlannedTable) -> Iterator[tuple[Any, ...]]:
    if table.why:
        yield table.table, table.why, None, None, None, None, None, None
    for n, each in enumerate(table.days):
        what = f"{each.why}: {', '.join(each.columns[:3])}" if each.columns else each.why
        what += f" and {len(each.columns) - 3} more" if len(each.columns) > 3 else ""
        # the estimate is of all days of the table
        cost = (
            (table.rows, _divide(table.bytes, 1e6), _divide(table.seconds, 60))
            if not n
            else (None, None, None)
        )
        yield table.table, what, len(each.days), min(each.days), max(each.days), *cost


def _divide(value: float | None, by: float) -> float | None:
    return None if value is None else round(value / by, 1)


def _describe_columns(tables: Sequence[PlannedTable]) -> Iterator[str]:
    for table in tables:
        for names, what in (
            (table.new, "new"),
            (table.changed, "computed otherwise"),
            (table.gone, "declared no more: kept where published, null on days made from now on"),
        ):
            if names:
                yield f"{table.table}: {what}: {', '.join(names)}"
        if table.older_catalogue:
            yield (
                f"{table.table}: {table.older_catalogue} days were made with an older catalogue, and stay so: "
                f"segue run {table.step} --newer-catalogue makes them again"
            )
    for contract in CONTRACTS.values():
        for column in contract.columns:
            if column.deprecated:
                yield f"{contract.name}: deprecated: {column.name}: {column.deprecated}"


def _list_concerned(folder: str | None, tables: Sequence[PlannedTable]) -> Iterator[dict[str, Any]]:
    """Training sets that were made of what the plan touches. All of them replay: they name versions."""
    touched = {table.table: {*table.changed, *table.gone} for table in tables}
    for path, manifest in find_manifests(folder) if folder else ():
        otherwise = manifest.changed_features(manifest.identities)
        gone = [
            ref
            for ref in manifest.identities
            if ref.partition(":")[2] in touched.get(ref.partition(":")[0], ())
        ]
        features = sorted({*otherwise, *gone})
        newer = sorted({*manifest.tables} & {table.table for table in tables if table.makes})
        if features:
            yield {
                "training_set": path,
                "what": "has features that are declared otherwise",
                "features": features,
            }
        elif newer:
            yield {
                "training_set": path,
                "what": "made again of the newest release, it would differ",
                "features": newer,
            }


def _to_record(table: PlannedTable) -> dict[str, Any]:
    days = [
        {"why": e.why, "days": len(e.days), "from": min(e.days), "to": max(e.days), "columns": [*e.columns]}
        for e in table.days
    ]
    columns = {name: [*getattr(table, name)] for name in ("new", "changed", "gone")}
    cost = {name: getattr(table, name) for name in ("rows", "bytes", "seconds", "older_catalogue")}
    return {"table": table.table, "step": table.step, "why": table.why, "days": days, **columns, **cost}
