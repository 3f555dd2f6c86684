"""What is to be published: identified by what it is made from, and given a folder of its own."""

from __future__ import annotations

import ast
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from jobs.publishing.commits import check_log_row_count
from jobs.publishing.state import digest, read_state
from jobs.publishing.warehouse import Warehouse
from schemas import Contract

# The version of a table that there was none of: whoever publishes to it first has what it rests on changed.
NEVER_PUBLISHED = -1


@dataclass(frozen=True)
class Batch:
    """What one publication replaces, and what it was made of.

    Attributes:
        fingerprint: of inputs, code and parameters; the same again is the same batch.
        days: what it replaces; without days, the whole table.
        upstream: the fingerprint of what each day mirrors: another one makes the day stale.
        input_versions: of the tables that its job looked at.
        base_version: of its own table, where it was made of that too, or compared with it.
        appends: it replaces nothing.
        deterministic: made again, it must have the same rows.
        revision: counts the attempts at it; no clock is involved.
    """

    contract: Contract
    fingerprint: str
    days: tuple[date, ...] | None = None
    upstream: Mapping[date, str] = field(default_factory=dict)
    input_versions: Mapping[str, int] = field(default_factory=dict)
    base_version: int | None = None
    appends: bool = False
    deterministic: bool = True
    files_per_day: int = 1
    revision: int = 0
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def table(self) -> str:
        return self.contract.name

    @property
    def transaction(self) -> str:
        return f"publish:{self.table}:{self.fingerprint}"

    @property
    def id(self) -> str:
        return f"{self.fingerprint}-{self.revision}"


def is_published(warehouse: Warehouse, batch: Batch) -> bool:
    """Whether the table holds this very batch now; not merely whether it once did."""
    table = warehouse.table(batch.table)
    if table is None:
        return False
    # a shortened log would make what it lost look unpublished, and publish it again
    check_log_row_count(table)
    if batch.appends:
        return table.transaction_version(batch.transaction) is not None
    parts = read_state(table).day_states
    wanted = batch.days if batch.days is not None else (None,)
    return all(day in parts and parts[day].fingerprint == batch.fingerprint for day in wanted)


def reserve(warehouse: Warehouse, batch: Batch) -> Batch:
    """The batch with a revision of its own, and its empty folder; whoever is second gets the next one."""
    table = warehouse.create(batch.contract)
    prefix = f"{batch.fingerprint}-"
    # folders count as well as the log: an attempt that was killed or refused has taken its number
    tried = [
        int(id_.removeprefix(prefix)) for id_ in warehouse.batches(batch.table) if id_.startswith(prefix)
    ]
    batch = replace(batch, revision=max([table.transaction_version(batch.transaction) or 0, *tried]) + 1)
    while not warehouse.reserve(batch.contract, folder(warehouse, batch)):
        batch = replace(batch, revision=batch.revision + 1)
    return batch


def folder(warehouse: Warehouse, batch: Batch) -> str:
    return f"{warehouse.table_path(batch.table)}/batch-{batch.id}"


@cache
def code_version() -> str:
    """Identifies the code that decides what rows a batch holds, comments and docstrings left out.

    With them, a training would be another batch, and run again, after a typo was mended. Works from a zip as well.
    """
    # expectations are left out: they decide whether rows pass, not which rows there are
    return digest(
        sorted(source for package in ("schemas", "features") for source in _sources(files(package)))
    )


def _sources(folder: Traversable) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.name == "synthetic":  # makes files that are ingested like any other's
            continue
        if entry.is_dir():
            yield from ((f"{entry.name}/{name}", text) for name, text in _sources(entry))
        elif entry.name.endswith(".py"):
            yield entry.name, _normalise(entry.read_text())


def _normalise(source: str) -> str:
    """The code in Python's own layout, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
