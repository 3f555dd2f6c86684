"""Which files a flow reads each table from, and which source says how they are laid out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.errors import WrongUsage
from jobs.recognise_source import resolve_source
from jobs.sources import Source, load_source
from schemas import EVENT_TABLES
from segue.project import find_project


@dataclass(frozen=True)
class Feed:
    """The files of one table; `path` is that of the source."""

    table: str
    source: Source
    path: str
    files: Sequence[str]

    @property
    def why_not(self) -> str:
        """Why nothing can be read; a source may have no catalogue: no fault of the night."""
        if not self.source.section(self.table):
            return f"source {self.source.name} has no section [{self.table}]"
        no_files = (
            f"no files are given: input in [events.{self.table}] of segue.toml, or --events {self.table} FILE"
        )
        return "" if self.files else no_files

    @property
    def arguments(self) -> list[str]:
        return ["--source", self.path, "--input", *self.files]


def add_event_option(parser: argparse.ArgumentParser) -> None:
    help_text = (
        "files of a table of events that the project declares; can be given for each (default: segue.toml's)"
    )
    parser.add_argument(
        "--events", nargs="+", action="append", default=[], metavar=("TABLE", "FILE"), help=help_text
    )


def find_feeds(args: argparse.Namespace) -> Mapping[str, Feed]:
    """By table, as the arguments and the project say.

    Raises:
        WrongUsage: a source that cannot be used; files for a table of events that is not declared, or for none.
    """
    given_source, args.source = args.source, resolve_source(args.source, args.input)
    source = load_source(args.source)
    # files of a catalogue of its own may be of another known source than those of plays
    catalogue = resolve_source(given_source, args.catalogue) if args.catalogue else args.source
    feeds = [
        Feed("plays", source, args.source, args.input),
        Feed("tracks", load_source(catalogue), catalogue, args.catalogue or args.input),
    ]
    project, known = find_project(), [table.name for table in EVENT_TABLES]
    given = {table: files for table, *files in args.events}
    for table in [*project.events, *given]:
        if table not in known:
            declared = f"declared are: {', '.join(known)}" if known else "the project declares none"
            raise WrongUsage(f"files for events {table!r}, and there is no such event table; {declared}")
    if without := [table for table, files in given.items() if not files]:
        raise WrongUsage(f"--events {without[0]} names no files; write --events {without[0]} FILE ...")
    for table in known:
        of_project = project.events.get(table)
        path = of_project.source if of_project and of_project.source else args.source
        files = given.get(table) or (of_project.input if of_project else ())
        path = resolve_source(path, files or args.input)
        feeds.append(Feed(table, source if path == args.source else load_source(path), path, files))
    return {feed.table: feed for feed in feeds}
