"""What the checks read of a root, each thing once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from expectations.gate_settings import GateSettings
from expectations.release import MAX_LAG_DAYS
from jobs import TABLES
from jobs.catalogue.inventory import Inventory
from jobs.errors import WrongUsage
from jobs.graph import RELEASES
from jobs.health.drift_settings import DriftSettings, load_drift_settings
from jobs.publishing.gate_file import load_gate
from jobs.publishing.records import list_attempts
from jobs.publishing.warehouse import Warehouse
from segue.errors import UsageError
from segue.project import find_project
from segue.project_file import SLO, find_line
from segue.releases import Release
from segue.schedule import Schedule
from segue.settings import parse_duration
from segue.show_schedule import find_schedule

# What can be promised of: tables that are published to, and the newest release.
PROMISED = (*TABLES, RELEASES)


@dataclass
class Root:
    """A root as it is `now`, what its project promises of it, and by how much its days may differ."""

    inventory: Inventory
    promises: Mapping[str, timedelta] = field(default_factory=dict)
    schedule: Schedule | None = None
    drift: DriftSettings = field(default_factory=DriftSettings)

    @property
    def now(self) -> datetime:
        return self.inventory.now

    @property
    def warehouse(self) -> Warehouse:
        return self.inventory.warehouse

    @property
    def newest(self) -> Release | None:
        return next(iter(self.inventory.releases), None)

    @cached_property
    def attempts(self) -> list[dict[str, Any]]:
        """To publish, the newest first."""
        return list_attempts(self.warehouse)

    @cached_property
    def _gate(self) -> GateSettings:
        return load_gate(self.warehouse)

    def max_lag_days(self, table: str) -> float:
        return self._gate.lag_days(table, MAX_LAG_DAYS)

    def command(self, words: str) -> str:
        """A command of Segue for this root, to be copied."""
        return f"segue {words} --root {shlex.quote(self.warehouse.root)}"


def open_root(path: str, now: datetime | None = None) -> Root:
    return Root(
        Inventory(path, now=now), load_promises(), find_schedule(find_project()), load_drift_settings()
    )


def load_promises() -> dict[str, timedelta]:
    """What [slo] says.

    Raises:
        WrongUsage: it names tables that there are not; a line for each.
    """
    project = find_project()
    unknown = [name for name in project.slo if name not in PROMISED]
    if unknown:
        # there is a file, as no variable holds promises
        text = project.path.read_text(encoding="utf-8") if project.path else ""
        places = {
            name: f"{project.path}:{find_line(text, SLO, name) or 1}: [{SLO}] table" for name in unknown
        }
        raise WrongUsage("\n".join(str(UsageError.unknown(places[name], name, PROMISED)) for name in unknown))
    return {name: parse_duration(text) for name, text in project.slo.items()}
