"""The steps of a night without Spark: each `main` as it is, over rows in plain Python where Spark has DataFrames.

Which days are stale, what is read of them and in which order it is published is all of `jobs`; what stands in for Spark
are loops: reading, cutting, folding, merging, and the files that are staged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark.sql.functions
import pytest
from deltalake import DeltaTable
from simulation.laid_files import load, profile, profile_as_published, read, without_file
from simulation.loops import FILE, Rows, cut, extend, find_changed, fold, hand_over, merge

import reference.staged
from expectations.verdict import Result
from jobs import (
    build_features,
    build_sessions,
    changed_rows,
    file_counts,
    forget,
    ingest_plays,
    known_ids,
    late_plays,
    release_tables,
    reopened_days,
    restate,
    retract,
)
from jobs.erasures import Erasure, hash_ids
from jobs.input_files import InputFile
from jobs.job import Job
from jobs.new_events import NewEvents
from jobs.publishing import rewrite, state_changes
from jobs.publishing.batches import Batch
from jobs.publishing.commits import list_file_days
from jobs.publishing.part_files import name_part_file
from jobs.publishing.warehouse import Warehouse, find_contract
from jobs.retraction_targets import Target
from reference import releases
from reference.rows import Row, bucket
from reference.staged import LaidJob

Predicate = Callable[[Row], bool]


class LaidStep(LaidJob):
    """Any step; what it reads are rows, each with the name of its file."""

    def __init__(
        self, name: str, root: str, run_id: str | None = None, say: Any = None, dry_run: bool = False
    ) -> None:
        super().__init__(name, root, run_id, say=lambda text: None, dry_run=dry_run)
        self.spark = SimpleNamespace(read=SimpleNamespace(format=lambda _: SimpleNamespace(load=load)))

    def fresh(self) -> Job:
        return LaidStep(self.name, self.warehouse.root, self.run_id)

    def tune(self, rows: int) -> None:
        pass

    def at(self, table: str, version: int, days: Sequence[date] | None = None) -> Rows:  # type: ignore[override]
        opened = self.warehouse.table(table, version)
        return read(opened, None if days is None else set(days)) if opened else Rows()

    def _stage(self, warehouse: Warehouse, batch: Batch, rows: Sequence[Row]) -> None:
        rows = [without_file(row) for row in rows]
        super()._stage(warehouse, batch, rows)


def remove_spark(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone, the steps that a night consists of run without it."""
    for module in (build_sessions, build_features, forget, ingest_plays, release_tables, restate, retract):
        patch.setattr(module, "Job", LaidStep)
    patch.setattr(reference.staged, "_profile", profile)
    releases.count_in_python(patch)
    for module, twins in TWINS.items():
        for name, twin in twins.items():
            patch.setattr(module, name, twin)
    patch.setattr(rewrite.Rewrite, "split", _split)
    # states of a few days are written as those of years are
    patch.setattr(state_changes, "WHOLE_BYTES", 0)
    for name, twin in COLUMNS.items():
        patch.setattr(pyspark.sql.functions, name, twin)


# --- rewrites


def _read_rows(job: LaidStep, rewritten: rewrite.Rewrite) -> Rows:
    names = {name_part_file(path) for path in rewritten.files}
    return Rows(row for row in read(rewritten.table) if row[FILE] in names)


def _split(rewritten: rewrite.Rewrite, rows: Rows) -> tuple[Rows | None, Rows]:
    gone: Any = rewritten.gone
    if gone is None and rewritten.gone_keys is not None:
        (key,) = rewritten.contract.key
        keys = {row[key] for row in rewritten.gone_keys}  # type: ignore[union-attr]
        gone = lambda row: row[key] in keys  # noqa: E731
    if gone is None:
        return None, rows
    return Rows(row for row in rows if gone(row)), Rows(row for row in rows if not gone(row))


def _write(rows: Rows, path: str, *_: Any) -> Result | None:
    table = DeltaTable(path)
    of_file: dict[str, Rows] = defaultdict(Rows)
    for row in rows:
        of_file[row[FILE]].append(without_file(row))
    for of_one in of_file.values():
        reference.staged.append(table, of_one)
    return None


# --- plays of files, by id


def _read_csv(_: Any, __: Any, files: Sequence[InputFile], ___: Any) -> Rows:
    rows = Rows()
    for file in files:
        for line in Path(file.path.removeprefix("file:")).read_text().splitlines():
            id_, user, track, at, ms = line.split(",")
            rows.append(
                {"play_id": id_, "user_id": user, "track_id": track, "played_at": at, "ms_played": int(ms)}
                | {"file": file.path}
            )
    return rows


def _parse(rows: Rows, _: Any, source: str, *__: Any, **___: Any) -> Rows:
    # once each, as in a real ingest after `deduplicate`
    plays = {row["play_id"]: row for row in rows}
    parsed = Rows()
    for play in plays.values():
        at = datetime.fromisoformat(play["played_at"])
        names = {"played_at": at, "ds": at.date(), "source": source, "bucket": bucket(play["user_id"])}
        parsed.append({**play, **names})
    return parsed


def _select_new_plays(job: LaidStep, plays: Rows) -> tuple[Any, Rows]:
    if not job.has("plays"):
        return None, plays
    ids: dict[date, list[str]] = defaultdict(list)
    for row in plays:
        ids[row["ds"]].append(row["play_id"])
    ranges = [known_ids.IdRange(day, min(of_day), max(of_day)) for day, of_day in ids.items()]
    days = set(ids) | known_ids.find_days_with_ids(job, "plays", "play_id", ranges)
    return _select_new_rows(job, "plays", "play_id", plays, sorted(days))


def _select_new_rows(job: LaidStep, table: str, key: str, rows: Rows, days: Any) -> tuple[Any, Rows]:
    existing = job.find(table, days)
    if existing is None:
        return None, rows
    known = {row[key] for row in existing.rows()}  # type: ignore[attr-defined]
    return existing, Rows(row for row in rows if row[key] not in known)


def _split_late(job: LaidStep, plays: Rows, allowed_days: int) -> tuple[Rows, late_plays.LatePlays | None]:
    first_day = late_plays._find_first_day(job, allowed_days)
    if first_day is None:
        return plays, None
    too_old = Rows(row for row in plays if row["ds"] < first_day)
    existing, late = _select_new_rows(job, "late_plays", "play_id", too_old, None)
    taken = Rows(row for row in plays if row["ds"] >= first_day)
    if not late:
        return taken, None
    oldest, by_file = min(row["ds"] for row in late), Counter(row["file"] for row in late)
    return taken, late_plays.LatePlays(late, existing, by_file, oldest, first_day)  # type: ignore[arg-type]


def _make_late_plays(rows: Rows, now: datetime) -> Rows:
    return Rows({**row, "arrived_at": now, "ds": now.date()} for row in rows)


def _restore_late_plays(rows: Rows, _: Any, first: date, last: date) -> Rows:
    of_days = (without_file(row) for row in rows if first <= row["played_at"].date() <= last)
    return Rows({**row, "ds": row["played_at"].date()} for row in of_days)


def _count_by_day(rows: Rows) -> dict[date, int]:
    counts: dict[date, int] = defaultdict(int)
    for row in rows:
        counts[row["ds"]] += 1
    return dict(counts)


def _count_new(rows: Rows) -> Counter[tuple[date, str]]:
    return Counter((row["ds"], row["file"]) for row in rows)


def _count_outcomes(rows: Rows, new: Any, late: Any, volume: Any, delivery: Any) -> file_counts.IngestCounts:
    counts = {file: file_counts.FileCounts(n) for file, n in Counter(row["file"] for row in rows).items()}
    for (_, file), n in new.items():
        counts[file] += file_counts.FileCounts(events=n)
    for file, n in (late.by_file if late else {}).items():
        counts[file] += file_counts.FileCounts(late=n)
    return file_counts.IngestCounts(counts, 0, volume, {})


# --- who and what is to go


def _choose(job: LaidStep, target: Target, args: Any, ids: Sequence[str], days: Sequence[date]) -> Any:
    files = [SimpleNamespace(path=path) for path in args.input or ()]
    wanted = {*ids, *(row["play_id"] for row in _read_csv(None, None, files, None))}  # type: ignore[arg-type]
    return lambda row: (
        (row[target.key] in wanted or not wanted)
        and (not days or row[target.time].date() in days)
        and args.of_source in (None, row["source"])
    )


def _find_rows(
    job: LaidStep, target: Target, table: str, choose: Predicate, days: Sequence[date]
) -> retract.Retraction:
    rows = Rows(row for row in job.table(table).rows() if choose(row))  # type: ignore[attr-defined]
    names, counts = {row[FILE] for row in rows}, defaultdict[date, int](int)
    for row in rows:
        counts[row[target.time].date()] += 1
    opened = job.warehouse.table(table, job.version(table))
    files = [path for path, _ in list_file_days(opened) if name_part_file(path) in names] if opened else []
    return retract.Retraction(table, job.version(table), rows, tuple(files), counts)  # type: ignore[arg-type]


def _find_missing(
    _: Any, target: Target, ids: Sequence[str], found: Sequence[retract.Retraction]
) -> list[str]:
    keys = {row[target.key] for each in found for row in each.keys}  # type: ignore[attr-defined]
    return sorted(set(ids) - keys)


def _find_files_of_users(job: LaidStep, ids: Sequence[str], erasure: Erasure) -> list[str] | None:
    name = erasure.table
    table = job.warehouse.add_missing_columns(find_contract(name))
    rows = [row for row in read(table) if row["user_id"] in ids]
    if not rows:
        erasure.version = rewrite.mark_erased(job, table, name).version
        return None
    erasure.users.update(hash_ids(row["user_id"] for row in rows))
    erasure.first_day = min(row["ds"] for row in rows)
    names = {row[FILE] for row in rows}
    return [file for file, _ in list_file_days(table) if name_part_file(file) in names]


class _Expression:
    """As much of a Column as steps write themselves."""

    def __init__(self, of: Callable[[Row], Any]) -> None:
        self._of = of

    def isin(self, values: Collection[Any]) -> Predicate:
        return lambda row: self._of(row) in values

    def between(self, first: Any, last: Any) -> Predicate:
        return lambda row: bool(first <= self._of(row) <= last)

    def cast(self, _: str) -> _Expression:
        return self


COLUMNS = {
    "col": lambda name: _Expression(lambda row: row[name]),
    "lit": lambda value: _Expression(lambda row: value),
    "to_date": lambda name: _Expression(lambda row: row[name].date()),
}
TWINS: dict[Any, dict[str, Any]] = {
    build_sessions: {
        "cut_sessions": cut,
        "add_new_columns": lambda rows, _: rows,
        "_measure_handover": lambda job, state, days: hand_over(job.at("sessions", state.version, days)),
    },
    build_features: {
        "partial_rows": fold,
        "window_features": merge,
        "replace_parts": extend(("user_id", "span", "ds")),
        "replace_features": extend(("user_id", "ds")),
        "_cache": lambda rows, batch: nullcontext(),
    },
    changed_rows: {"_count_changes": lambda old, new, key, columns, _: dict.fromkeys(columns, 0)},
    reopened_days: {"find_changed_entities": find_changed},
    ingest_plays: {
        "read_rows": _read_csv,
        "parse_and_validate_plays": _parse,
        "select_new": lambda job, contract, rows, *_: NewEvents(*_select_new_plays(job, rows)),
        "split_late_plays": _split_late,
        "count_new": _count_new,
        "count_outcomes": _count_outcomes,
        "publish_rejects": lambda *_: None,
    },
    late_plays: {"make_late_plays": _make_late_plays},
    restate: {
        "restore_late_plays": _restore_late_plays,
        "add_new_columns": lambda rows, _: rows,
        "select_new_plays": _select_new_plays,
        "count_by_day": _count_by_day,
    },
    retract: {"make_choice": _choose, "_find": _find_rows, "_find_missing": _find_missing},
    forget: {
        "_find_files": _find_files_of_users,
        "_rows_of_users": lambda contract, ids: lambda row: row["user_id"] in ids,
    },
    rewrite: {
        "_read_rows": _read_rows,
        "_cluster_by_file": lambda rows, rewritten: rows,
        "_profile_as_published": profile_as_published,
        "write": _write,
    },
}
