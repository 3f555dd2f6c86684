"""Writes the site into a folder: for a browser or any static host."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from datetime import datetime

from pyarrow.fs import FileType

from expectations.attempts import Attempt
from expectations.project_suites import extend_suite
from expectations.site.batch import Command
from expectations.site.embeddings import make_embeddings_page
from expectations.site.facts import RootFacts
from expectations.site.features import FeatureFacts, find_trends, make_feature_page
from expectations.site.page import Page
from expectations.site.site import Site
from expectations.suite import Suite
from expectations.training_bounds import BOUNDS
from jobs import FLOW
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.lineage import Lineage
from jobs.graph import RELEASES
from jobs.health.examine import read_or
from jobs.health.root import Root, open_root
from jobs.page_files import write_pages
from jobs.publishing.gate_file import load_gate
from jobs.site.embeddings import read_embeddings
from jobs.site.features import read_features
from jobs.site.read import read_root
from schemas.track_embeddings import TRACK_EMBEDDINGS
from segue.project import find_project
from segue.storage import filesystem


def write_site(path: str, folder: str, days: int, now: datetime | None = None) -> str:
    """Writes the pages of the last days of a root as it is `now`, and says where the first of them is."""
    root, folder = open_root(path, now), folder.rstrip("/")
    title = find_project().resolve("name").value or "Segue"
    facts = read_root(root, days, title)
    # where more than a table cannot be read, an alert says so, and the pages show the rest
    features: list[FeatureFacts] = read_or([], _read_features, root, facts, folder)
    site = Site(
        facts,
        find_trends(features),
        lambda attempt: list_commands(root, attempt),
        [*map(make_feature_page, features), *_make_embeddings_pages(root)],
    )
    write_pages(folder, site.render())
    return f"{folder}/index.html"


def _read_features(root: Root, facts: RootFacts, folder: str) -> list[FeatureFacts]:
    catalogue, day = Catalogue(root.inventory, Lineage()), facts.window[-1]
    tables = [table.name for table in facts.tables if table.version is not None]
    # pages that `segue catalogue` writes there by default, where the site is written beside them
    files, inner = filesystem(f"{os.path.dirname(folder) or '.'}/catalogue/index.html")
    is_there = files.get_file_info(inner).type == FileType.File
    return list(read_features(catalogue, tables, day, root.drift, "../catalogue/" if is_there else None))


def _make_embeddings_pages(root: Root) -> Iterator[Page]:
    gate, table = load_gate(root.warehouse), TRACK_EMBEDDINGS.name
    # of the suite its bounds alone: with what is expected of rows it would take seconds to load
    suite = extend_suite(Suite(table, (), BOUNDS), gate.declared)
    if embeddings := read_or(None, read_embeddings, root.warehouse, gate.bounds_of(table, suite)):
        yield make_embeddings_page(embeddings)


def list_commands(root: Root, attempt: Attempt) -> Iterator[Command]:
    """What to type for this batch, the looks first."""
    run, table = shlex.quote(attempt.run_id), shlex.quote(attempt.table)
    yield Command("The run that it was part of, as one page", root.command(f"report --run-id {run}"))
    if attempt.table != RELEASES:
        yield Command("What is expected of the table, and why", root.command(f"gate {table}"))
        yield Command("What the table is made of, and who uses it", root.command(f"describe {table}"))
    if attempt.outcome == "refused" and attempt.table != RELEASES:
        yield Command(
            "Open the staged rows, for as long as they are kept (Python)", _open_rows(root, attempt)
        )
    yield Command("What the next flow would make, and why", root.command("plan"))
    step = next((step for step in FLOW if attempt.table in step.makes), None)
    if step:
        yield Command(
            f"Make it again: the flow, which runs {step.name} where it is stale", root.command("run flow")
        )


def _open_rows(root: Root, attempt: Attempt) -> str:
    staged = f"{root.warehouse.table_path(attempt.table)}/batch-{attempt.batch_id}"
    if root.warehouse.remote:  # pyarrow knows no s3a://
        return f"from deltalake import DeltaTable\n\nrows = DeltaTable({staged!r}).to_pyarrow_table()"
    return f"import pyarrow.dataset as pads\n\nrows = pads.dataset({staged!r}).to_table()"
