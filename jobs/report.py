"""The report of a run: its steps, its quality results and the release that is served, as one HTML file."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from expectations.report import render
from jobs.errors import JobError
from jobs.page_files import write_page
from jobs.publishing.quarantine import read_quarantines
from jobs.publishing.records import read_known_failures, read_results
from jobs.publishing.warehouse import Warehouse
from segue.project import find_project
from segue.releases import Release, list_releases


@dataclass(frozen=True)
class Run:
    """What is known of one run: its results, its steps, and what the batches before did not hold either."""

    id: str | None
    rows: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    known: set[tuple[str, str, str | None]]


def read_run(warehouse: Warehouse, run_id: str | None = None) -> Run:
    """The run of an id, or the newest; empty where nothing is known of it."""
    rows = read_results(warehouse, run_id)
    run = rows[0]["run_id"] if rows else run_id
    return Run(run, rows, _read_steps(warehouse, run) if run else [], read_known_failures(warehouse, rows))


def write_report(root: str, run_id: str | None = None, out: str | None = None, run: Run | None = None) -> str:
    """Writes the report of a run (default: the newest) and says where it is.

    Args:
        run: what is known of it, where that was read already.

    Raises:
        JobError: nothing is known of such a run.
    """
    warehouse = Warehouse(root)
    run = run or read_run(warehouse, run_id)
    # a run whose steps all failed before an audit still has its steps to show
    if not run.rows and not run.steps:
        what = f"run {run_id}" if run_id else "any run"
        raise JobError(f"no audit of {what} under {root}; nothing to report")
    path = out or warehouse.path("quality", f"{run.id}.html")
    title = f"{find_project().resolve('name').value or 'Segue'}: {run.id}"
    quarantines = read_quarantines(warehouse, run.rows)
    page = render(run.rows, _describe_newest(root), title, run.steps, run.known, quarantines)
    # not by the root's file system: a report of a remote root may be a file of this machine
    write_page(path, page)
    return path


def _read_steps(warehouse: Warehouse, run_id: str) -> list[dict[str, Any]]:
    path = warehouse.inner(warehouse.path("quality", f"{run_id}.steps.json"))
    steps: list[dict[str, Any]] = []
    # only a flow writes them, as it ends: steps that were run one by one leave none
    with suppress(FileNotFoundError), warehouse.files.open_input_stream(path) as file:
        steps = json.loads(file.read())
    return steps


def _describe_newest(root: str) -> dict[str, Any] | None:
    # the release that readers get now, which may be from an earlier run
    release = next(iter(list_releases(root)), None)
    return describe_release(release) if release else None


def describe_release(release: Release) -> dict[str, Any]:
    """As reports show it."""
    return {
        "release_id": release.release_id,
        "released_at": release.released_at,
        "complete_through": release.complete_through,
        "rollback_of": release.rollback_of,
        "tables": {name: vars(version) for name, version in release.tables.items()},
    }
