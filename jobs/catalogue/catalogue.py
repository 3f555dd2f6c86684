"""What is declared and what a root holds, put together: an entry for each table and for each column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from expectations.gate_settings import GateSettings
from expectations.release import MAX_LAG_DAYS
from expectations.requirements import Requirement, list_requirements
from expectations.suites import TABLES as AUDITED_TABLES
from expectations.verdict import name_status
from jobs import FLOW, NIGHTLY, Step
from jobs.catalogue.entries import (
    MERGED,
    NOT_DECLARED,
    NOT_PUBLISHED,
    ColumnEntry,
    Computation,
    Expectation,
    TableEntry,
)
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.lineage import Lineage, find_group
from jobs.owners import find_answerable, find_owner
from jobs.publishing.gate_file import load_gate
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.contract import Column
from schemas.declarations import Feature
from schemas.releases import RELEASES
from segue.errors import UsageError
from segue.schedule import Schedule

# Operations whose value is a value of their input, or several: in its unit.
SAME_UNIT = ("mean", "min", "max", "first", "last", "last_k", "percentiles")
OURS = "the Segue authors"


class Catalogue:
    """The tables that are declared, and others that lie under the root."""

    def __init__(self, inventory: Inventory, lineage: Lineage, schedule: Schedule | None = None) -> None:
        self.inventory, self.lineage, self.schedule = inventory, lineage, schedule

    @cached_property
    def tables(self) -> list[str]:
        others = (name for name in self.inventory.tables if name not in self.lineage.contracts)
        return [*self.lineage.contracts, *others]

    @cached_property
    def _gate(self) -> GateSettings:
        return load_gate(self.inventory.warehouse)

    def columns(self, table: str) -> list[str]:
        """Those that are declared, and those that the table has besides."""
        contract, published = self.lineage.contracts.get(table), self.inventory.published(table)
        declared = contract.names if contract else ()
        return list(dict.fromkeys([*declared, *(published.columns if published else ())]))

    def resolve(self, ref: str) -> tuple[str, str | None]:
        """Table and column of `table:column`, or of a table alone; UsageError with near names for others."""
        table, colon, column = ref.partition(":")
        if table not in self.tables:
            refs = [f"{each}:{table}" for each in self.tables if table in self.columns(each)]
            if refs and not colon:
                raise UsageError(f"{ref!r} is a column, not a table", f"write {' or '.join(refs[:5])}")
            raise UsageError.unknown("table", table, self.tables)
        if colon and column not in self.columns(table):
            raise UsageError.unknown("column", column, self.columns(table), f"table {table}")
        return table, column if colon else None

    def describe_table(self, table: str) -> TableEntry:
        """Without its expectations, which take seconds."""
        contract, stored = self.lineage.contracts.get(table), _find_stored(table)
        step = next((step for step in FLOW if stored in step.makes), None)
        return TableEntry(
            table=table,
            meaning=contract.meaning if contract else "",
            owner=self._owner(table),
            key=list(contract.key) if contract else [],
            entity=contract.entity if contract else None,
            event_time=contract.event_time if contract else None,
            made_by=step.name if step else None,
            made_of=_list_sources(table, step),
            used_by=_list_users(table),
            note="" if table == stored and contract else MERGED if contract else NOT_DECLARED,
            stored_in=stored,
            published=self.inventory.published(stored),
            max_lag_days=self._gate.lag_days(stored, MAX_LAG_DAYS) if stored in AUDITED_TABLES else None,
            late_runs=self._count_late_runs(stored),
            releases=self.inventory.releases_of(stored),
            training_sets=self.inventory.training_sets_of(table),
        )

    def _count_late_runs(self, table: str) -> int | None:
        published = self.inventory.published(table)
        if self.schedule is None or published is None or published.last_day is None or table not in NIGHTLY:
            return None
        return self.schedule.count_late_runs(published.last_day, self.inventory.now)

    def list_expectations(self, table: str) -> list[Expectation]:
        """Those of a table as a whole."""
        columns = self.columns(table)
        return [each for each in self._expectations(table) if each.column not in columns]

    def _owner(self, table: str) -> str:
        return find_owner(table) or (OURS if table in self.lineage.contracts else "")

    def describe_columns(self, table: str, with_expectations: bool = True) -> Iterator[ColumnEntry]:
        """Of every column; with its expectations, which take seconds to load."""
        by_column: dict[str | None, list[Expectation]] = {}
        for each in self._expectations(table) if with_expectations else []:
            by_column.setdefault(each.column, []).append(each)
        for name in self.columns(table):
            yield self._describe_column(table, name, by_column.get(name, []))

    def describe_column(self, table: str, name: str) -> ColumnEntry:
        return next(entry for entry in self.describe_columns(table) if entry.column == name)

    def _describe_column(self, table: str, name: str, expectations: list[Expectation]) -> ColumnEntry:
        column, group = self.find_column(table, name), find_group(table)
        feature, window = _find_feature(table, name) or (None, "")
        return ColumnEntry(
            table=table,
            column=name,
            meaning=column.comment,
            type=column.type,
            unit=column.unit or (_derive_unit(feature) if feature else ""),
            nullable=column.nullable,
            default=column.default,
            owner=(feature.owner if feature else "") or self._owner(table),
            note=self._compare(table, name),
            computation=_describe_computation(group, feature, window) if group and feature else None,
            source_sql=self.lineage.source_sql(table, name),
            inputs=list(self.lineage.inputs.get((table, name), ())),
            origins=self.lineage.trace(table, name),
            used_by=self._list_uses(table, name),
            expectations=expectations,
            nulls=self.inventory.nulls(table, name),
            releases=self._releases(table, name),
            training_sets=self.inventory.training_sets_of(table, name),
        )

    def _list_uses(self, table: str, name: str) -> list[str]:
        # readers ask for features, so these come before the partials that they are merged from
        uses = self.lineage.dependents.get((table, name), [])
        partials = {group.partials_table for group in FEATURE_GROUPS}
        refs = sorted(uses, key=lambda use: use[0] in partials)
        return [f"{other}:{each}" for other, each in refs if (other, each) != (table, "bucket")]

    def _releases(self, table: str, column: str) -> list[str]:
        stored = _find_stored(table)
        # what is merged for labels has no columns in a release; they can be merged from any that has the partials
        return self.inventory.releases_of(stored, column if table == stored else None)

    def find_column(self, table: str, name: str) -> Column:
        contract, published = self.lineage.contracts.get(table), self.inventory.published(table)
        if contract and name in contract.names:
            return contract.column(name)
        # whoever declared it took it away; the table still says its type
        return Column(name, published.columns[name] if published else "", "")

    def _compare(self, table: str, name: str) -> str:
        contract, stored = self.lineage.contracts.get(table), _find_stored(table)
        if contract is None or name not in contract.names:
            return NOT_DECLARED
        published = self.inventory.published(stored)
        missing = published is None or (table == stored and name not in published.columns)
        return NOT_PUBLISHED if missing else ""

    def _expectations(self, table: str) -> list[Expectation]:
        if table not in AUDITED_TABLES:
            return []
        results = {(row["expectation"], row["column"]): row for row in self.inventory.audit(table)}
        return [
            _add_result(
                replace(requirement, owner=find_answerable(table, requirement.owner)),
                results.get((requirement.expectation, requirement.column)),
            )
            for requirement in list_requirements(self._gate.suite_of(table))
        ]


def _add_result(required: Requirement, result: dict[str, Any] | None) -> Expectation:
    if result is None:
        return Expectation(**asdict(required))
    # by the severity of the result: what a source never has is noted, whatever is expected of others
    outcome = name_status(result["success"], result["severity"])
    return Expectation(**asdict(required), outcome=outcome, observed=result["observed"])


def _find_feature(table: str, column: str) -> tuple[Feature, str] | None:
    """A feature and its window."""
    groups = (group for group in FEATURE_GROUPS if group.table == table)
    pairs = (pair for group in groups for pair in group.feature_windows)
    return next((pair for pair in pairs if pair[0].name(pair[1]) == column), None)


def _describe_computation(group: FeatureGroup, feature: Feature, window: str) -> Computation:
    return Computation(
        operation=feature.op,
        window=window,
        by=list(group.keys),
        sql={option: sql for option, sql in feature.expressions.items() if sql != "true"},
        group_where=group.where,
        partials=group.partials_table,
        parts={part.name: part.meaning for part in feature.parts(window)},
    )


def _derive_unit(feature: Feature) -> str:
    unit = feature.row.column(feature.input).unit if feature.input in feature.row.names else ""
    # a sum of shares is none
    same = feature.op in SAME_UNIT or (feature.op == "sum" and unit != "0..1")
    return unit if same else ""


def _find_stored(table: str) -> str:
    """The table itself, or the partials of what is merged for labels alone."""
    group = find_group(table)
    return group.partials_table if group and not group.daily else table


def _list_sources(table: str, step: Step | None) -> list[str]:
    """The tables that it is made of."""
    group = find_group(table)
    partials = [group.partials_table] if group and table == group.table else []
    # a release names tables, it is not made of them; and what is merged for labels has no other source
    if step is None or table == RELEASES.name or (group and not group.daily and partials):
        return partials
    return [*partials, *step.needs, *step.uses]


def _list_users(table: str) -> list[str]:
    """The tables that are made of it, at the next step."""
    users = [made for step in FLOW if table in (*step.needs, *step.uses) for made in step.makes]
    users += [group.table for group in FEATURE_GROUPS if table == group.partials_table]
    return list(dict.fromkeys(each for each in users if each != RELEASES.name))
