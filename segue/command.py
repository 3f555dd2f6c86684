"""The command `segue`: finds the subcommand, runs it, and turns what goes wrong into one line.

Subcommands that need Spark come from the entry points in the group `segue.commands`, each naming a `Subcommand`, and
are imported only when they are run or the help lists them. An exception with an `exit_code` becomes
`segue: <message>` and that code; any other becomes its cause, 1, and a traceback in a file.
"""

from __future__ import annotations

import argparse
import os
import select
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Protocol

import segue
from segue.builtin_commands import COMMANDS
from segue.errors import SegueError, UsageError
from segue.failures import report_failure, report_interruption
from segue.pandas_import import leave_out_pandas
from segue.parser import CommandParser
from segue.project import SETTINGS, find_project

GROUP = "segue.commands"
# Before our own: what makes data comes before what reads it.
DEFAULT_ORDER = 25
STDOUT = 1


class Subcommand(Protocol):
    """What an entry point loads, and what our own commands are; `run` returns the exit code."""

    # its line in the help; an optional `order: int` is its place there, of ours 30 to 60
    @property
    def help(self) -> str: ...

    def configure(self, parser: argparse.ArgumentParser, /) -> None: ...

    def run(self, args: argparse.Namespace, /) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    # of this process nothing else is wanted than a command of ours, none of which needs it
    if argv is None and sys.argv[1:2] and sys.argv[1] in COMMANDS:
        leave_out_pandas()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        # here, where a reader that went away is caught: Python's own flush at its end would complain
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # how argparse ends, for --help and for wrong usage
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return report_interruption()
    except Exception as error:
        # nobody reads any more; of another pipe, say the one to Spark, it is an error
        if isinstance(error, BrokenPipeError) and _is_stdout_closed():
            return 1
        return report_failure(error)


def _run(argv: list[str]) -> int:
    if not argv or argv[0].startswith("-"):
        return _run_without_command(argv)
    name, *rest = argv
    # our own need no look at the entry points, which reads the metadata of every installed package
    if name in COMMANDS:
        return _run_one(name, COMMANDS[name], rest)
    project = find_project()
    for setting in ("declarations", "expectations"):
        if paths := project.resolve(setting).value:
            # read by the Spark half when it is imported, here and in the processes of a job
            os.environ[SETTINGS[setting].variable] = shlex.join(paths)
    with _require_spark():
        return _run_one(name, _load_command(_find_entry_points(), name), rest)


def _run_one(name: str, command: Subcommand, argv: list[str]) -> int:
    # no abbreviations: a flag that is added later would make a script's short one ambiguous
    parser = CommandParser(prog=f"segue {name}", description=command.help, allow_abbrev=False)
    command.configure(parser)
    return command.run(parser.parse_args(argv))


def _run_without_command(argv: list[str]) -> int:
    parser = CommandParser(
        prog="segue",
        usage="segue COMMAND ...",
        description="Features and embeddings for audio streaming.",
        epilog=f"commands:\n{_format_commands()}\n\nsegue COMMAND --help tells what each takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"segue {segue.__version__ or '(not installed)'}"
    parser.add_argument("--version", action="version", version=version)
    parser.parse_args(argv)
    parser.print_help(sys.stderr)
    return UsageError.exit_code


def _find_entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _load_command(points: dict[str, EntryPoint], name: str) -> Subcommand:
    if name not in points:
        raise UsageError.unknown("command", name, [*points, *COMMANDS])
    command: Subcommand = points[name].load()
    return command


def _format_commands() -> str:
    lines = [(each.order, name, each.help) for name, each in COMMANDS.items()]
    points = _find_entry_points()
    lines += [_describe_command(points, name) for name in points if name not in COMMANDS]
    width = max(len(name) for _, name, _ in lines)
    # sorted is stable: commands of one order stay as the package that brings them lists them
    ordered = sorted(lines, key=lambda line: line[0])
    return "\n".join(f"  {name:<{width}}  {text}" for _, name, text in ordered)


def _describe_command(points: dict[str, EntryPoint], name: str) -> tuple[int, str, str]:
    try:
        with _require_spark():
            command = _load_command(points, name)
    except Exception as problem:  # of any kind, as declarations of a project are loaded with it
        # the help must come, even where a command cannot be loaded
        return DEFAULT_ORDER, name, f"({problem})"
    return getattr(command, "order", DEFAULT_ORDER), name, command.help


@contextmanager
def _require_spark() -> Iterator[None]:
    try:
        yield
    except ImportError as missing:
        # with Spark there, something else is missing: a fault of ours, that a hint to install would hide
        if find_spec("pyspark") is not None:
            raise
        problem = "this command needs the Spark half: pip install 'segue-platform[spark]'"
        raise SegueError(problem) from missing


def _is_stdout_closed() -> bool:
    """Whether nobody reads what is printed; if so, the rest is dropped, so that the exit is quiet."""
    poll = select.poll()
    poll.register(STDOUT, 0)  # errors and hang-ups are reported all the same
    if not poll.poll(0):
        return False
    # by the number: Python writes what is left in its buffers to it at the exit
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
