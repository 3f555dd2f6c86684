"""What the half with Spark adds to the command `segue`; cheap to import, as the help text reads it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

from jobs import EXTRA, FLOW
from jobs.arguments import parse_days, parse_run_id
from segue.builtin_commands import Command, add_root

WHOLE_FLOW = "flow"
# Four weeks, so that each weekday is there four times; a quarter and some days at most, as the map is read on a screen.
SITE_DAYS, MOST_SITE_DAYS = 28, 100


def _configure_run(parser: argparse.ArgumentParser) -> None:
    # from the graph of steps, so that a step that is added is in the help as well
    flow, extra = ("\n".join(f"  {step.name:<25} {step.help}" for step in steps) for steps in (FLOW, EXTRA))
    # argparse would fill the lists of steps up into paragraphs
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Runs a step here; on a cluster the same step is spark-submit jobs/<step>.py, or\n"
        "jobs/build_features.py <step> for those that build features, jobs/ingest_events.py\n"
        "<step> for those that read event tables.\n\n"
        f"steps of the nightly flow, each after those whose tables it needs:\n{flow}\n\n"
        f"all of these, in one JVM; a step that is refused stops only what needs its tables:\n"
        f"  {WHOLE_FLOW}\n\nothers:\n{extra}"
    )
    every = (
        "in rounds of one process, with this long between them: each looks for files that are not in yet. SIGTERM ends "
        "them after the round that is at work"
    )
    parser.add_argument("--every", metavar="5m", type=_parse_interval, help=every)
    # named as one STEP in the usage line, where all of them take a screen
    parser.add_argument("step", metavar="STEP", choices=[WHOLE_FLOW, *[s.name for s in (*FLOW, *EXTRA)]])
    rest_help = "the step's own; segue run STEP --help lists them"
    # flags too: the step's own parser knows them, this one would refuse them
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=rest_help)


def _parse_interval(text: str) -> float:
    from jobs.rounds import parse_interval

    return parse_interval(text)


def _run(args: argparse.Namespace) -> int:
    from jobs.flow import run_step
    from jobs.source_flows import run_flows

    def run() -> int:
        return run_flows(args.arguments) if args.step == WHOLE_FLOW else run_step(args.step, args.arguments)

    return run() if args.every is None else _run_rounds(args, run)


def _run_rounds(args: argparse.Namespace, run: Callable[[], int]) -> int:
    from jobs.errors import WrongUsage
    from jobs.looks import has_work
    from jobs.rounds import run_rounds
    from jobs.source_flows import has_new_files

    if any(each.partition("=")[0] == "--run-id" for each in args.arguments):
        raise WrongUsage("--run-id names one run, and --every makes many; leave it out")

    def look() -> bool:
        if args.step == WHOLE_FLOW:
            return has_new_files(args.arguments)
        return has_work(next(each for each in (*FLOW, *EXTRA) if each.name == args.step), args.arguments)

    return run_rounds(run, look, args.every)


def _configure_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Plays in, released features and embeddings out, on generated plays; a bad day is refused."
    )
    parser.add_argument(
        "--root", default="data/demo", help="new, or a demo's, which is deleted (%(default)s)"
    )
    parser.add_argument("--users", type=int, default=2000, help="listeners (%(default)s)")
    parser.add_argument("--days", type=int, default=45, help="days of listening, 5 or more (%(default)s)")


def _demo(args: argparse.Namespace) -> int:
    from jobs.demo import run_demo

    return run_demo(args.root, args.users, args.days)


def _configure_report(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes the expectations, observations and outcomes of a run as one HTML file; with --site those of the last "
        "days as pages: what is new, alerts, the map of tables and days, and a page for each table and batch."
    )
    add_root(parser)
    parser.add_argument("--run-id", type=parse_run_id, help="the run to report on (default: the newest)")
    parser.add_argument("--out", help="file to write (default: under <root>/quality)")
    parser.add_argument("--site", metavar="FOLDER", help="folder to write the pages of the last days to")
    days = f"days that --site shows (default: {SITE_DAYS})"
    parser.add_argument("--days", type=_parse_site_days, help=days)


def _parse_site_days(text: str) -> int:
    days = parse_days(text)
    if not 0 < days <= MOST_SITE_DAYS:
        raise argparse.ArgumentTypeError(f"expected 1 to {MOST_SITE_DAYS} days; got {text}")
    return days


def _report(args: argparse.Namespace) -> int:
    from jobs.errors import WrongUsage

    if args.site is None and args.days is not None:
        raise WrongUsage("--days is of --site FOLDER; give both")
    if args.site is not None:
        if args.run_id or args.out:
            raise WrongUsage("--site is of all runs, in a folder; leave out --run-id and --out")
        from jobs.site.write import write_site

        print(write_site(args.root, args.site, args.days or SITE_DAYS))
        return 0
    from jobs.report import write_report

    print(write_report(args.root, args.run_id, args.out))
    return 0


def _configure_jars(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Puts Delta's two jars into this environment, class data that a JVM starts faster with (190 MB), and the "
        "loops of embeddings, compiled. Once is enough."
    )
    parser.add_argument("--s3", action="store_true", help="also what s3a:// needs, 640 MB")


def _install_jars(args: argparse.Namespace) -> int:
    from features.embeddings.precompiled import compile_kernels
    from jobs import class_data, jars, session

    # an archive of other jars is passed over by the JVM, so new jars need a new one
    if jars.install(args.s3) or not session.class_archive().exists():
        class_data.make_archive()
    compile_kernels()
    return 0


def _module_command(module: str, help_text: str, order: int) -> Command:
    """A command whose module is imported when it runs, as it is heavy; the work may take minutes."""

    def run(args: argparse.Namespace) -> int:
        from jobs.progress import show_progress

        with show_progress(module.rpartition(".")[2]):
            return int(import_module(module).run(args))

    return Command(help_text, lambda parser: import_module(module).configure(parser), run, order)


# The last number is a command's place in the help: in the order of a day's work, client and jobs mixed.
DEMO = Command("the whole flow on generated plays, a bad day refused", _configure_demo, _demo, 10)
RUN = Command("run one step, or the whole flow", _configure_run, _run, 20)
REPORT = Command(
    "expectations, observations and outcomes of a run, as one HTML file", _configure_report, _report, 70
)
GATE = _module_command(
    "jobs.show_gate", "every bound of the gate, with its reason, and what is changed of it", 72
)
FEATURES = _module_command(
    "jobs.list_features", "every declared feature, with meaning, windows and lineage", 42
)
REWARDS = _module_command("jobs.list_rewards", "every declared reward, with value, horizon and meaning", 44)
TABLES = _module_command("jobs.show_tables", "every table: what it holds, its days, how fresh it is", 41)
FILES = _module_command("jobs.show_files", "input files of a table: what became of each, and of its rows", 18)
TRY = _module_command(
    "jobs.try_source", "how files would come in: rows, rejects, a source file; writes nothing", 15
)
SOURCES = _module_command("jobs.list_sources", "the sources that come with Segue, for --source", 16)
DESCRIBE = _module_command("jobs.describe", "all that is known of a table, or of one of its columns", 43)
CATALOGUE = _module_command("jobs.write_catalogue", "tables and columns as pages that can be searched", 71)
LINEAGE = _module_command("jobs.export_lineage", "lineage of tables and columns, as OpenLineage events", 73)
TRAINING_SET = _module_command("jobs.build_training_set", "labels in, point-in-time correct features out", 45)
PROXIES = _module_command("jobs.show_proxies", "which early signal tells a late one, by days observed", 46)
VERIFY = _module_command("jobs.verify", "what is wrong with the tables and releases, in words", 75)
SIZE = _module_command("jobs.show_size", "what each step cost, and what another size would", 74)
HEALTH = _module_command("jobs.show_health", "what is wrong, the worst first; and alerts of it", 69)
PLAN = _module_command("jobs.plan", "what the next flow would do, table by table, and why", 22)
INSTALL_JARS = Command(
    "put Delta's two jars and class data for a quick start into this environment, once",
    _configure_jars,
    _install_jars,
    90,
)
MAINTAIN = _module_command("jobs.maintain", "join small files, remove files that are no longer needed", 78)
RESTATE = _module_command("jobs.restate", "take plays that came too late into plays", 24)
RETRACT = _module_command("jobs.retract", "take plays out again: by id, file, source or day", 26)
FORGET = _module_command("jobs.forget", "erase listeners from every table, with a receipt", 80)
APPLY = Command(
    "run what the plan names, once it is confirmed",
    lambda parser: import_module("jobs.plan").configure_apply(parser),
    lambda args: int(import_module("jobs.plan").apply(args)),
    23,
)
