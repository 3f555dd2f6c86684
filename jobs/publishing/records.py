"""Every attempt leaves a record: what was expected, what was seen, what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain, groupby
from math import inf
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from expectations.attempts import ABANDONED, FAILED, NOT_AUDITED, UNCHANGED
from expectations.verdict import KEPT_EXPECTATION, Result
from jobs.errors import JobError, mask_line
from jobs.graph import RELEASES
from jobs.messages import LOG
from jobs.owners import find_answerable
from jobs.publishing.batches import Batch
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.record_tables import RESULTS
from jobs.publishing.warehouse import Warehouse
from schemas.quality_results import QUALITY_RESULTS
from segue.log import find_commit, parse_commit_metadata, read_entry
from segue.storage import find_table

# Ends the expectation of a batch whose rows are published already, and come to lie in other files.
REWRITE_SUFFIX = "_to_keep_all_other_content"

# What differs between the results of an attempt.
_RESULT = tuple(Result.__annotations__)
_CLOCKS_DIFFER = timedelta(days=1)
# Each result repeats them: of a batch of more, its ends must do.
_MOST_DAYS = 31
_IS_OF_SOME_COLUMNS = pc.field("expectation") == KEPT_EXPECTATION


def record(warehouse: Warehouse, run_id: str, staged: StagedBatch, outcome: str) -> None:
    """Appends the audit of one batch to the quality results."""
    days = [day for day in staged.profile.days if day]
    # "passed" is written before the commit, so that none is without a record; the table's log says the rest
    about = _describe_batch(run_id, staged.batch, outcome, days, staged.profile.rows)
    append_results(warehouse, about, staged.verdict.results)


@contextmanager
def record_failures(warehouse: Warehouse, run_id: str, batch: Batch) -> Iterator[None]:
    """Records a batch that cannot even be audited."""
    try:
        yield
    except Exception as problem:
        result = Result(
            "expect_batch_to_be_staged", None, "critical", False, mask_line(problem), "staged and read back"
        )
        try:
            append_results(warehouse, _describe_batch(run_id, batch, "failed", batch.days or ()), [result])
        except JobError as second:
            # a full disk fails both; what stopped the batch matters more than a record of it
            LOG.warning("  (and there is no record of it: %s)", second)
        raise


def record_rewrite(warehouse: Warehouse, run_id: str, batch: Batch, result: Result) -> None:
    """That rows were written to other files, and none of them changed."""
    append_results(warehouse, _describe_batch(run_id, batch, "passed"), [result])


def record_changes(
    warehouse: Warehouse,
    run_id: str,
    batch: Batch,
    days: Sequence[date],
    rows: int,
    changed: Mapping[str, int],
    of: str = "",
) -> None:
    """Which columns of days that were published before late rows changed, and in how many rows, `of` which."""
    results = [
        Result(f"expect_{name}_to_stay", name, "info", not n, f"{n:,} rows changed{of}", "no row changed", n)
        for name, n in changed.items()
    ]
    append_results(warehouse, _describe_batch(run_id, batch, "passed", days, rows), results)


def record_abandoned(warehouse: Warehouse, run_id: str, table: str, batch_id: str) -> None:
    """That a batch which never got to its audit is gone."""
    # of the batch nothing is left but its id: its days and its attempt went with the process that made it
    about = {"run_id": run_id, "attempt_id": batch_id, "table_name": table, "batch_id": batch_id}
    result = Result(
        "expect_batch_to_be_finished", None, "info", False, "abandoned, now swept", "audited and committed"
    )
    append_results(warehouse, {**about, "rows": 0, "outcome": ABANDONED}, [result])


def record_unchanged(warehouse: Warehouse, run_id: str, table: str, why: str) -> None:
    """That a table is as its inputs make it, if the newest attempt at it was refused or failed: whatever was wrong with
    those is put right, and no batch will say so."""
    log = find_table(RESULTS.path(warehouse))
    newest = (
        _find_newest_attempts(warehouse.root, log.metadata().id, log.version()).get(table) if log else None
    )
    if newest is None or newest["outcome"] not in ("refused", FAILED):
        return
    where = pc.field("attempt_id") == newest["attempt_id"]
    row = RESULTS.read(
        warehouse, ("table_name", "batch_id", "first_ds", "last_ds", "days"), where
    ).to_pylist()[0]
    about = {"run_id": run_id, "attempt_id": uuid4().hex[:8], "rows": 0, "outcome": UNCHANGED}
    result = Result("expect_table_to_be_up_to_date", None, "info", True, why, "as its inputs make it")
    append_results(warehouse, {**row, **about}, [result])


# In a flow with nothing new every step comes here, and after some months a read takes tenths of a second.
@lru_cache(maxsize=1)
def _find_newest_attempts(root: str, id_: str, version: int) -> Mapping[str, dict[str, Any]]:
    """By table, as of a version of the quality results or a later one; abandoned batches say nothing."""
    known = [each for each in list_attempts(Warehouse(root)) if each["outcome"] != ABANDONED]
    return {each["table_name"]: each for each in reversed(known)}


def _describe_batch(
    run_id: str, batch: Batch, outcome: str, days: Sequence[date] = (), rows: int = 0
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "attempt_id": batch.attempt,
        "table_name": batch.table,
        "batch_id": batch.id,
        "first_ds": min(days, default=None),
        "last_ds": max(days, default=None),
        "days": sorted({*days}) if 0 < len(days) <= _MOST_DAYS else None,
        "rows": rows,
        "outcome": outcome,
    }


def append_results(warehouse: Warehouse, about: dict[str, Any], results: Iterable[Result]) -> None:
    """A small table, so the driver writes it without Spark."""
    RESULTS.append(warehouse, make_result_rows(about, results))


def make_result_rows(about: dict[str, Any], results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per expectation."""
    common = {**about, "checked_at": datetime.now(UTC)}
    owner = find_answerable(about["table_name"])
    return [{**common, **vars(each), "owner": each.owner or owner} for each in results]


def read_results(warehouse: Warehouse, run_id: str | None = None) -> list[dict[str, Any]]:
    """The results of one run, or of the newest; "passed" says "published" where the table's log does."""
    run = run_id or _find_newest_run(warehouse)
    rows = (
        RESULTS.read(warehouse, QUALITY_RESULTS.names, pc.field("run_id") == run).to_pylist() if run else []
    )
    passed = [row for row in rows if row["outcome"] == "passed"]
    batches = ((row["table_name"], row["batch_id"], row["checked_at"]) for row in passed)
    opened = {name: warehouse.table(name) for name in {row["table_name"] for row in passed}}
    tables = {name: table for name, table in opened.items() if table}
    published = find_published_batches(tables, batches)
    return [
        {**row, "outcome": "published"} if (row["table_name"], row["batch_id"]) in published else row
        for row in rows
    ]


def read_attempts_since(
    warehouse: Warehouse, instant: datetime
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """What is known of each attempt to publish since an instant, the oldest first, and its results. "passed" is left as
    it is; attempts that wrote rows to other files are left out."""
    where = ~pc.ends_with(pc.field("expectation"), REWRITE_SUFFIX) & (pc.field("checked_at") >= instant)
    names = QUALITY_RESULTS.names
    rows = RESULTS.read(warehouse, names, where).sort_by([("checked_at", "ascending")])
    results: dict[str, list[dict[str, Any]]] = {}
    firsts: dict[str, int] = {}
    # by column, and each text once: of hundreds of thousands of results most are equal to others
    columns = [_list_values(rows[name]) for name in _RESULT]
    for n, (id_, *values) in enumerate(zip(_list_values(rows["attempt_id"]), *columns, strict=True)):
        firsts.setdefault(id_, n)
        results.setdefault(id_, []).append(dict(zip(_RESULT, values, strict=True)))
    abouts = rows.take(list(firsts.values())).to_pylist() if firsts else []
    return [(about, results[about["attempt_id"]]) for about in abouts]


def _list_values(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_string(column.type):
        values: list[Any] = column.to_pylist()
        return values
    encoded = pa.chunked_array([column.combine_chunks()]).chunk(0).dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in encoded.indices.to_pylist()]


def find_published_batches(
    tables: Mapping[str, DeltaTable], batches: Iterable[tuple[str, str, datetime]]
) -> set[tuple[str, str]]:
    """Those that the logs of their tables name, as table and batch id; each comes with the instant of its audit."""
    by_table: dict[str, dict[str, datetime]] = {}
    for name, batch, checked_at in batches:
        by_table.setdefault(name, {})[batch] = checked_at
    return {
        (name, batch)
        for name in by_table.keys() & tables.keys()
        for batch in _find_published(tables[name], by_table[name], min(by_table[name].values()))
    }


def _find_newest_run(warehouse: Warehouse) -> str | None:
    """Of those that made batches: maintenance follows the night's run, and wrote rows to other files."""
    where = ~pc.ends_with(pc.field("expectation"), REWRITE_SUFFIX) & (pc.field("outcome") != ABANDONED)
    # two columns: a year of nights has millions of results
    rows = RESULTS.read(warehouse, ("run_id", "checked_at"), where)
    if not rows.num_rows:
        return None
    newest: str = rows.filter(pc.equal(rows["checked_at"], pc.max(rows["checked_at"])))["run_id"][0].as_py()
    return newest


def _find_published(table: DeltaTable, batches: Collection[str], since: datetime) -> set[str]:
    """Those of the batches that the log names; they were audited from `since` on, and so committed later."""
    found: set[str] = set()
    # entry by entry: each has the state of the whole table, which `DeltaTable.history` would parse of all commits
    for version in range(table.version(), -1, -1):
        actions = read_entry(table.table_uri, version)
        commit = find_commit(actions) if actions else {}
        # another machine's clock may have written it
        if actions is None or commit.get("timestamp", inf) / 1000 < (since - _CLOCKS_DIFFER).timestamp():
            break
        found |= {*batches} & {parse_commit_metadata(commit).get("batch")}
        if len(found) == len(batches):
            break
    return found


def read_newest_audits(
    warehouse: Warehouse, fingerprints: Mapping[str, Collection[str]]
) -> dict[str, list[dict[str, Any]]]:
    """By table the results of the newest audit that passed, among those of its batches with these fingerprints; of
    columns that it did not look at, as they had not changed, those of the audit before."""
    # a year of nights has millions of results: which attempt is the newest is found out by few columns of them
    names, passed = ("table_name", "batch_id", "attempt_id", "checked_at"), pc.field("outcome") == "passed"
    attempts = RESULTS.read(warehouse, names, passed).group_by(list(names)).aggregate([])
    partial = {
        *RESULTS.read(warehouse, ("attempt_id",), passed & _IS_OF_SOME_COLUMNS)["attempt_id"].to_pylist()
    }
    newest: dict[str, list[str]] = {}
    for row in attempts.sort_by([("checked_at", "descending")]).to_pylist():
        chosen = newest.setdefault(row["table_name"], [])
        current = row["batch_id"].rpartition("-")[0] in fingerprints.get(row["table_name"], ())
        if chosen[-1] in partial if chosen else current:
            chosen.append(row["attempt_id"])
    wanted = [attempt for chosen in newest.values() for attempt in chosen]
    rows = (
        RESULTS.read(warehouse, QUALITY_RESULTS.names, pc.field("attempt_id").isin(wanted))
        if wanted
        else None
    )
    results: dict[str, dict[tuple[str, str | None], list[dict[str, Any]]]] = {}
    # of one attempt several results may be about one column; of two, those of the newer one count
    by_attempt = groupby(
        sorted(rows.to_pylist() if rows else [], key=lambda row: wanted.index(row["attempt_id"])),
        key=lambda row: (row["table_name"], row["attempt_id"]),
    )
    for (table, _), of_attempt in by_attempt:
        known = results.setdefault(table, {})
        before = {*known}
        for row in of_attempt:
            if (about := (row["expectation"], row["column"])) not in before:
                known.setdefault(about, []).append(row)
    return {table: [*chain.from_iterable(known.values())] for table, known in results.items()}


def list_attempts(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Table, batch, attempt, run, instant and outcome of every attempt to publish, the newest first; not of those that
    wrote rows to other files."""
    names = ("table_name", "batch_id", "attempt_id", "run_id", "outcome")
    # an attempt has a row for each expectation; in Python they would be millions after a year
    rows = RESULTS.read(
        warehouse, (*names, "checked_at"), ~pc.ends_with(pc.field("expectation"), REWRITE_SUFFIX)
    )
    attempts = rows.group_by(list(names)).aggregate([("checked_at", "max")])
    return attempts.rename_columns([*names, "checked_at"]).sort_by([("checked_at", "descending")]).to_pylist()


def read_broken(warehouse: Warehouse, attempts: Sequence[str]) -> list[dict[str, Any]]:
    """What was critical in these attempts, and did not hold."""
    if not attempts:  # Arrow looks for no text among no values
        return []
    where = pc.field("attempt_id").isin(list(attempts)) & ~pc.field("success")
    return RESULTS.read(
        warehouse, QUALITY_RESULTS.names, where & (pc.field("severity") == "critical")
    ).to_pylist()


def read_known_failures(
    warehouse: Warehouse, rows: Sequence[Mapping[str, Any]]
) -> set[tuple[str, str, str | None]]:
    """Table, expectation and column of what did not hold in the audit before, of each table in results of a run."""
    began = {
        table: min(row["checked_at"] for row in rows if row["table_name"] == table)
        for table in {row["table_name"] for row in rows}
    }
    before: dict[str, str] = {}
    for each in list_attempts(warehouse) if rows else []:
        table = each["table_name"]
        was_audited = each["outcome"] not in NOT_AUDITED
        if table in began and each["checked_at"] < began[table] and was_audited:
            before.setdefault(table, each["attempt_id"])
    if not before:
        return set()
    where = pc.field("attempt_id").isin(list(before.values())) & ~pc.field("success")
    names = ("table_name", "expectation", "column")
    return {tuple(row.values()) for row in RESULTS.read(warehouse, names, where).to_pylist()}


def are_known_empty(warehouse: Warehouse, table: str, reasons: Mapping[str, str]) -> bool:
    """Whether a batch of a table, of before, had nothing in these columns, each for its reason."""
    state = warehouse.state(table)
    if state is None or state.empty_columns.issuperset(reasons):
        return state is not None
    # where other sources have values, the results say what this one had not, as `downgrade_to_info` writes it
    where = (pc.field("table_name") == table) & pc.field("column").isin(list(reasons)) & ~pc.field("success")
    noted = RESULTS.read(warehouse, ("column", "observed"), where).to_pylist()
    found = {row["column"] for row in noted if row["observed"].startswith(f"{reasons[row['column']]}: ")}
    return found == set(reasons)


def name_versions(versions: Mapping[str, int]) -> str:
    """What stands for the id of a batch in results about several tables."""
    return "-".join(f"{name}@{version}" for name, version in sorted(versions.items()))


def read_held_expectations(warehouse: Warehouse, since: datetime) -> dict[str, dict[str, int]]:
    """Of each expectation between tables that held, the versions of the tables when it did so last."""
    names = ("expectation", "batch_id", "checked_at")
    where = (pc.field("table_name") == RELEASES) & pc.field("success") & (pc.field("checked_at") >= since)
    held = {}
    for row in RESULTS.read(warehouse, names, where).sort_by("checked_at").to_pylist():
        pairs = (each.rpartition("@") for each in row["batch_id"].split("-"))
        held[row["expectation"]] = {name: int(version) for name, _, version in pairs}
    return held


def list_recorded_batches(warehouse: Warehouse, table: str) -> set[str]:
    """Ids of the batches of a table that there is a record of."""
    ids = RESULTS.read(warehouse, ("batch_id",), pc.field("table_name") == table)["batch_id"]
    return set(ids.unique().to_pylist())
