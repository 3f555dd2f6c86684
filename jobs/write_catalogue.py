"""Every table and column as pages that can be searched, complete in themselves: for a browser or any static host."""

from __future__ import annotations

import argparse

from jobs.catalogue.arguments import add_catalogue_arguments, add_source_argument, open_catalogue
from jobs.catalogue.pages import Pages
from jobs.page_files import write_pages


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    add_catalogue_arguments(parser)
    add_source_argument(parser)
    parser.add_argument("--out", metavar="FOLDER", help="folder to write (default: <root>/quality/catalogue)")
    parser.add_argument("--title", default="Catalogue", help="heading of the pages (%(default)s)")


def run(args: argparse.Namespace) -> int:
    catalogue = open_catalogue(args)
    folder = (args.out or catalogue.inventory.warehouse.path("quality", "catalogue")).rstrip("/")
    write_pages(folder, list(Pages(catalogue, args.title).render()))
    print(f"{folder}/index.html")
    return 0
