"""Every bound of the gate: table, limits, severity and reason, and what gate.toml changes of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from expectations.gate_settings import LAG_DAYS, GateSettings
from expectations.release import MAX_LAG_DAYS
from expectations.suite import Bound
from expectations.suites import TABLES, suite_for
from jobs.publishing.gate_file import load_gate
from jobs.publishing.stores import check_root
from jobs.publishing.warehouse import Warehouse
from segue import show
from segue.builtin_commands import add_root

FIELDS = ("table", "bound", "limits", "severity", "changed", "reason")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{__doc__} The file is <root>/gate.toml."
    add_root(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    # gate.toml can be checked before there is any table
    gate = load_gate(Warehouse(check_root(args.root)))
    rows = [row for table in TABLES for row in list_bounds(gate, table)]
    if args.json:
        print(show.format_json_lines(rows))
    else:
        print(show.format_table(FIELDS, [[row[name] for name in FIELDS] for row in rows]))
    return 0


def list_bounds(gate: GateSettings, table: str) -> Iterator[dict[str, Any]]:
    """One object per bound of a table, those that are switched off included."""
    suite, changes = suite_for(table), gate.tables.get(table, {})
    local = {bound.name: bound for bound in gate.bounds_of(table, suite)}
    bounds = [(bound.name, *_compare_bound(bound, local.get(bound.name))) for bound in suite.bounds]
    # a bound of releases, not of batches, so no suite has it; gate.toml changes it all the same
    lag_reason = "a release carries a table at its last good version so long, and leaves it out then"
    bounds.append((LAG_DAYS, f"at most {gate.lag_days(table, MAX_LAG_DAYS):g}", "critical", lag_reason))
    for name, limits, severity, reason in bounds:
        changed = gate.path if name in changes else ""
        yield dict(zip(FIELDS, (table, name, limits, severity, changed, reason), strict=True))


def _compare_bound(default: Bound, local: Bound | None) -> tuple[str, str, str]:
    """Limits, severity and reason of a bound; None where gate.toml switches it off."""
    if local is None:
        return f"none (default: {default.limits})", "off", default.reason
    # a section of gate.toml may repeat the default
    changed = (local.limits, local.severity) != (default.limits, default.severity)
    limits = f"{local.limits} (default: {default.limits})" if changed else local.limits
    return limits, local.severity, local.reason
