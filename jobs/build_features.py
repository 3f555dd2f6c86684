"""Feature tables: a group's plays folded day by day, then its windows merged from those.

One file for several steps: `segue run build-user-features …`, on a cluster
`spark-submit jobs/build_features.py build-user-features …`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from features.windows.daily import partial_days, play_days, window_features
from features.windows.partials import earlier_days, partial_rows
from features.windows.tiles import tiles_ending_on
from jobs import FLOW
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.errors import WrongUsage
from jobs.group_events import explain_no_entity, find_events, no_entity_reason
from jobs.job import Job, new_run_id
from jobs.publishing.batches import Batch
from jobs.publishing.records import record_changes
from jobs.publishing.state import TableState, digest
from jobs.publishing.warehouse import has_rows, stale_days
from schemas import FEATURE_GROUPS, FeatureGroup

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def main(argv: Sequence[str] | None = None) -> int:
    steps = {step.name: step for step in FLOW if step.module == "jobs.build_features"}
    name, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if name not in steps:
        raise WrongUsage(f"give the step first, one of {', '.join(steps)}; got {name or 'nothing'}")
    step = steps[name]
    # not `capitalize`, which would make small letters of all others
    description = f"{step.help[0].upper()}{step.help[1:]}."
    args = add_day_arguments(new_parser(description, name)).parse_args(arguments)
    args.run_id = args.run_id or new_run_id()
    for group in FEATURE_GROUPS:
        if group.partials_table not in step.makes:
            continue
        job = Job(name, args.root, args.run_id)
        _update_partials(job, group)
        # pairs have no daily table: a row a day for every pair there ever was is the plays times the days
        if not group.daily:
            continue
        if has_rows(job.warehouse, group.partials_table):
            # a job of its own: the first may have pinned the partials at the version before
            _update_features(Job(name, args.root, args.run_id), group, args)
        else:
            job.not_made(group.table, no_entity_reason(group))
    return 0


def _update_partials(job: Job, group: FeatureGroup) -> None:
    """A late play opens its own day and, level by level, the one day that a tile with it ends on."""
    events, table = job.source(group.events.name), group.partials_table
    if reason := explain_no_entity(job, group):  # or all history would be read each night, to find nobody
        job.not_made(table, reason)
        return
    fingerprints = _partials_fingerprints(events, group)
    # whatever days were asked for: features of one day are merged from partials of many
    days = stale_days(job.warehouse, table, fingerprints)
    if not days:
        job.up_to_date(table, f"no day of {group.events.name} is new or changed")
        return
    published = job.warehouse.state(table)
    # days that are not there would be read for nothing, from a table that may lack the part just declared
    earlier = [day for day in earlier_days(days) if published and day in published.day_states]
    tiles = job.find(table, earlier) if earlier else None
    plays = find_events(job, group, days)
    # bytes of sketches depend on the order of rows or on a coin: such a group may differ in a rerun
    exact = group.deterministic
    batch = job.batch(
        table,
        days,
        [tiles, plays.events],
        upstream=fingerprints,
        deterministic=exact,
        catalogue=plays.catalogue,
    )
    rows = partial_rows(plays.rows(), group, days, tiles.rows() if tiles else None)
    job.publish(batch, rows, if_empty=no_entity_reason(group))


def _update_features(job: Job, group: FeatureGroup, args: argparse.Namespace) -> None:
    # tables of before name a day by all that the declarations said, prose included; to make them again would cost
    # every day there is, for the same values
    declared, former_text = group.identities, [repr(feature) for feature in group.features]
    sources = _source_fingerprints(job, group)
    fingerprints = {day: digest(declared, *source) for day, source in sources.items()}
    former = {day: digest(former_text, *source) for day, source in sources.items()}
    days = requested_days(args, lambda: stale_days(job.warehouse, group.table, fingerprints, former))
    if not days:
        job.up_to_date(group.table, f"no day of {group.partials_table} is new or changed")
        return
    # at most 2 log2(w) tiles for a window of w days, and 15 for all time: never the whole table
    partials = job.table(group.partials_table, partial_days(group, days))
    # of no day at all, unless the group declares exact distinct counts, which have no part
    plays = find_events(job, group, play_days(group, days))
    # without such counts, no row of the catalogue is read
    catalogue = plays.catalogue if plays.events.days else None
    exact, inputs = group.deterministic, [partials, plays.events]
    batch = job.batch(
        group.table, days, inputs, upstream=fingerprints, deterministic=exact, catalogue=catalogue
    )
    # looked at first: after the commit, the newest version is ours
    before = job.warehouse.state(group.table)
    outcome = job.publish(batch, window_features(partials.rows(), plays.rows(), group, days))
    if before and outcome.version is not None:
        _record_changes(job, group, batch, before)


def _record_changes(job: Job, group: FeatureGroup, batch: Batch, before: TableState) -> None:
    """Of days that were published before: late plays, or a new declaration, have changed them."""
    now = job.warehouse.state(group.table)
    # by the hashes of days, so that nothing is read of one that holds what it held
    days = [
        day for day in before.days if now and not now.day_states[day].same_content_as(before.day_states[day])
    ]
    if not (now and days):
        return
    old, new = (job.at(group.table, state.version, days) for state in (before, now))
    # a column that is new has no old values to differ from
    columns = [name for f, w in group.feature_windows if (name := f.name(w)) in old.columns]
    counts = _count_changes(old, new, group.contract().key, columns)
    rows = sum(now.day_states[day].rows for day in days)
    record_changes(job.warehouse, job.run_id, batch, days, rows, counts)
    most = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])[:3]
    job.say(f"{len(days)} days opened again from {days[0]}; changed most: {', '.join(most) or 'nothing'}")


def _count_changes(
    old: DataFrame, new: DataFrame, key: Sequence[str], columns: Sequence[str]
) -> dict[str, int]:
    """Per column, in how many rows of either side it has another value, or is on one side alone."""
    from pyspark.sql import functions as F

    # a struct per side is null where that side has no row, which a null value could not say
    sides = [rows.select(*key, F.struct(*columns).alias(side)) for rows, side in ((old, "old"), (new, "new"))]
    both = sides[0].join(sides[1], [*key], "full")
    one_sided = F.col("old").isNull() | F.col("new").isNull()
    # null-safe: with `!=`, a value that became null, or was null before, would not count
    differs = {name: ~F.col(f"old.{name}").eqNullSafe(F.col(f"new.{name}")) for name in columns}
    (row,) = both.agg(*[F.count_if(one_sided | differs[name]).alias(name) for name in columns]).collect()
    return dict(row.asDict())


def _partials_fingerprints(events: TableState, group: FeatureGroup) -> dict[date, str]:
    """What each day's partials are made of: the days that its longest tile sums up, and the declared parts."""
    declared: list[Any] = [
        group.keys,
        group.where,
        [(repr(part), group.longest_span(part)) for part in group.parts],
    ]
    # of the catalogue nothing: a track that is added each night would make all history anew
    declared += [group.rows_identity] if group.rows_identity else []
    # days without plays are among them, as tiles end there too
    first, last = events.days[0].toordinal(), events.days[-1].toordinal()
    calendar = [date.fromordinal(n) for n in range(first, last + 1)]
    # sums of hashes tell ranges of days apart in one pass; a hash of each range would take all days squared
    hashes = (int(digest(events.published_hashes([day])), 16) for day in calendar)
    until = [0, *accumulate(hashes)]
    # a tile may reach back to before the first play
    spans = [min(tiles_ending_on(day)[-1].span, n) for n, day in enumerate(calendar, 1)]
    return {day: digest(declared, until[n + 1] - until[n + 1 - spans[n]]) for n, day in enumerate(calendar)}


def _source_fingerprints(job: Job, group: FeatureGroup) -> dict[date, tuple[str, str]]:
    """Of the partials up to each day that has plays; and of the plays, for what is no part of partials."""
    # a lifetime holds all plays, so a late one changes every later day; the fingerprints are cumulative
    partials = job.source(group.partials_table).cumulative_fingerprints()
    plays = job.source(group.events.name).cumulative_fingerprints()
    return {day: (partials[day], plays[day]) for day in plays if day in partials}


if __name__ == "__main__":
    raise SystemExit(main())
