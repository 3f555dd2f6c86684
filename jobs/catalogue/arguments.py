"""What the commands of the catalogue have in common on the command line."""

from __future__ import annotations

import argparse

from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.lineage import Lineage
from jobs.recognise_source import is_auto
from jobs.sources import Source, load_source
from schemas import EVENT_TABLES
from segue.builtin_commands import add_root
from segue.project import find_project
from segue.roots import refuse_missing_root
from segue.show_schedule import find_schedule


def add_catalogue_arguments(parser: argparse.ArgumentParser) -> None:
    add_root(parser)
    add = parser.add_argument
    help_text = "more folders with training sets, beside those on record under the root"
    add("--training-sets", nargs="+", default=[], metavar="FOLDER", help=help_text)


def add_source_argument(parser: argparse.ArgumentParser) -> None:
    default = find_project().resolve("source").value
    help_text = "TOML file of a source: lineage then goes back to the columns of its files"
    parser.add_argument("--source", default=default, help=help_text)


def open_catalogue(args: argparse.Namespace) -> Catalogue:
    refuse_missing_root(args.root)
    source = getattr(args, "source", None)
    inventory = Inventory(args.root, getattr(args, "training_sets", ()))
    # which one `auto` is only files say
    lineage = Lineage(load_source(source) if source and not is_auto(source) else None, _load_event_sources())
    return Catalogue(inventory, lineage, find_schedule(find_project()))


def _load_event_sources() -> dict[str, Source]:
    # of a table that nothing declares the flow says so
    declared, files = {table.name for table in EVENT_TABLES}, find_project().events
    return {
        name: load_source(each.source)
        for name, each in files.items()
        if each.source and not is_auto(each.source) and name in declared
    }
