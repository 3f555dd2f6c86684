"""The report of a run: its steps, its quality results and the release that is served, as one HTML file."""

from __future__ import annotations

import json
from typing import Any

from expectations.report import render
from jobs.errors import JobError
from jobs.publishing.records import read_results
from jobs.publishing.warehouse import Warehouse
from segue.releases import list_releases


def write_report(root: str, run_id: str | None = None, out: str | None = None) -> str:
    """Writes the report of a run (default: the newest) and says where it is.

    Raises:
        JobError: nothing is known of such a run.
    """
    warehouse = Warehouse(root)
    rows = read_results(warehouse, run_id)
    run = rows[0]["run_id"] if rows else run_id
    steps = _read_steps(warehouse, run) if run else []
    if not rows and not steps:
        raise JobError(
            f"no audit of {'run ' + run_id if run_id else 'any run'} under {root}; nothing to report"
        )
    path = out or warehouse.path("quality", f"{run}.html")
    with warehouse.files.open_output_stream(warehouse.inner(path) if out is None else path) as file:
        file.write(render(rows, _describe_newest(root), f"Segue: {run}", steps).encode())
    return path


def _read_steps(warehouse: Warehouse, run_id: str) -> list[dict[str, Any]]:
    """Those of a flow, as it ended; steps that were run one by one leave none."""
    try:
        path = warehouse.inner(warehouse.path("quality", f"{run_id}.steps.json"))
        with warehouse.files.open_input_stream(path) as file:
            steps: list[dict[str, Any]] = json.loads(file.read())
            return steps
    except FileNotFoundError:
        return []


def _describe_newest(root: str) -> dict[str, Any] | None:
    """The newest release as the report shows it."""
    newest = next(iter(list_releases(root)), None)
    if newest is None:
        return None
    return {
        "release_id": newest.release_id,
        "released_at": newest.released_at,
        "tables": {name: vars(version) for name, version in newest.tables.items()},
    }
