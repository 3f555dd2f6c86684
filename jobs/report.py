"""The report of a run: its quality results and the release that is served, as one HTML file."""

from __future__ import annotations

from typing import Any

from expectations.report import render
from jobs.errors import JobError
from jobs.publishing.records import read_results
from jobs.publishing.warehouse import Warehouse
from segue.releases import list_releases


def write_report(root: str, run_id: str | None = None, out: str | None = None) -> str:
    """Writes the report of a run (default: the newest) and says where it is.

    Raises:
        JobError: nothing was audited under that name.
    """
    warehouse = Warehouse(root)
    rows = read_results(warehouse, run_id)
    if not rows:
        raise JobError(
            f"no audit of {'run ' + run_id if run_id else 'any run'} under {root}; nothing to report"
        )
    run = rows[0]["run_id"]
    path = out or warehouse.path("quality", f"{run}.html")
    with warehouse.files.open_output_stream(warehouse.inner(path) if out is None else path) as file:
        file.write(render(rows, _served(root), f"Segue: {run}").encode())
    return path


def _served(root: str) -> dict[str, Any] | None:
    """The newest release as the report shows it."""
    newest = next(iter(list_releases(root)), None)
    if newest is None:
        return None
    return {
        "release_id": newest.release_id,
        "released_at": newest.released_at,
        "tables": {name: vars(version) for name, version in newest.tables.items()},
    }
