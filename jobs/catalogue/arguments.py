"""What the commands of the catalogue have in common on the command line."""

from __future__ import annotations

import argparse

from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.lineage import Lineage
from jobs.sources import load_source
from segue.builtin_commands import add_root
from segue.project import find_project


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
    source = getattr(args, "source", None)
    inventory = Inventory(args.root, getattr(args, "training_sets", ()))
    return Catalogue(inventory, Lineage(load_source(source) if source else None))
