"""Every source that comes with Segue: what its files are, which columns it fills, and how it is recognised."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from jobs.known_sources import list_known_sources
from jobs.sources import Source, load_source
from segue import show

FIELDS = ("source", "format", "what it is", "fills plays", "fills tracks", "recognised by")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{__doc__} --source takes such a name, a source file of your own (which can begin with extends = NAME), or "
        "auto for the one that the files are of."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    sources = [describe_source(load_source(name)) for name in list_known_sources()]
    if args.json:
        print(show.format_json_lines(sources))
        return 0
    for each in sources:
        # a row of all this would be wider than any terminal
        lines = [f"  {name:<13}  {each[name]}" for name in FIELDS[3:] if each[name]]
        print(f"{each['source']} ({each['format']}): {each['what it is']}", *lines, sep="\n", end="\n\n")
    return 0


def describe_source(source: Source) -> Mapping[str, Any]:
    columns = ", ".join(source.signature)
    return {
        "source": source.name,
        "format": source.format,
        "what it is": source.about,
        "fills plays": ", ".join(source.plays),
        "fills tracks": ", ".join(source.tracks),
        "recognised by": f"columns {columns}" if columns else f"lines like {source.line_pattern}",
    }
