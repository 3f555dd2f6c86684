"""What the feature jobs share: a group's plays folded day by day, then its windows merged from those."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import accumulate

from features.windows.changes import count_changes
from features.windows.daily import partial_days, play_days, window_features
from features.windows.partials import earlier_days, partial_rows
from features.windows.tiles import tiles_ending_on
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.job import Job, new_run_id
from jobs.publishing.batches import Batch
from jobs.publishing.records import record_changes
from jobs.publishing.state import TableState, digest
from jobs.publishing.warehouse import has_rows, stale_days
from schemas import FeatureGroup


def build(
    groups: Sequence[FeatureGroup], name: str, description: str | None, argv: Sequence[str] | None
) -> int:
    args = add_day_arguments(new_parser(description, name)).parse_args(argv)
    args.run_id = args.run_id or new_run_id()
    for group in groups:
        job = Job(name, args.root, args.run_id)
        _update_partials(job, group)
        if not group.daily:
            continue
        if has_rows(job.warehouse, group.partials_table):
            _update_features(Job(name, args.root, args.run_id), group, args)
        else:
            job.not_made(group.table, _no_entity_reason(group))
    return 0


def _update_partials(job: Job, group: FeatureGroup) -> None:
    """A late play opens its own day and, level by level, the one day that a tile with it ends on."""
    sessions, table = job.source("sessions"), group.partials_table
    if sessions.empty_columns & set(group.keys):  # or all history would be read each night, to find nobody
        job.not_made(table, _no_entity_reason(group))
        return
    wanted = _partials_fingerprints(sessions, group)
    days = stale_days(job.warehouse, table, wanted)
    if not days:
        job.up_to_date(table, "no day of sessions is new or changed")
        return
    earlier = earlier_days(days)
    tiles = job.find(table, earlier) if earlier else None
    plays = job.table("sessions", days)
    batch = job.batch(table, days, [tiles, plays], upstream=wanted, deterministic=group.deterministic)
    rows = partial_rows(plays.rows(), group, days, tiles.rows() if tiles else None)
    job.publish(batch, rows, if_empty=_no_entity_reason(group))


def _update_features(job: Job, group: FeatureGroup, args: argparse.Namespace) -> None:
    wanted = _features_fingerprints(job, group)
    days = requested_days(args, lambda: stale_days(job.warehouse, group.table, wanted))
    if not days:
        job.up_to_date(group.table, f"no day of {group.partials_table} is new or changed")
        return
    partials = job.table(group.partials_table, partial_days(group, days))
    plays = job.table("sessions", play_days(group, days))
    batch = job.batch(
        group.table, days, [partials, plays], upstream=wanted, deterministic=group.deterministic
    )
    before = job.warehouse.state(group.table)
    outcome = job.publish(batch, window_features(partials.rows(), plays.rows(), group, days))
    if before and outcome.version is not None:
        _record_changes(job, group, batch, before)


def _no_entity_reason(group: FeatureGroup) -> str:
    counts = "" if group.where == "true" else f" where {group.where}"
    return f"no play{counts} has {' and '.join(group.keys)}"


def _record_changes(job: Job, group: FeatureGroup, batch: Batch, before: TableState) -> None:
    """Of days that were published before: late plays, or a new declaration, have made them anew."""
    now = job.warehouse.state(group.table)
    again = [
        day for day in before.days if now and not now.day_states[day].same_content_as(before.day_states[day])
    ]
    if not (now and again):
        return
    old, new = (job.at(group.table, state.version, again) for state in (before, now))
    columns = [name for f, w in group.feature_windows if (name := f.name(w)) in old.columns]
    counts = count_changes(old, new, group.contract().key, columns).collect()[0].asDict()
    rows = sum(now.day_states[day].rows for day in again)
    record_changes(job.warehouse, job.run_id, batch, again, rows, counts)
    some = ", ".join(sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])[:3])
    job.say(f"{len(again)} days opened again from {again[0]}; changed most: {some or 'nothing'}")


def _partials_fingerprints(sessions: TableState, group: FeatureGroup) -> dict[date, str]:
    """What each day's partials are made of: the days that its longest tile sums up, and the declared parts.

    Days without plays are among them, as tiles end there too. Sums of hashes tell ranges of days apart
    in one pass, where a hash of each range would take all days squared.
    """
    declared = [group.keys, group.where, [(repr(part), group.longest(part)) for part in group.parts]]
    first, last = sessions.days[0].toordinal(), sessions.days[-1].toordinal()
    calendar = [date.fromordinal(n) for n in range(first, last + 1)]
    hashes = (int(digest(sessions.published_hashes([day])), 16) for day in calendar)
    until = [0, *accumulate(hashes)]
    spans = [min(tiles_ending_on(day)[-1].span, n) for n, day in enumerate(calendar, 1)]
    return {day: digest(declared, until[n + 1] - until[n + 1 - spans[n]]) for n, day in enumerate(calendar)}


def _features_fingerprints(job: Job, group: FeatureGroup) -> Mapping[date, str]:
    """Of the partials up to each day that has plays; and of the plays, for what no partial holds."""
    partials, plays = (
        job.source(group.partials_table).cumulative_fingerprints(),
        job.source("sessions").cumulative_fingerprints(),
    )
    declared = [repr(feature) for feature in group.features]
    return {day: digest(declared, partials[day], held) for day, held in plays.items() if day in partials}
