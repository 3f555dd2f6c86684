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
    for bound in suite.bounds:
        yield _compare_bound(table, bound, local.get(bound.name), gate.path if bound.name in changes else "")
    days = gate.lag_days(table, MAX_LAG_DAYS)
    reason = "a release carries a table at its last good version so long, and leaves it out then"
    yield _to_row(
        table, LAG_DAYS, f"at most {days:g}", "critical", gate.path if LAG_DAYS in changes else "", reason
    )


def _compare_bound(table: str, default: Bound, local: Bound | None, path: str) -> dict[str, Any]:
    if local is None:
        return _to_row(table, default.name, f"none (default: {default.limits})", "off", path, default.reason)
    was = (
        ""
        if (local.limits, local.severity) == (default.limits, default.severity)
        else f" (default: {default.limits})"
    )
    return _to_row(table, local.name, local.limits + was, local.severity, path, local.reason)


def _to_row(table: str, name: str, limits: str, severity: str, path: str, reason: str) -> dict[str, Any]:
    values = (table, name, limits, severity, path, reason)
    return dict(zip(FIELDS, values, strict=True))
