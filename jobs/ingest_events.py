"""Tables of events that a project declares, read from files as plays are.

One file for several steps: `segue run ingest-searches …`, on a cluster
`spark-submit jobs/ingest_events.py ingest-searches …`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from features.impressions import measure_impressions
from features.ingest import parse_and_validate_events
from jobs import FLOW
from jobs.arguments import add_event_arguments, add_file_arguments, new_parser
from jobs.errors import WrongUsage
from jobs.ingest_plays import EventKind, ingest
from jobs.watermarks import add_watermark_argument
from schemas import EVENT_TABLES, EventTable
from schemas.impressions import has_slates

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def main(argv: Sequence[str] | None = None) -> int:
    table_by_step = {
        step.name: table
        for step in FLOW
        for table in EVENT_TABLES
        if step.module == "jobs.ingest_events" and step.section == table.name
    }
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if name not in table_by_step:
        known = ", ".join(table_by_step) or "none, as no event table is declared"
        raise WrongUsage(f"give the step first, one of {known}; got {name or 'nothing'}")
    table = table_by_step[name]
    about = f"Reads a source's {table.name}: each row ends as an event, a duplicate or a reject."
    parser = add_event_arguments(new_parser(about, name), table.name)
    add_file_arguments(parser)
    add_watermark_argument(parser)
    return ingest(name, parser.parse_args(arguments), _kind(table))


def _kind(table: EventTable) -> EventKind:
    def parse(rows: DataFrame, columns: Mapping[str, str], source: str, now: datetime) -> DataFrame:
        return parse_and_validate_events(rows, columns, table, source, now)

    measure = measure_impressions if has_slates(table) else None
    return EventKind(table.contract, table.fields, parse, measure=measure)


if __name__ == "__main__":
    raise SystemExit(main())
