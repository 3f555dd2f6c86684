"""Files that were read before by other settings of their source: rows whose ids these change would be in twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.errors import JobError
from jobs.file_counts import FileCounts, IngestCounts
from jobs.file_records import list_records
from jobs.job import Job
from jobs.known_files import READ, RECOGNISED, Delivery, FormerReading, IdentifiedFile, KnownFiles
from jobs.publishing.state import digest
from jobs.publishing.warehouse import find_contract
from jobs.sources import Source
from schemas.plays import PLAYS


def find_former_readings(
    job: Job, table: str, source: Source, known: KnownFiles, files: Sequence[IdentifiedFile], settings: str
) -> dict[str, FormerReading]:
    """By path the newest reading of each of `files` that are in by other settings; none from before a retraction.

    One of the same source, if there is any.
    """
    others = {each[0] for each in known.listings if each[3] != settings}
    others |= {content for content, each in known.contents if each != settings}
    suspects = [each for each in files if not others.isdisjoint((each.file_id, each.content_id))]
    if not suspects:
        return {}
    records = [
        row for row in list_records(job.warehouse, table) if (row["retractions"] or 0) == known.retractions
    ]
    own = [row for row in records if row["source"] == source.name]
    readings = _match(suspects, records) | _match(suspects, own)
    return {path: each for path, each in readings.items() if each.settings != settings}


def _match(files: Sequence[IdentifiedFile], records: Sequence[Mapping[str, Any]]) -> dict[str, FormerReading]:
    """By path, what the newest records say of its content; of a file that has grown, of what was there before."""
    contents: dict[str, str] = {}
    readings: dict[str, FormerReading] = {}
    for row in records:
        if row["fate"] in (READ, RECOGNISED):
            contents.setdefault(row["file_id"], row["content_id"])
        if row["fate"] == READ:
            taken = (row["new_rows"] or 0) + (row["duplicate_rows"] or 0)
            readings.setdefault(row["content_id"], FormerReading(row["source"], row["settings"], taken))
    found = {}
    for each in files:
        before = contents.get(each.file_id, "")
        if reading := readings.get(each.content_id) or readings.get(before):
            found[each.file.path] = replace(reading, is_of_path=bool(before))
    return found


def check_source_name(table: str, source: Source, delivery: Delivery) -> None:
    """Raises JobError where nothing but the name of a source has changed, and ids are made of that."""
    (key,) = find_contract(table).key
    parameters = source.parameters(table)
    renamed = [
        former.source
        for former in delivery.former.values()
        # two sources may bring one content, from places of their own
        if former.taken and former.is_of_path and former.source != source.name
        if former.settings == digest({**parameters, "name": former.source})
    ]
    if renamed and key not in source.section(table):
        before = renamed[0]
        raise JobError(
            f"source {source.name}: {len(renamed):,} files were read before by the same settings as source {before}; "
            f"ids are made of that name, as the source gives no {key}, and each row would be in twice. Nothing was "
            f'read: keep name = "{before}", or take out what is in by {_name_retraction(table, before)}, and run '
            "this again with all of its files. Files that were overwritten with other rows need other names"
        )


def check_ids(table: str, source: Source, delivery: Delivery, counts: IngestCounts) -> None:
    """Raises JobError where rows that are in would be published again, under the ids that the source gives now."""
    doubled = {
        path: count
        for path, former in delivery.former.items()
        if (count := _count_doubled(former, counts.files.get(path, FileCounts()), source.name))
    }
    if not doubled:
        return
    before = next(delivery.former[path].source for path in doubled)
    (key,) = find_contract(table).key
    raise JobError(
        f"source {source.name}: {sum(doubled.values()):,} rows of {len(doubled):,} files that were read before, as "
        f"source {before}, would be in {table} twice: the source file says something else by now, and by it they have "
        f"another {key} (where it gives none, that is made of the source's name and of values such as listener and "
        "instant); expected the ids that they had. Nothing was published. Take out what is in by "
        f"{_name_retraction(table, before)}, and run this again with all of its files; or go back to the source file "
        "of before for these, and give other files alone to the new one (--input). A file that was overwritten with "
        "other rows needs another name"
    )


def _count_doubled(former: FormerReading, now: FileCounts, source: str) -> int:
    new = now.events + now.late
    if former.source != source:
        # another source may take rows that this one left out; there are no more of these
        return max(0, new - (now.rows - former.taken)) if former.is_of_path else 0
    # rows whose ids are the same are duplicates. Others that are new may have been no events before, and those that are
    # none any more come in no more: only as many as have both ceased to be known and come as new are in twice
    return max(0, min(new, former.taken - now.duplicates))


def _name_retraction(table: str, source: str) -> str:
    of = "" if table == PLAYS.name else f"--table {table} "
    return f"segue retract {of}--of-source {source}"
