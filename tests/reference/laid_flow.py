"""A flow whose steps lay a day of their tables in milliseconds: what refusals lead to, night after night.

The release is the real one but for the expectations between tables: the rows that are laid fit together, and
`test_release_tables` has those that do not, on Spark.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

from expectations.verdict import Refused, Result, Verdict
from jobs import FLOW, RECORDS, flow, release_tables
from jobs.outcomes import PUBLISHED, Outcome, add_outcome
from jobs.publishing.warehouse import Warehouse
from reference.batches import batch
from reference.published import lay
from schemas import CONTRACTS

FIRST = date(2026, 10, 1)
ROWS = 5
# What a batch of any table does not say by itself, so that tables of a day fit together.
FITTING_VALUES = {
    "source": "learned",
    "track_ids": ["t"],
    "origins": ["next_track"],
    "codes": [1, 2],
    "metrics": [],
}
SOURCE = 'name = "test"\n[plays]\nuser_id = "u"\n[tracks]\ntrack_id = "t"\n'


class LaidFlow:
    """`night` runs a flow for one more day; `last` has the last day that each table got rows of."""

    def __init__(self, folder: Path) -> None:
        self.root, self.source = str(folder / "root"), folder / "source.toml"
        folder.mkdir(parents=True, exist_ok=True)
        self.source.write_text(SOURCE)
        self.warehouse = Warehouse(self.root)
        self.days: list[date] = []
        self.last: dict[str, date] = {}
        self.run_steps: list[str] = []

    def night(self, monkeypatch, refused=(), failed=(), skip=()) -> int:
        """The exit code of a flow in which these steps are refused or fail."""
        day = FIRST + timedelta(days=len(self.days))
        self.days.append(day)
        self.run_steps = []
        real = flow.run_step

        def run_step(name: str, arguments: list[str]) -> int:
            self.run_steps.append(name)
            if name in refused:
                failure = Result("expect_x", "x", "critical", False, "seen", "wanted")
                raise Refused.batch("x", "b-1", Verdict((failure,)), "nowhere")
            if name in failed:
                raise RuntimeError("a fault of the step itself")
            return real(name, arguments) if name == "release-tables" else self._lay(name, day)

        monkeypatch.setattr(flow, "run_step", run_step)
        for audit in ("_count_orphans", "_read_versions"):
            monkeypatch.setattr(release_tables, audit, lambda job, selection: {})
        try:
            return flow.run_flow(
                [
                    "--root",
                    self.root,
                    "--run-id",
                    f"run-{day}",
                    "--source",
                    str(self.source),
                    "--input",
                    "nowhere",
                ]
                + (["--skip", *skip] if skip else [])
            )
        finally:
            monkeypatch.setattr(flow, "run_step", real)

    def _lay(self, step: str, day: date) -> int:
        (flow_step,) = [each for each in FLOW if each.name == step]
        for table in flow_step.makes:
            rows = batch(CONTRACTS[table], ROWS, **FITTING_VALUES, version_id=f"v{day}")
            by_day = "ds" in CONTRACTS[table].names
            lay(self.warehouse, table, [row | ({"ds": day} if by_day else {}) for row in rows])
            if by_day and table not in RECORDS:
                self.last[table] = day
            add_outcome(Outcome(table, PUBLISHED, ROWS))
        return 0

    def outcomes(self, printed: str) -> dict[str, str]:
        """Step by step, from the table that the flow printed last."""
        lines = printed[printed.rindex("\nstep ") :].splitlines()
        cells = [re.split(r"\s{2,}", line) for line in lines if line]
        return {each[0]: each[1] for each in cells[1:] if each[0] in {step.name for step in FLOW}}

    def report(self) -> str:
        return Path(self.root, "quality", f"run-{self.days[-1]}.html").read_text()
