"""What an ingest has to read of its input, and who records what becomes of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from jobs.file_identity import identify_contents, identify_path, name_file
from jobs.file_records import FileRecorder
from jobs.former_readings import check_source_name, find_former_readings
from jobs.input_files import InputFile
from jobs.inputs import only_looks
from jobs.job import Job
from jobs.known_files import Delivery, load_known_files, select_files
from jobs.publishing.state import digest
from jobs.rejects import list_reject_files
from jobs.sources import Source


def find_delivery(
    job: Job, table: str, source: Source, files: Sequence[InputFile], args: Namespace
) -> tuple[Delivery, FileRecorder]:
    """Looks at the files that the table's records do not know as they are listed; records those that are recognised.

    Raises:
        JobError: only the name of the source has changed since, and rows would be in twice for it.
    """
    settings = digest(source.parameters(table))
    known = load_known_files(job.warehouse, table)
    rejected = list_reject_files(job, table, source.name) if args.replay_rejected else set()
    delivery = select_files(
        known,
        files,
        settings,
        partial(identify_path, source),
        partial(identify_contents, source, table),
        lambda file: args.force or name_file(file.path) in rejected,
    )
    replays = [each for each in delivery.to_read if name_file(each.file.path) in rejected]
    former = find_former_readings(job, table, source, known, delivery.to_read, settings)
    delivery = replace(delivery, replays=replays, former=former)
    check_source_name(table, source, delivery)
    for line in delivery.describe():
        job.say(line)
    recorder = FileRecorder(job, table, source, settings, known.retractions, delivery.to_read)
    if not only_looks():
        recorder.record_recognised(delivery.recognised)
    return delivery, recorder
