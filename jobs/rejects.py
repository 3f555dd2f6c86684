"""Rejected rows: published once, and taken out again once their file, or its source, was mended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow.compute as pc

from features.ingest import select_rejects
from jobs.file_identity import name_file
from jobs.file_records import list_records
from jobs.inputs import Input
from jobs.job import Job
from jobs.known_files import IdentifiedFile
from jobs.known_ids import name_comparison, select_new_rows
from jobs.publishing.commits import list_file_days
from jobs.publishing.part_files import find_part_file, name_part_file
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.warehouse import find_contract
from schemas import Contract
from schemas.plays import rejects_contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What is the same of a reject that still is one: by another reason, or of another day, it is said anew.
_SAME = ("reject_id", "ds", "reasons")


def list_reject_files(job: Job, table: str, source: str) -> set[str]:
    """Names of files that rejects of a source are from, as they are spelt there, and as they are on disk."""
    name = rejects_contract(table).name
    if not job.has(name):
        return set()
    snapshot = job.snapshot(name)
    rows = snapshot.read(snapshot.files, ["file"], pc.field("source") == source)
    names = rows["file"].unique().to_pylist()
    # Spark writes the name of a URI, where signs are escaped
    return {*names, *map(unquote, names)}


def publish_rejects(
    job: Job,
    contract: Contract,
    events_with_reasons: DataFrame,
    inputs: Sequence[Input | None],
    replays: bool = False,
) -> None:
    table = rejects_contract(contract.name).name
    # few, and read for their days, for whether one of them is new, and for the files
    rejects = select_rejects(events_with_reasons, contract).persist()
    # a reject has the text of a line, so another day of it is another reject
    days = _list_days(rejects)
    key = ["reject_id", "reasons"] if replays else ["reject_id"]
    existing_rejects, new_rejects = select_new_rows(job, table, key, rejects, days)
    # files whose events were refused come again once they are mended, with rejects that were published then
    if not new_rejects.isEmpty():
        parameters = name_comparison(job, table)
        batch = job.batch(table, inputs=[*inputs, existing_rejects], appends=True, parameters=parameters)
        job.publish(batch, new_rejects)
    rejects.unpersist()


def _list_days(rejects: DataFrame) -> list[date]:
    return sorted(row.ds for row in rejects.select("ds").distinct().collect())


def remove_explained_rejects(
    job: Job,
    contract: Contract,
    source: str,
    files: Sequence[IdentifiedFile],
    events_with_reasons: DataFrame,
) -> None:
    """Takes rejects of files that were read again out of their table, where they are rejects no more."""
    from pyspark.sql import functions as F

    table = rejects_contract(contract.name).name
    with job.lease(table):
        # what was published a moment ago too
        job = job.fresh()
        if not job.has(table):
            return
        names = _list_names(job, contract.name, source, files)
        opened = job.warehouse.create(find_contract(table))
        published = job.at(table, opened.version()).where(
            (F.col("source") == source) & F.col("file").isin(names)
        )
        current = select_rejects(events_with_reasons, contract).select(*_SAME)
        gone = published.withColumn("_file", find_part_file())
        gone = gone.join(current, list(_SAME), "left_anti").select(*_SAME, "_file").persist()
        counts = {row["_file"]: row["count"] for row in gone.groupBy("_file").count().collect()}
        paths = tuple(path for path, _ in list_file_days(opened) if name_part_file(path) in counts)
        if paths:
            rewrite_files(job, Rewrite("retract", opened, table, paths, gone_keys=gone.select(*_SAME)))
            job.say(f"{table}: {sum(counts.values()):,} rows are rejects no more, and are taken out")
        gone.unpersist()


def _list_names(job: Job, table: str, source: str, files: Sequence[IdentifiedFile]) -> list[str]:
    """Names of `files` as rejects have them, but for those that rejects of a file elsewhere may have too."""
    names = {name_file(each.file.path) for each in files}
    records = [each for each in list_records(job.warehouse, table) if each["source"] == source]
    ids = {each.file_id for each in files}
    # wherever those files lay before
    contents = {each["content_id"] for each in records if each["file_id"] in ids}
    contents |= {each.content_id for each in files}
    elsewhere: set[str | None] = {
        name_file(each["path"]) if each["path"] else None
        for each in records
        if each["rejected_rows"] and each["content_id"] not in contents
    }
    # of a personal source nobody knows the names
    shared = names if None in elsewhere else names & elsewhere
    if shared:
        job.say(f"rejects of {len(shared):,} names stay, as files elsewhere may have them too")
    return _spell(names - shared, list_reject_files(job, table, source))


def _spell(names: Collection[str], spelt: Collection[str]) -> list[str]:
    return sorted(each for each in spelt if each in names or unquote(each) in names)
