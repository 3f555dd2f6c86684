"""What a table had published by an instant, from the definition: a loop over the log of its publications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from reference.rows import Row, midnight_after


@dataclass(frozen=True)
class Publication:
    """All rows of one day from one instant on; none means that the day was taken away."""

    ds: date
    available_at: datetime
    rows: tuple[Row, ...]


def find_served(log: Iterable[Publication], t: datetime | None) -> Publication | None:
    """The newest day that had ended and was there at `t`, as it was then."""
    last: dict[date, Publication] = {}
    for publication in log:
        if t is None or publication.available_at > t:
            continue
        before = last.get(publication.ds)
        if before is None or publication.available_at > before.available_at:
            last[publication.ds] = publication
    served = None
    for publication in last.values():
        has_ended = t is not None and midnight_after(publication.ds) <= t
        if publication.rows and has_ended and (served is None or publication.ds > served.ds):
            served = publication
    return served


def join(
    labels: Iterable[Row],
    table: str,
    log: Sequence[Publication],
    keys: Sequence[str],
    columns: Sequence[str],
    defaults: Mapping[str, Any],
    max_age: timedelta | None = None,
) -> Iterator[Row]:
    """The columns that each label gets as published."""
    for label in labels:
        served = find_served(log, label["label_at"])
        values: Row = {}
        if served is not None and all(label[key] is not None for key in keys):
            values = dict(defaults)
            for row in served.rows:
                if all(row[key] == label[key] for key in keys):
                    values = row
            if max_age is not None and label["label_at"] - midnight_after(served.ds) > max_age:
                values = {}
        yield {f"{table}__feature_at": served and midnight_after(served.ds)} | {
            f"{table}__{column}": values.get(column) for column in columns
        }
