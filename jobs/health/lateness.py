"""Plays that came too late for their day, and wait until somebody decides."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from jobs.costs import estimate_rows
from jobs.health.indicators import FINE, NOTE, WRONG, Indicator
from jobs.health.root import Root
from segue.storage import Snapshot, find_table

# Of the plays of a day, by those of the newest week: fewer change no feature that anybody looks at.
LATE_SHARE = 0.01


def check_late_plays(root: Root) -> Iterator[Indicator]:
    uri = root.warehouse.table_path("late_plays")
    log = find_table(uri)
    snapshot = Snapshot(uri, log) if log else None
    # one column: where thousands wait, that is still little
    instants = (
        snapshot.read(snapshot.files, ["played_at"])["played_at"] if snapshot and snapshot.files else []
    )
    if not len(instants):
        yield Indicator("late", "late_plays", FINE, "no late play waits", "", 0, None, "plays")
        return
    count, oldest = len(instants), pc.min(instants).as_py().date()
    a_day = estimate_rows(root.warehouse.state("plays"), 1) or 0
    bound = LATE_SHARE * a_day
    what = f"{count:,} plays wait, the oldest of {oldest}; a day has {a_day:,}"
    to_do = root.command(f"restate --from {oldest} --dry-run")
    # said again when they have doubled, or reach further back
    state = f"{oldest} {count.bit_length()}"
    wrong = count > bound
    yield Indicator(
        "late",
        "late_plays",
        WRONG if wrong else NOTE,
        what,
        to_do,
        count,
        bound,
        "plays",
        state if wrong else "",
    )
