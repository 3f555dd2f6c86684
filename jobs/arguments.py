"""The arguments that jobs have in common."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Sequence
from datetime import date

from jobs.errors import WrongUsage
from jobs.messages import LOG
from segue.builtin_commands import add_root
from segue.parser import CommandParser
from segue.project import find_project


def new_parser(module_doc: str | None, prog: str) -> argparse.ArgumentParser:
    """The parser of a step, with the arguments that every job takes."""
    # a module's first paragraph is for its users, what follows for who reads the code
    description = (module_doc or "").split("\n\n")[0]
    parser = CommandParser(prog=f"segue run {prog}", description=description)
    add_common_arguments(parser)
    return parser


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    add_root(parser)
    # a flow gives all of its steps one id: the report finds their audits by it
    parser.add_argument(
        "--run-id", type=parse_run_id, help="name of the run in the quality results (made from the clock)"
    )


def add_source_arguments(
    parser: argparse.ArgumentParser,
    files: str = "files, folders or globs",
    setting: str = "input",
    required: bool = True,
) -> argparse.ArgumentParser:
    """For what reads files of others; a project can name them, then they are not required.

    Args:
        setting: of the project, with the files.
        required: whether what reads no files can do nothing.
    """
    project = find_project()
    source, inputs = project.resolve("source").value, project.resolve(setting).value
    inputs = inputs or project.resolve("input").value
    return _add_source(parser, source, inputs, files, required)


def add_event_arguments(parser: argparse.ArgumentParser, table: str) -> argparse.ArgumentParser:
    """The same for a table of events that the project declares: its own source and files, if segue.toml has them."""
    project = find_project()
    files = project.events.get(table)
    source = (files.source if files else None) or project.resolve("source").value
    inputs = files.input if files else None
    return _add_source(parser, source, inputs, f"files, folders or globs with {table}")


def _add_source(
    parser: argparse.ArgumentParser,
    source: str | None,
    inputs: Sequence[str] | None,
    files: str,
    required: bool = True,
) -> argparse.ArgumentParser:
    layout = "how the files are laid out: a TOML file, a name that segue sources lists, or auto"
    parser.add_argument("--source", default=source, required=required and source is None, help=layout)
    parser.add_argument(
        "--input", default=inputs, required=required and inputs is None, nargs="+", help=files
    )
    return parser


def add_day_arguments(
    parser: argparse.ArgumentParser, default: str = "every day that is stale"
) -> argparse.ArgumentParser:
    """For what is of single days; `default` says in help what happens without them."""
    add = parser.add_argument
    add("--day", type=parse_day, help=f"one day, YYYY-MM-DD (default: {default})")
    # `from` is no name that Python takes for an attribute
    add("--from", dest="first", type=parse_day, help="first of several days")
    add("--to", dest="last", type=parse_day, help="last of several days, itself included")
    return parser


def add_lateness_argument(parser: argparse.ArgumentParser) -> None:
    lateness = find_project().resolve("allowed_lateness").value
    text = (
        "days before the newest published one that plays may be of; older ones go to late_plays (%(default)s)"
    )
    parser.add_argument("--allowed-lateness", metavar="DAYS", type=parse_days, default=lateness, help=text)


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """For what reads each file once."""
    add = parser.add_argument
    add(
        "--force", action="store_true", help="also read files that are in; rows that are there are duplicates"
    )
    replay = (
        "also read files that had rejects: rows that are fine by now are taken in, and are rejects no more; for after "
        "the source or the file was mended"
    )
    add("--replay-rejected", action="store_true", help=replay)


def requested_days(
    args: argparse.Namespace, stale: Callable[[], list[date]], known: Collection[date] | None = None
) -> list[date]:
    """The days that the arguments of `add_day_arguments` ask for.

    Args:
        known: the days of what theirs are made of. Of any other day nothing would ever be made again, so it is left
            out, and a line says so; where None, every day of the calendar is one.

    Raises:
        WrongUsage: half a range, a range that ends before it begins, or both ways at once; or only days that are not
            known.
    """
    if args.day and (args.first or args.last):
        raise WrongUsage("--day goes without --from and --to; give one day or a range")
    first, last = args.day or args.first, args.day or args.last
    if first is None and last is None:
        return stale()
    if first is None or last is None or last < first:
        raise WrongUsage(f"a range needs --from and --to, in order; got --from {first} --to {last}")
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    return days if known is None else _select_known(days, known)


def _select_known(days: Sequence[date], known: Collection[date]) -> list[date]:
    selected = [day for day in days if day in known]
    if not selected:
        there = f"it has {len(known)} days from {min(known)} to {max(known)}" if known else "it has no day"
        raise WrongUsage(
            f"what is asked for would be made of no day from {days[0]} to {days[-1]}; {there}. Give a day that is there"
        )
    if others := [day for day in days if day not in known]:
        some = ", ".join(map(str, others[:3])) + (" …" if len(others) > 3 else "")
        LOG.info(f"  {len(others)} of {len(days)} days left out, as there is nothing to make them of: {some}")
    return selected


def parse_run_id(text: str) -> str:
    """A name that can be a part of a file's name, for argparse: reports and receipts are called after the run."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} names no run; use up to 100 letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return text


def parse_days(text: str) -> int:
    """A number of days, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days; give 0 or more, as in 7")
    return int(text)


def parse_count(text: str) -> int:
    """How many, for argparse: of nothing there is nothing to do."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more; give one, as in 20")
    return int(text)


def parse_age(text: str) -> float:
    """A span of time in days, for argparse: none is longer than all of the calendar."""
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    # neither is true of nan
    if not 0 <= days <= date.max.toordinal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age in days; give 0 to {date.max.toordinal():,}, as in 7 or 0.5"
        )
    return days


def parse_day(text: str) -> date:
    """A day of a command line, for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        # of a ValueError argparse prints "invalid parse_day value", of this the text
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-11-20") from None
