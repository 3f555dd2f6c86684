"""What a source does not say, said once where it is read: no step after that one warns of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.job import Job
from jobs.sources import Source
from schemas import Contract

# Most sources cut no sessions, and then ours are cut by silence: nothing is lost that features are made of.
OPTIONAL_COLUMNS = ("source_session_id",)


def missing_columns(
    job: Job, source: Source, contract: Contract, fields: Sequence[str], columns: Mapping[str, str]
) -> dict[str, str]:
    """Why a column has no value, in words, for each that the source's column map leaves out.

    Args:
        fields: columns of the contract that a source can fill.
        columns: those that it does fill.
    """
    missing = [name for name in fields if name not in columns and contract.column(name).nullable]
    if lost := [name for name in missing if name not in OPTIONAL_COLUMNS]:
        job.say(f"source {source.name} has no {', '.join(lost)}: what is made of them is null")
    return {name: f"source {source.name} has no {name}" for name in missing}
