"""What a batch will cost, by what is known of the table and by what earlier runs took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyarrow.fs import FileSelector, FileType

from jobs.outcomes import PUBLISHED
from jobs.publishing.commits import list_data_files
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import Warehouse

# A day that is not there yet is taken to be like these.
RECENT_DAYS = 7


def estimate_rows(state: TableState | None, days: int) -> int | None:
    """Of so many days like the newest; None where the table has none."""
    recent = [state.day_states[day].rows for day in state.days[-RECENT_DAYS:]] if state else []
    return round(sum(recent) / len(recent) * days) if recent else None


@dataclass(frozen=True)
class Costs:
    """Measured under one root."""

    warehouse: Warehouse

    def bytes_a_row(self, table: str) -> float | None:
        """Of the published files; None where there are none, or none that say their rows."""
        opened = self.warehouse.table(table)
        files = [each for each in list_data_files(opened) if each["num_records"]] if opened else []
        rows = sum(file["num_records"] for file in files)
        return sum(file["size_bytes"] for file in files) / rows if rows else None

    def seconds_a_row(self, step: str) -> float | None:
        """In the newest flow in which the step published something; None where no flow left a record of that."""
        return self._rates.get(step)

    @cached_property
    def _rates(self) -> Mapping[str, float]:
        rates: dict[str, float] = {}
        for results in self._read_flows():
            for each in results:
                if each["outcome"] == PUBLISHED and each["rows"]:
                    rates[each["step"]] = each["seconds"] / each["rows"]
        return rates

    def _read_flows(self) -> list[list[dict[str, Any]]]:
        """The steps of every flow of which there is a report, oldest first."""
        files, folder = self.warehouse.files, self.warehouse.inner(self.warehouse.path("quality"))
        entries = files.get_file_info(FileSelector(folder, allow_not_found=True))
        found = [each for each in entries if each.type == FileType.File and each.path.endswith(".steps.json")]
        # by the time of the file: a run may have any name
        return [
            json.loads(files.open_input_stream(each.path).read())
            for each in sorted(found, key=lambda entry: entry.mtime)
        ]
