"""The gate of one root: our bounds, what a project expects, and what `gate.toml` and `[gate]` change of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from expectations.declarations import Change, TableExpectations, assign_owners, load_expectations
from expectations.gate_settings import GateError, GateSettings, check_gate, parse_gate
from expectations.project_suites import extend_suite
from expectations.suite import Bound, Suite
from expectations.suites import suite_for
from jobs.errors import WrongUsage
from jobs.owners import check_table_names, find_owner
from jobs.publishing.warehouse import Warehouse
from schemas.mistakes import Mistakes
from segue.project import find_project
from segue.project_file import GATE

NAME = "gate.toml"


def load_gate(warehouse: Warehouse) -> GateSettings:
    """The bounds under this root, ours where nothing changes them. By strength: what the project declares, gate.toml,
    [gate] of segue.toml.

    Raises:
        WrongUsage: one of the two files says what cannot be, or names an owner of no table.
        DeclarationError: what the project declares cannot be.
    """
    project = find_project()
    check_table_names()
    declared = load_expectations()
    declared = assign_owners(declared, {each.table: find_owner(each.table) for each in declared})
    _check_changes(declared)

    def suite_of(table: str) -> Suite:
        return extend_suite(suite_for(table), declared)

    # under the root, as every machine that publishes there must refuse the same batches
    path = warehouse.path(NAME)
    try:
        text = _read(warehouse, path)
        gate = GateSettings() if text is None else parse_gate(text, path, suite_of)
        gate = GateSettings(gate.path, gate.tables, declared=declared)
        return (
            gate.override(check_gate(project.gate, str(project.path), suite_of, GATE))
            if project.gate
            else gate
        )
    except GateError as problem:
        raise WrongUsage(
            f"{problem}\n`segue gate --root {shlex.quote(warehouse.root)}` lists what can be set"
        ) from None


def _read(warehouse: Warehouse, path: str) -> str | None:
    try:
        with warehouse.files.open_input_stream(warehouse.inner(path)) as file:
            return file.read().decode()
    # no look beforehand whether it is there: on an object store that is a request of its own
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as problem:
        raise WrongUsage(f"{path} is no UTF-8: {problem}; save it as UTF-8") from None


def _check_changes(declared: Sequence[TableExpectations]) -> None:
    """That what is changed is there, and what is added is not: said before hours of work, not at the audit."""
    mistakes = Mistakes()
    for table in dict.fromkeys(each.table for each in declared):
        rules = [rule for each in declared if each.table == table for rule in each.rules]
        # ours are known only once Great Expectations is imported, which takes seconds; conditions on rows need no look
        # at them
        if any(isinstance(rule, Change | Bound) for rule in rules):
            extend_suite(suite_for(table), declared, mistakes)
    mistakes.raise_any("expectations")
