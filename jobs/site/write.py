"""Writes the site into a folder: for a browser or any static host."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from expectations.attempts import Attempt
from expectations.site.batch import Command
from expectations.site.site import Site
from jobs import FLOW
from jobs.graph import RELEASES
from jobs.health.root import Root, open_root
from jobs.page_files import write_pages
from jobs.site.read import read_root
from segue.project import find_project


def write_site(path: str, folder: str, days: int) -> str:
    """Writes the pages of the last days of a root, and says where the first of them is."""
    root, folder = open_root(path), folder.rstrip("/")
    title = find_project().resolve("name").value or "Segue"
    facts = read_root(root, days, title)
    site = Site(facts, list_commands=lambda attempt: list_commands(root, attempt))
    write_pages(folder, site.render())
    return f"{folder}/index.html"


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
    return (
        "import pyarrow.dataset as pads\nfrom deltalake import DeltaTable\n\n"
        f"rows = pads.dataset(DeltaTable({staged!r}).file_uris()).to_table()"
    )
