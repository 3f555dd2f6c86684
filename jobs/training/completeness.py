"""Whether all that labels are made of was delivered: what they got else could change with the next delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from jobs.errors import JobError
from jobs.training.labels import Labels
from jobs.training.request import Request, split_refs
from schemas import FEATURE_GROUPS
from segue.watermark import describe_provisional, find_first_provisional_label

_MICROSECOND = timedelta(microseconds=1)


def check_complete(request: Request, labels: Labels, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises JobError where a label needs more than has been delivered, unless the request takes that.

    Args:
        tables: of the release, with `complete_through`.
    """
    through = {name: entry.get("complete_through") for name, entry in tables.items()}
    known = {name: instant for name, instant in through.items() if instant}
    firsts = dict(_list_first_instants(request, known))
    late = [table for table, first in firsts.items() if labels.last >= first]
    if request.provisional or not late:
        return
    table = min(late, key=lambda name: firsts[name])
    count, first = labels.count_from(firsts[table])
    raise JobError(
        f"{describe_provisional(table, known[table], count, first, labels.count)}. Leave these labels out, or take the "
        "values as they are with --provisional"
    )


def _list_first_instants(request: Request, through: Mapping[str, datetime]) -> Iterator[tuple[str, datetime]]:
    """Of each table that is requested, the first instant at which a label needs more than it has."""
    daily, at_label_time = ({ref.partition(":")[0] for ref in refs} for refs in split_refs(request))
    groups = [group for group in FEATURE_GROUPS if group.table in at_label_time]
    for table in {*daily, *(group.partials_table for group in groups)} & through.keys():
        yield table, find_first_provisional_label(through[table])
    for table in {group.events.name for group in groups} & through.keys():
        # windows end at the label: what was played before it must be there
        yield table, through[table] + _MICROSECOND
