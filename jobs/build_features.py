"""Feature tables: a group's plays folded day by day, then its windows merged from those.

One file for several steps: `segue run build-user-features …`, on a cluster
`spark-submit jobs/build_features.py build-user-features …`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from features.windows.additions import FEW_ROWS, replace_features, replace_parts
from features.windows.daily import RowWindows, partial_days, play_days, window_features
from features.windows.partials import earlier_days, partial_rows
from features.windows.reopened import ReopenedDays
from jobs import FLOW
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.changed_rows import record_changed_rows
from jobs.errors import JobError, WrongUsage
from jobs.gone_days import remove_gone_features, remove_gone_partials
from jobs.group_events import (
    GroupEvents,
    explain_no_entity,
    find_events,
    find_requested,
    find_tracks,
    no_entity_reason,
)
from jobs.idle_rows import add_stale_days, has_day_without_events, list_row_windows
from jobs.inputs import TableInput
from jobs.job import Job, new_run_id
from jobs.newer_catalogue import find_older_days, renew_days, renew_partials
from jobs.publishing.batches import Batch
from jobs.publishing.protocol import StagedBatch
from jobs.publishing.warehouse import has_rows
from jobs.reopened_days import ChangedEntities, find_stale_feature_events, find_stale_partial_events
from jobs.stale_features import StaleDays, find_stale_features, find_stale_partials, select_concerned
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.tracks import TRACKS

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
    parser = new_parser(description, name)
    # partials are made of all days that are stale, whatever days the options name
    parser = add_day_arguments(parser) if step.takes_days else parser
    if TRACKS.name in step.uses:
        newer = "also make days again that were made with an older catalogue than there is now"
        parser.add_argument("--newer-catalogue", action="store_true", help=newer)
    args = parser.parse_args(arguments)
    args.run_id = args.run_id or new_run_id()
    for group in FEATURE_GROUPS:
        if group.partials_table not in step.makes:
            continue
        with ChangedEntities(group) as changed:
            job = Job(name, args.root, args.run_id)
            # before any work: days of which there are no events are refused
            requested = find_requested(job, group, args)
            _update_partials(job, group, args, changed)
            # pairs have no daily table: a row a day for every pair there ever was is the plays times the days
            if not group.daily:
                continue
            if requested is None:
                job.nothing_to_do(group.table, f"{group.events.name} has none of the days that are asked for")
                continue
            # where all partials are gone, rows that were merged from them are to go, too
            if any(has_rows(job.warehouse, table) for table in (group.partials_table, group.table)):
                # a job of its own: the first may have pinned the partials at the version before
                _update_features(Job(name, args.root, args.run_id), group, args, changed, requested)
            else:
                job.not_made(group.table, no_entity_reason(group))
    return 0


def _update_partials(
    job: Job, group: FeatureGroup, args: argparse.Namespace, changed: ChangedEntities
) -> None:
    """A late play opens its own day and, level by level, the one day that a tile with it ends on."""
    events, tracks, table = job.source(group.events.name), find_tracks(job, group), group.partials_table
    # or all history would be read each night, to find nobody; where there is somebody, rows may have to go
    if not has_rows(job.warehouse, table) and (reason := explain_no_entity(group, events, tracks)):
        job.not_made(table, reason)
        return
    job = remove_gone_partials(job, group)
    # whatever days the options name: features of one day are merged from partials of many
    stale = find_stale_partials(job.warehouse, group, events, tracks)
    stale = renew_partials(stale, _find_older_days(job, group, table, args))
    if not stale:
        job.up_to_date(table, f"no day of {group.events.name} is new or changed")
        return
    # first: what is folded again may be merged with tiles of these days, of all parts
    if stale.extended:
        _add_parts(job, group, stale)
        job = job.fresh()
    if stale.whole:
        _fold_days(job, group, stale, changed)


def _find_older_days(job: Job, group: FeatureGroup, table: str, args: argparse.Namespace) -> list[date]:
    """Days made with an older catalogue, among those requested if any are, where they are to be made again."""
    if not getattr(args, "newer_catalogue", False):
        return []
    requested = requested_days(args, list) if group.daily else []
    return [day for day in find_older_days(job.warehouse, group, table) if day in (requested or [day])]


def _fold_days(job: Job, group: FeatureGroup, stale: StaleDays, changed: ChangedEntities) -> None:
    days, table = stale.whole, group.partials_table
    plays = find_events(job, group, days)
    reopened, published = changed.open_again(job, table, find_stale_partial_events(job, group, stale))
    tiles = _find_tiles(job, group, days, reopened.days if reopened else ())
    batch = _describe_batch(job, group, table, days, stale, [tiles, published], plays)
    earlier = tiles.rows() if tiles else None
    rows = partial_rows(plays.rows(), group, days, earlier, reopened=reopened)
    job.publish(batch, rows, if_empty=no_entity_reason(group))


def _add_parts(job: Job, group: FeatureGroup, stale: StaleDays) -> None:
    """Parts that were declared since, beside those of the same plays."""
    days, table = stale.extended, group.partials_table
    published, tiles = job.table(table, days), _find_tiles(job, group, days)
    # of the catalogue no more columns than these parts are made of
    plays = find_events(job, select_concerned(group, stale.columns), days)
    batch = _describe_batch(job, group, table, days, stale, [published, tiles], plays, published.count)
    parts = [part for part in group.parts if part.name in stale.columns]
    added = partial_rows(plays.rows(), group, days, tiles.rows() if tiles else None, parts)
    with _cache(added, batch):
        rows = replace_parts(published.rows(), added, group, stale.columns, batch.clustered)
        job.publish(batch, rows, if_empty=no_entity_reason(group), after_audit=_check_same_rows(job, batch))
    _say_columns(job, table, stale)


def _find_tiles(
    job: Job, group: FeatureGroup, days: Sequence[date], reopened: Sequence[date] = ()
) -> TableInput | None:
    """Of other days, and of reopened ones, what tiles ending on these are merged from."""
    published = job.warehouse.state(group.partials_table)
    # days that are not there would be read for nothing, from a table that may lack the part just declared
    earlier = [day for day in earlier_days(days, reopened) if published and day in published.day_states]
    return job.find(group.partials_table, earlier) if earlier else None


def _update_features(
    job: Job,
    group: FeatureGroup,
    args: argparse.Namespace,
    changed: ChangedEntities,
    requested: Sequence[date],
) -> None:
    job = remove_gone_features(job, group)
    partials, events = job.source(group.partials_table), job.source(group.events.name)
    stale = find_stale_features(job.warehouse, group, partials, events, find_tracks(job, group))
    stale = renew_days(stale, _find_older_days(job, group, group.table, args))
    if requested:
        stale = replace(stale, whole=tuple(add_stale_days(job, group, stale, requested)), extended=())
    if not stale:
        job.up_to_date(group.table, f"no day of {group.partials_table} is new or changed")
        return
    if stale.extended:
        _add_features(job, group, stale)
        job = job.fresh()
    if stale.whole:
        row_windows = list_row_windows(job, group, stale.whole)
        # days that are requested are made as a whole: whoever names them wants them repaired
        whole = requested or has_day_without_events(row_windows)
        again = None if whole else find_stale_feature_events(job, group, stale)
        _merge_windows(job, group, stale, row_windows, *changed.open_again(job, group.table, again))


def _merge_windows(
    job: Job,
    group: FeatureGroup,
    stale: StaleDays,
    row_windows: RowWindows | None,
    reopened: ReopenedDays | None,
    published: TableInput | None,
) -> None:
    days, table = stale.whole, group.table
    partials, plays = _find_sources(job, group, days, row_windows=row_windows)
    batch = _describe_batch(job, group, table, days, stale, [partials, published], plays)
    # looked at first: after the commit, the newest version is ours
    before = job.warehouse.state(table)
    rows = window_features(
        partials.rows(), plays.rows(), group, days, reopened=reopened, row_windows=row_windows
    )
    # an entity has a row from its first play on: without partials there is none
    outcome = job.publish(batch, rows, if_empty="" if partials.count else no_entity_reason(group))
    if before and outcome.version is not None:
        record_changed_rows(job, group, batch, before, reopened)


def _add_features(job: Job, group: FeatureGroup, stale: StaleDays) -> None:
    """Features that were declared since, beside those of the same days."""
    days, narrow = stale.extended, group.select(stale.columns)
    published = job.table(group.table, days)
    # exact distinct counts are added to the rows that there are
    every = any(feature.op == "distinct" for feature in narrow.features)
    partials, plays = _find_sources(job, narrow, days, every)
    inputs = [published, partials]
    batch = _describe_batch(job, group, group.table, days, stale, inputs, plays, published.count)
    added = window_features(partials.rows(), plays.rows(), narrow, days, every)
    with _cache(added, batch):
        rows = replace_features(published.rows(), added, group, stale.columns, batch.clustered)
        job.publish(batch, rows, after_audit=_check_same_rows(job, batch))
    _say_columns(job, group.table, stale)


def _find_sources(
    job: Job,
    group: FeatureGroup,
    days: Sequence[date],
    every_entity: bool = True,
    row_windows: RowWindows | None = None,
) -> tuple[TableInput, GroupEvents]:
    # at most 2 log2(w) tiles for a window of w days, and 15 for all time: never the whole table
    partials = job.table(group.partials_table, partial_days(group, days, every_entity, row_windows))
    # of no day at all, unless the group declares exact distinct counts, which have no part
    return partials, find_events(job, group, play_days(group, days))


def _describe_batch(
    job: Job,
    group: FeatureGroup,
    table: str,
    days: Sequence[date],
    stale: StaleDays,
    inputs: Sequence[TableInput | None],
    plays: GroupEvents,
    extended_rows: int | None = None,
) -> Batch:
    # bytes of sketches depend on the order of rows or on a coin: such a group may differ in a rerun
    exact, columns = group.deterministic, stale.identities
    added = () if extended_rows is None else stale.columns
    return job.batch(
        table,
        days,
        [*inputs, plays.events],
        upstream=stale.sources,
        deterministic=exact,
        columns=columns,
        # not the same batch as one that makes these days as a whole
        parameters={"added": added} if added else None,
        extends=added,
        # what is computed has all entities that there are, of which few may have a row
        clustered=extended_rows is not None and extended_rows <= FEW_ROWS and group.idle_rows,
        # without plays, no row of the catalogue is read
        catalogue=plays.catalogue if plays.events.days else None,
    )


@contextmanager
def _cache(rows: DataFrame, batch: Batch) -> Iterator[None]:
    """Computes first what goes to every task: Spark gives up a broadcast that takes five minutes."""
    if not batch.clustered:
        yield
        return
    rows.persist().count()
    try:
        yield
    finally:
        rows.unpersist()


def _check_same_rows(job: Job, batch: Batch) -> Callable[[StagedBatch], None]:
    """That the new columns are of the very rows that are published; JobError if not."""
    before = job.warehouse.state(batch.table)

    def check(staged: StagedBatch) -> None:
        for day, state in (before.day_states if before else {}).items():
            rows = staged.profile.days[day].rows if day in staged.profile.days else 0
            if day in batch.upstream and rows != state.rows:
                raise JobError(
                    f"table {batch.table}, {day}: new columns were computed for {rows:,} rows, {state.rows:,} are "
                    f"published; nothing was published. Make the day again: --day {day}"
                )

    return check


def _say_columns(job: Job, table: str, stale: StaleDays) -> None:
    names = ", ".join(stale.columns[:3]) + (" …" if len(stale.columns) > 3 else "")
    job.say(f"{table}: {names} beside what {len(stale.extended)} days held")


if __name__ == "__main__":
    raise SystemExit(main())
