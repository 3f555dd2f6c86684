"""Every bound of the gate: table, limits, severity and reason, and what the project and gate.toml change of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from expectations.gate_settings import LAG_DAYS, GateSettings
from expectations.project_suites import extend_suite, name_row_expectations
from expectations.release import MAX_LAG_DAYS
from expectations.suite import Bound
from expectations.suites import TABLES, suite_for
from expectations.wording import describe_expected
from jobs.owners import find_answerable
from jobs.publishing.gate_file import load_gate
from jobs.publishing.stores import check_root
from jobs.publishing.warehouse import Warehouse
from segue import show
from segue.builtin_commands import add_root
from segue.errors import UsageError

FIELDS = ("table", "bound", "limits", "severity", "owner", "changed", "reason")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{__doc__} By strength: expectations of the project, <root>/gate.toml, [gate] of segue.toml. With tables, "
        "what is expected of their rows too, by the names that a change has for them."
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="only these (default: all)")
    add_root(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    for name in args.tables:
        if name not in TABLES:
            raise UsageError.unknown("table", name, TABLES)
    # both files can be checked before there is any table
    gate = load_gate(Warehouse(check_root(args.root)))
    rows = [row for table in args.tables or TABLES for row in list_bounds(gate, table)]
    rows += [
        row
        for table in args.tables or TABLES
        for row in list_row_expectations(gate, table, bool(args.tables))
    ]
    if args.json:
        print(show.format_json_lines(rows))
    else:
        print(show.format_table(FIELDS, [[row[name] for name in FIELDS] for row in rows]))
    return 0


def list_bounds(gate: GateSettings, table: str) -> Iterator[dict[str, Any]]:
    """One object per bound of a table, those that are switched off included."""
    ours = suite_for(table)
    defaults = {bound.name: bound for bound in (*extend_suite(ours, gate.declared).bounds, *ours.bounds)}
    local = {bound.name: bound for bound in gate.suite_of(table).bounds}
    bounds = [(name, *_compare_bound(bound, local.get(name))) for name, bound in defaults.items()]
    # a bound of releases, not of batches, so no suite has it; it can be changed all the same
    lag_reason = "a release carries a table at its last good version so long, and leaves it out then"
    bounds.append((LAG_DAYS, f"at most {gate.lag_days(table, MAX_LAG_DAYS):g}", "critical", lag_reason))
    for name, limits, severity, reason in bounds:
        owner = find_answerable(table, local[name].owner if name in local else "")
        cells = (table, name, limits, severity, owner, gate.origin_of(table, name), reason)
        yield dict(zip(FIELDS, cells, strict=True))


def list_row_expectations(gate: GateSettings, table: str, every: bool) -> Iterator[dict[str, Any]]:
    """One object for each of what is expected of rows: of `every` one, or of what the project adds and changes."""
    local = name_row_expectations(gate.suite_of(table))
    for name, default in {**name_row_expectations(suite_for(table)), **local}.items():
        here = local.get(name)
        expectation = here or default
        about = expectation.meta or {}
        origin = about.get("origin") or ("" if here else gate.origin_of(table, name))
        if every or origin:
            configuration = expectation.configuration
            expected = expectation.description or describe_expected(configuration.type, configuration.kwargs)
            expected += f" (default: {about['default']})" if about.get("default") else ""
            severity = configuration.severity.value if here else "off"
            owner = find_answerable(table, about.get("owner", ""))
            cells = (table, name, expected, severity, owner, origin, about.get("reason", ""))
            yield dict(zip(FIELDS, cells, strict=True))


def _compare_bound(default: Bound, local: Bound | None) -> tuple[str, str, str]:
    """Limits, severity and reason of a bound; None where it is switched off."""
    if local is None:
        return f"none (default: {default.limits})", "off", default.reason
    # a section of gate.toml may repeat the default
    pairs = ((local.limits, default.limits), (local.severity, default.severity))
    before = ", ".join(ours for here, ours in pairs if here != ours)
    return f"{local.limits} (default: {before})" if before else local.limits, local.severity, local.reason
