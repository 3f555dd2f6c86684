"""Finds which play each impression led to, by the rules that the project declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from features.attributions import attribute_plays
from features.windows.catalogue import add_catalogue_columns
from jobs.arguments import add_day_arguments, new_parser, requested_days
from jobs.errors import WrongUsage
from jobs.gone_days import list_gone_days, remove_gone_days
from jobs.job import Job
from jobs.publishing.state import TableState, digest, list_stale, mark_provisional
from schemas import ATTRIBUTION_TABLES, CONTRACTS, Attributions
from schemas.attributions import VERSION
from schemas.contract import add_new_columns


def main(argv: Sequence[str] | None = None) -> int:
    args = add_day_arguments(new_parser(__doc__, "build-attributions")).parse_args(argv)
    if not ATTRIBUTION_TABLES:
        raise WrongUsage("no rule of attribution is declared; declare Attributions(…) in the project")
    (declared,) = ATTRIBUTION_TABLES
    job = Job("build-attributions", args.root, args.run_id)
    impressions, plays = job.source(declared.impressions.name), job.source("sessions")
    upstream = dict(name_days(declared, impressions, plays))
    gone = list_gone_days(job.state(declared.name), upstream)
    job = remove_gone_days(job, declared.name, "sessions", gone, ())
    days = requested_days(args, lambda: list_stale(job.state(declared.name), upstream), upstream)
    if not days:
        job.up_to_date(declared.name, "no day of plays or impressions is new or changed")
        return 0
    _build(job, declared, days, upstream)
    return 0


def name_days(
    declared: Attributions, impressions: TableState, plays: TableState
) -> Iterator[tuple[date, str]]:
    """Each day with plays since the first impression, and a fingerprint of what its attributions are made of."""
    rules = [rule.identity for rule in declared.rules]
    for day in plays.days:
        if day < impressions.days[0]:
            continue
        shown = _list_days_before(declared, [day])
        hashes = plays.published_hashes([day]), impressions.published_hashes(shown)
        # of a day that is not there yet, impressions may still come
        limits = [plays.find_limit(day), *map(impressions.find_limit, shown)]
        yield day, mark_provisional(digest(VERSION, rules, *hashes), limits)


def _list_days_before(declared: Attributions, days: Sequence[date]) -> list[date]:
    """The days that impressions of plays of these can lie on."""
    reach = range(declared.days_before + 1)
    return sorted({day - timedelta(days=n) for day in days for n in reach})


def _build(job: Job, declared: Attributions, days: Sequence[date], upstream: dict[date, str]) -> None:
    plays = job.table("sessions", days)
    impressions = job.table(declared.impressions.name, _list_days_before(declared, days))
    parameters = {"version": VERSION, "rules": [rule.identity for rule in declared.rules]}
    tracks = job.table("tracks") if declared.catalogue_columns else None
    inputs = [plays, impressions]
    batch = job.batch(declared.name, days, inputs, upstream=upstream, parameters=parameters, catalogue=tracks)
    # columns of a project, before the first row that has them
    played = add_new_columns(plays.rows(), CONTRACTS["sessions"])
    if tracks:
        known = add_new_columns(tracks.rows(), CONTRACTS["tracks"])
        played = add_catalogue_columns(played, known, declared.catalogue_columns)
    shown = add_new_columns(impressions.rows(), declared.impressions.contract)
    job.publish(batch, attribute_plays(played, shown, declared.rules))


if __name__ == "__main__":
    raise SystemExit(main())
