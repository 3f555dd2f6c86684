"""Runs steps in this process: one JVM for all of them."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module

from expectations.news import describe_news
from expectations.verdict import Refused, format_failure
from jobs import EXTRA, FLOW, Step
from jobs.arguments import (
    add_day_arguments,
    add_lateness_argument,
    add_source_arguments,
    new_parser,
    requested_days,
)
from jobs.errors import WrongUsage, first_line
from jobs.feeds import Feed, add_event_option, find_feeds
from jobs.graph import run_steps
from jobs.job import new_run_id
from jobs.looks import has_work
from jobs.messages import LOG, log_to
from jobs.outcomes import NOT_MADE, PUBLISHED, UNCHANGED, Outcome, collect_outcomes
from jobs.progress import show_progress
from jobs.publishing.stores import check_root
from jobs.publishing.warehouse import Warehouse, has_rows
from jobs.report import read_run, write_report
from jobs.session import set_variables
from jobs.sizing.meter import record_costs
from jobs.watermarks import add_watermark_argument
from segue import show
from segue.failures import describe_cause, keep_traceback
from segue.project import find_project

REFUSED, FAILED, BLOCKED, SKIPPED = "refused", "failed", "blocked", "skipped"
# While one step plans, on one core, another's tasks have the machine; each further one holds memory too.
STEPS_AT_ONCE = 2
# Of why a step came to what it came to; the file of steps and the report have all of it.
LONGEST_REASON = 120
# Of these, what needs the step's tables cannot be made either.
STOPPED = (REFUSED, FAILED, BLOCKED)


@dataclass(frozen=True)
class StepResult:
    """What one step of a flow came to. `why` is empty for what was published."""

    step: str
    outcome: str
    rows: int = 0
    seconds: float = 0.0
    why: str = ""
    exit_code: int = 0


def run_step(name: str, arguments: Sequence[str]) -> int:
    """One step by its name, with its own arguments."""
    step = next(step for step in (*FLOW, *EXTRA) if step.name == name)
    main = import_module(step.module).main
    with show_progress(step.name), record_costs(step.name):
        return int(main([*step.arguments, *arguments]))


def run_flow(arguments: Sequence[str], only: Collection[str] | None = None) -> int:
    """Every step that can run, each after those it needs, then the report.

    A step that is refused or fails stops what needs its tables, and nothing else.

    Args:
        only: the steps of a plan; no source is needed where none of them reads one.

    Returns:
        0; 3 if the gate refused something; the code of the first failure if a step failed.
    """
    reads = only is None or any(step.section for step in FLOW if step.name in only)
    args = _parser(reads).parse_args(arguments)
    args.only = only
    if args.at_once < 1:
        raise WrongUsage(f"--at-once is {args.at_once}; give 1 or more")
    # before any work: half a range would be refused by each step
    requested_days(args, list)
    args.run_id = args.run_id or new_run_id()
    # both before the first step: a source or a root that cannot be used is said before any work
    warehouse = Warehouse(check_root(args.root))
    feeds = find_feeds(args) if reads else {}
    log_to(warehouse)
    set_variables()
    results: list[StepResult] = []
    try:
        steps = run_steps(FLOW, lambda step: _result(step, args, feeds, warehouse, results), args.at_once)
        # `run_steps` goes on only then: a step finds here all that it needs
        for _, result in steps:
            results.append(result)
    finally:
        # also of a flow that was interrupted: what was published is published.
        # Steps end in any order; the table has that of the flow
        results.sort(key=lambda result: [step.name for step in FLOW].index(result.step))
        cells = [(r.step, r.outcome, r.rows or None, f"{r.seconds:.1f}", r.why) for r in results]
        header = ("step", "outcome", "rows", "seconds", "why")
        # a reason that was said in full above
        print(f"\n{show.format_table(header, cells, LONGEST_REASON)}")
        has_report = _write_report(warehouse, args.run_id, results)
    # a failure before a refusal: the one is a fault of ours or the machine, the other of the data
    codes = [r.exit_code for kind in (FAILED, REFUSED) for r in results if r.outcome == kind]
    return next(iter(codes), 0 if has_report else 1)


def has_new_files(arguments: Sequence[str]) -> bool:
    """Whether a flow with these arguments has files to read."""
    args = _parser().parse_args(arguments)
    feeds = find_feeds(args)
    return any(
        has_work(step, ["--root", args.root, *feeds[step.section].arguments])
        for step in FLOW
        if step.section in feeds and step.name not in args.skip and not feeds[step.section].why_not
    )


def _parser(reads: bool = True) -> argparse.ArgumentParser:
    description = "Runs every step of the nightly flow that can run, and writes the report."
    parser = add_day_arguments(new_parser(description, "flow"))
    add_source_arguments(parser, "files, folders or globs with plays", required=reads)
    add_lateness_argument(parser)
    add_watermark_argument(parser)
    add, names = parser.add_argument, [step.name for step in FLOW]
    catalogue = find_project().resolve("catalogue").value
    add("--catalogue", nargs="+", default=catalogue, help="the same for tracks (default: the input)")
    add_event_option(parser)
    at_once = "steps that run at the same time, where none needs the other (%(default)s)"
    add("--at-once", type=int, default=STEPS_AT_ONCE, help=at_once)
    add("--skip", nargs="+", default=[], metavar="STEP", choices=names, help="steps to leave out")
    return parser


def _result(
    step: Step,
    args: argparse.Namespace,
    feeds: Mapping[str, Feed],
    warehouse: Warehouse,
    before: Sequence[StepResult],
) -> StepResult:
    if step.name in args.skip:
        return StepResult(step.name, SKIPPED, why="--skip")
    if args.only is not None and step.name not in args.only:
        return StepResult(step.name, UNCHANGED, why="the plan has nothing for it to do")
    feed = feeds.get(step.section)
    if feed and feed.why_not:
        return StepResult(step.name, NOT_MADE, why=feed.why_not)
    if stopped := _find_stopped_needs(step, before):
        needs = ", ".join(f"{table} ({outcome})" for table, outcome in stopped.items())
        return StepResult(step.name, BLOCKED, why=f"needs {needs}")
    # of a step that was skipped, the table of the night before will do; where there is none, nothing will
    if missing := [table for table in step.needs if not has_rows(warehouse, table)]:
        return StepResult(step.name, NOT_MADE, why=f"there is no {', '.join(missing)}")
    return _attempt(step, args, feed)


def _find_stopped_needs(step: Step, before: Sequence[StepResult]) -> dict[str, str]:
    """Tables that the step needs and that could not be made in this flow."""
    stopped = {result.step: result.outcome for result in before if result.outcome in STOPPED}
    outcomes = {
        table: stopped[maker.name] for maker in FLOW if maker.name in stopped for table in maker.makes
    }
    # not of what it only `uses`: a refused catalogue holds up no training
    return {table: outcomes[table] for table in step.needs if table in outcomes}


def _attempt(step: Step, args: argparse.Namespace, feed: Feed | None) -> StepResult:
    """Runs one step; whatever stops it is its result, and the flow goes on."""
    # not the time of day: a clock that is set would make seconds negative
    started = time.monotonic()

    def result_of(outcome: str, why: str, exit_code: int = 0) -> StepResult:
        # of a step that failed later too: rows of its tables that were published before
        rows = sum(each.rows for each in outcomes if each.kind == PUBLISHED)
        return StepResult(step.name, outcome, rows, time.monotonic() - started, why, exit_code)

    # context variables are per thread, and each step has a thread of its own
    with collect_outcomes() as outcomes:
        try:
            code = run_step(step.name, _step_arguments(step, args, feed))
            if code:
                return result_of(FAILED, f"exit code {code}", code)
            return result_of(*_sum_outcomes(outcomes))
        except Refused as refused:
            LOG.info(f"\n  {step.name}: {refused}\n")
            # the table has a line for each step; all that was broken is in the log and in the report
            first, *others = refused.verdict.critical
            why = format_failure(first) + (f" and {len(others)} more" if others else "")
            return result_of(REFUSED, why, refused.exit_code)
        except Exception as problem:
            exit_code: int | None = getattr(problem, "exit_code", None)
            # our own fault, or Spark's: whoever looks into it needs the trace
            why, trace = (
                (first_line(problem), "") if exit_code else (describe_cause(problem), keep_traceback())
            )
            LOG.error(f"\n  {step.name} failed: {why}\n  {trace}".rstrip(" ") + "\n")
            return result_of(FAILED, why, exit_code or 1)


def _sum_outcomes(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """The outcome of a step from those of its tables, and why some of them were not made."""
    kinds = {outcome.kind for outcome in outcomes}
    # a step that published one table of two has published, and says why not the other
    kind = next((kind for kind in (PUBLISHED, UNCHANGED, NOT_MADE) if kind in kinds), UNCHANGED)
    reasons = [f"{each.table} not made: {each.why}" for each in outcomes if each.kind == NOT_MADE]
    return kind, "; ".join(reasons)


def _write_report(warehouse: Warehouse, run_id: str, results: Sequence[StepResult]) -> bool:
    """Whether the report could be written; a report that fails must hide nothing else."""
    try:
        # beside the quality results, so that the report can be written again
        steps = json.dumps([asdict(result) for result in results], indent=1)
        warehouse.write(warehouse.path("quality", f"{run_id}.steps.json"), steps)
        run = read_run(warehouse, run_id)
        news = "".join(f"\n{line}" for line in describe_news(run.rows, run.known))
        if news:
            LOG.info(news)
        print(f"\nReport: {write_report(warehouse.root, run_id, None, run)}", flush=True)
        return True
    except Exception as problem:
        LOG.error(f"\nThe report of {run_id} could not be written: {first_line(problem)}")
        return False


def _step_arguments(step: Step, args: argparse.Namespace, feed: Feed | None) -> list[str]:
    arguments = ["--root", args.root, "--run-id", args.run_id]
    arguments += feed.arguments if feed else []
    if step.section == "plays":
        arguments += ["--allowed-lateness", str(args.allowed_lateness)]
    if step.section not in ("", "tracks") and args.complete_through:
        arguments += ["--complete-through", args.complete_through.isoformat()]
    days = {}
    if step.takes_days:
        days = {"--day": args.day, "--from": args.first, "--to": args.last}
    elif step.takes_day:
        # of several days the last: embeddings are of a day and what came before it
        days = {"--day": args.day or args.last}
    # as text: a step's own parser reads them, here as on a cluster
    return arguments + [text for flag, day in days.items() if day for text in (flag, str(day))]
