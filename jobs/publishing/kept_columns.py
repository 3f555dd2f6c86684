"""Columns that a batch takes over as they are published: compared with those by their hash, and not audited again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from expectations.profile import DayProfile, Profile, profile_days
from expectations.verdict import KEPT_EXPECTATION, Result
from jobs.publishing.batches import Batch
from jobs.publishing.declared_columns import contracts_of_days
from jobs.publishing.state import DayState, read_state
from jobs.publishing.warehouse import Warehouse
from schemas import Contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class KeptColumns:
    """Their names, in the order of the content hash of the days that have them."""

    names: tuple[str, ...]
    days: Mapping[date | None, DayState]

    def profile(self, rows: DataFrame, contract: Contract) -> Profile:
        """Of what was staged. Keys are not counted: of equal hash, they are the ones published, each of them once."""
        days = profile_days(rows, contract, self.names)
        return Profile(sum(day.rows for day in days.values()), 0, days)

    def compare(self, staged: Profile) -> Result:
        """That what was staged has the rows and values that are published."""
        nothing = DayProfile(0, 0)
        hashes = {day: staged.days.get(day, nothing).kept_hash for day in self.days}
        differ = sorted(str(day) for day, each in self.days.items() if hashes[day] != each.content_hash)
        days = f"{len(self.days):,} days"
        observed = (
            f"{len(differ):,} of {days} differ, first {differ[0]}" if differ else f"{days} of equal hash"
        )
        expected = f"{len(self.names)} columns as published, by their hash"
        return Result(KEPT_EXPECTATION, None, "critical", not differ, observed, expected)


def find_kept_columns(warehouse: Warehouse, batch: Batch) -> KeptColumns | None:
    """None where the log has no hash of just these: a column that is made anew may have been there before."""
    if not batch.extends or (table := warehouse.table(batch.table, batch.base_version)) is None:
        return None
    state = read_state(table)
    days: dict[date | None, DayState] = {
        day: state.day_states[day] for day in batch.days or () if day in state.day_states
    }
    # by what each day was made of: the hash of a day is of the columns that were declared then, in their order
    declared = [each for each, _ in contracts_of_days(batch.contract, table, replace(state, day_states=days))]
    names = [name for name in declared[0].names if name != "available_at"] if len(declared) == 1 else []
    kept = set(batch.contract.names).difference(batch.extends, ["available_at"])
    return KeptColumns(tuple(names), days) if days and kept == set(names) else None
