"""What is to be published: identified by what it is made from, and given a folder of its own."""

from __future__ import annotations

import io
import tokenize
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import accumulate
from typing import Any

from jobs.publishing.commits import check_log_row_count
from jobs.publishing.state import TableState, digest, read_state
from jobs.publishing.warehouse import Warehouse
from schemas import Contract

# The version of a table that there was none of: whoever publishes to it first has what it rests on changed.
NEVER_PUBLISHED = -1


@dataclass(frozen=True)
class Watermark:
    """All rows of a source before `instant` are in; `awaited` are the sources that a day waits for."""

    source: str
    instant: datetime
    awaited: tuple[str, ...]

    def advance(self, state: TableState) -> TableState:
        return state.advance(self.source, self.instant, self.awaited)


@dataclass(frozen=True)
class Batch:
    """What one publication replaces, and what it was made of."""

    contract: Contract
    # of inputs, code and parameters; the same again is the same batch
    fingerprint: str
    # what it replaces; None is the whole table
    days: tuple[date, ...] | None = None
    # the fingerprint of what each day mirrors: another one makes the day stale
    upstream: Mapping[date, str] = field(default_factory=dict)
    # identities of its columns, in order, where declarations compute them
    columns: Mapping[str, str] = field(default_factory=dict)
    # columns that are made anew, the rows and the others being as published: what follows from those is not stale
    extends: tuple[str, ...] = ()
    # its rows come as they lie in the table's files, a few days in each task
    clustered: bool = False
    # of its parameters, those that are numbers: a plan says which have changed since
    numbers: Mapping[str, float] = field(default_factory=dict)
    # of the tables that its job looked at: an erasure since then must not be undone
    input_versions: Mapping[str, int] = field(default_factory=dict)
    # of its own table, where it was made of that too, or compared with it
    base_version: int | None = None
    # it replaces nothing, so twice the same rows would be there twice
    appends: bool = False
    # made again, it must have the same rows
    deterministic: bool = True
    # version of `tracks` whose columns the rows have
    catalogue: int | None = None
    # what its source says to be in with it
    watermark: Watermark | None = None
    # the check value of the key that ids of its rows were replaced with; empty where none were
    id_key: str = ""
    # rows by day of the largest of its inputs, of all days that those have
    input_rows: Mapping[date | None, int] = field(default_factory=dict)
    # its own rows by day, where they were counted before
    row_counts: Mapping[Any, int] = field(default_factory=dict)
    # counts the attempts at it. No clock is involved: one that runs back would use a folder again
    revision: int = 0
    # what the quality results tell two attempts at one batch apart by
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def table(self) -> str:
        return self.contract.name

    @property
    def transaction(self) -> str:
        return name_transaction(self.table, self.fingerprint)

    @property
    def id(self) -> str:
        return f"{self.fingerprint}-{self.revision}"


def name_transaction(table: str, fingerprint: str) -> str:
    """What the log of a table knows its batches by; of each, the newest revision."""
    return f"publish:{table}:{fingerprint}"


def is_published(warehouse: Warehouse, batch: Batch) -> bool:
    """Whether the table holds this very batch now; not merely whether it once did."""
    table = warehouse.table(batch.table)
    if table is None:
        return False
    # a shortened log would make what it lost look unpublished, and publish it again
    check_log_row_count(table)
    if batch.appends:
        # later appends to its day take its place in the state; the snapshot keeps its transaction
        return table.transaction_version(batch.transaction) is not None
    # of what replaces days the transaction proves nothing: another batch may have replaced it since
    states, days = read_state(table).day_states, (None,) if batch.days is None else batch.days
    if any(day not in states or states[day].fingerprint != batch.fingerprint for day in days):
        return False
    # a day can be marked as stale, or become complete, without other rows: until it is said anew it stays stale
    return all(states[day].upstream == name for day, name in batch.upstream.items())


def reserve(warehouse: Warehouse, batch: Batch) -> Batch:
    """The batch with a revision of its own, and its empty folder; whoever is second gets the next one."""
    table = warehouse.create(batch.contract)
    prefix = f"{batch.fingerprint}-"
    # folders count as well as the log: an attempt that was killed or refused has taken its number.
    # The log counts as well as folders: maintenance removes those, and a transaction id may only go up
    revisions = [
        int(id_.removeprefix(prefix)) for id_ in warehouse.batches(batch.table) if id_.startswith(prefix)
    ]
    batch = replace(batch, revision=max([table.transaction_version(batch.transaction) or 0, *revisions]) + 1)
    # the listing may be older than another's folder; making the folder is what decides
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


# By importlib and not by paths: on a cluster these packages travel as a zip, where there are no files
def _sources(folder: Traversable) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.name == "synthetic":  # makes files that are ingested like any other's
            continue
        if entry.is_dir():
            yield from ((f"{entry.name}/{name}", text) for name, text in _sources(entry))
        elif entry.name.endswith(".py"):
            yield entry.name, strip_prose(entry.read_text())


def strip_prose(source: str) -> str:
    """Python code without its comments, docstrings and blank lines."""
    # By tokens: steps run in threads, and in Python 3.11 two threads that make a syntax tree at once can end in a
    # SystemError ("AST constructor recursion depth mismatch", python/cpython#106905)
    layout = (tokenize.COMMENT, tokenize.NL)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    code = [token for token in tokens if token.type not in layout]
    # a text that is a statement by itself
    prose = {
        token.start: token.end
        for before, token, after in zip([None, *code], code, code[1:], strict=False)
        if token.type == tokenize.STRING
        and after.type == tokenize.NEWLINE
        and (before is None or before.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT))
    }
    prose |= {token.start: token.end for token in tokens if token.type == tokenize.COMMENT}
    line_starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    for (line, column), (last_line, last_column) in sorted(prose.items(), reverse=True):
        source = source[: line_starts[line - 1] + column] + source[line_starts[last_line - 1] + last_column :]
    return "\n".join(line.rstrip() for line in source.splitlines() if line.strip())
