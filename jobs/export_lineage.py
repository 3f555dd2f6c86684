"""Lineage of tables and columns as OpenLineage events, one JSON object a line: what a lineage server takes."""

from __future__ import annotations

import argparse

from jobs.catalogue.arguments import add_source_argument, open_catalogue
from jobs.catalogue.lineage_client import emit_events
from jobs.catalogue.open_lineage import Events, list_event_kinds
from segue import show
from segue.builtin_commands import add_root
from segue.errors import refuse_unwritable
from segue.storage import filesystem


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{__doc__} Of each step that ran, the run that published its tables last."
    add_root(parser)
    add_source_argument(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help="file to write (default: standard output)")
    emit = (
        "send them by OpenLineage's own client, which OPENLINEAGE_URL or openlineage.yml configures; needs "
        "segue-platform[lineage]"
    )
    where.add_argument("--emit", action="store_true", help=emit)


def run(args: argparse.Namespace) -> int:
    events = list(Events(open_catalogue(args)).list_events())
    if args.emit:
        print(f"{list_event_kinds(events)} sent to {emit_events(events)}")
        return 0
    text = show.format_json_lines(events)
    if args.out is None:
        print(text)
        return 0
    files, path = filesystem(args.out)
    with refuse_unwritable(args.out), files.open_output_stream(path) as file:
        file.write(f"{text}\n".encode())
    print(f"{args.out}: {list_event_kinds(events)}")
    return 0
