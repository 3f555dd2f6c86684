"""Runs steps in this process: one JVM for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from jobs import EXTRA, FLOW, Step
from jobs.job import new_run_id, parser, with_days
from jobs.progress import working
from jobs.publishing.records import read_results
from jobs.publishing.warehouse import Warehouse
from jobs.report import write_report
from jobs.sources import load_source

READS_A_SOURCE = {"ingest-plays": "plays", "ingest-tracks": "tracks"}
TAKES_DAYS = ("build-user-features", "build-track-features", "build-artist-features")


def run_step(name: str, arguments: Sequence[str]) -> int:
    """One step by its name, with its own arguments."""
    step = next(step for step in (*FLOW, *EXTRA) if step.name == name)
    main = import_module(step.module).main
    with working(step.name):
        return int(main(list(arguments)))


def run_flow(arguments: Sequence[str]) -> int:
    """All steps in order, then the report; whatever stops a step stops the flow there."""
    made = with_days(parser("Runs every step of the nightly flow, in order, and writes the report.", "flow"))
    made.add_argument("--source", required=True, help="TOML file: how the files are laid out")
    made.add_argument("--input", required=True, nargs="+", help="files, folders or globs with plays")
    made.add_argument("--catalogue", nargs="+", help="the same for tracks (default: the input)")
    made.add_argument(
        "--skip", nargs="+", default=[], choices=[step.name for step in FLOW], help="steps to leave out"
    )
    args = made.parse_args(arguments)
    args.run_id = args.run_id or new_run_id()
    source = load_source(args.source)
    try:
        for step in FLOW:
            said_nothing = step.name in READS_A_SOURCE and not getattr(source, READS_A_SOURCE[step.name])
            if step.name not in args.skip and not said_nothing:
                run_step(step.name, _arguments_of(step, args))
    finally:
        _say_report(args.root, args.run_id)
    return 0


def _say_report(root: str, run_id: str) -> None:
    """A run that found nothing to do has audited nothing, and leaves no report."""
    audited = read_results(Warehouse(root), run_id)
    print(
        f"\nReport: {write_report(root, run_id)}" if audited else "\nNothing was new, so there is no report."
    )


def _arguments_of(step: Step, args: object) -> list[str]:
    given = vars(args)
    passed = ["--root", given["root"], "--run-id", given["run_id"]]
    if step.name in READS_A_SOURCE:
        files = given["input"] if step.name == "ingest-plays" else given["catalogue"] or given["input"]
        passed += ["--source", given["source"], "--input", *files]
    if step.name in TAKES_DAYS:
        for flag, value in (("--day", given["day"]), ("--from", given["first"]), ("--to", given["last"])):
            passed += [flag, str(value)] if value else []
    return passed
