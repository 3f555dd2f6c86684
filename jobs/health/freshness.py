"""How old what readers have is: against promises, against the schedule, and against the other tables of a release."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from jobs import NIGHTLY
from jobs.graph import RELEASES
from jobs.health.indicators import FINE, NOTE, WRONG, Indicator
from jobs.health.root import Root
from jobs.publishing.state import read_state
from segue.publication_record import parse_instant
from segue.releases import TableVersion
from segue.storage import Snapshot, find_table

HOUR = timedelta(hours=1)
# Of the days that a table may lag, those that are left for somebody to act.
WARN_SHARE = 0.5
# One may be the run that is on now.
LATE_RUNS = 1


def check_release_age(root: Root) -> Iterator[Indicator]:
    """How long ago the newest release was made."""
    release, promise = root.newest, root.promises.get(RELEASES)
    bound, to_do = _to_hours(promise), root.command("run flow")
    if release is None:
        status = WRONG if promise else NOTE
        yield Indicator("stale", RELEASES, status, "nothing was ever released", to_do, bound=bound)
        return
    # a clock that was set back makes no age below zero, here and below
    age = max(root.now - release.released_at, timedelta(0))
    what = f"release {release.release_id} is {format_age(age)} old"
    if release.rollback_of:
        what += (
            f"; it takes back {release.rollback_of}, and the next release-tables releases the newest again"
        )
    if promise and age > promise:
        yield _find_stale(RELEASES, what, promise, age, to_do)
    else:
        # a rollback is worth a line for as long as it lasts
        status = NOTE if release.rollback_of else FINE
        yield Indicator("stale", RELEASES, status, what, "", age / HOUR, bound, "hours")


def check_promise(root: Root, table: str) -> Indicator:
    """How long ago the newest day of a table ended, as the newest release has it."""
    promise, release = root.promises[table], root.newest
    version = release.tables.get(table) if release else None
    to_do = root.command(f"describe {table}")
    if release and version is None:
        return Indicator("stale", table, WRONG, f"release {release.release_id} has none of it", to_do)
    end = _find_end(root, table, version)
    if end is None:
        return Indicator("stale", table, WRONG, "nothing of it was ever published", to_do)
    age = max(root.now - end, timedelta(0))
    what = f"what readers have of it ends at {end:%Y-%m-%d %H:%M}, {format_age(age)} ago"
    if age > promise:
        return _find_stale(table, what, promise, age, to_do)
    return Indicator("stale", table, FINE, what, "", age / HOUR, promise / HOUR, "hours")


def _find_stale(subject: str, what: str, promise: timedelta, age: timedelta, to_do: str) -> Indicator:
    promised = f"{what}; promised are {format_age(promise)}"
    return Indicator("stale", subject, WRONG, promised, to_do, age / HOUR, promise / HOUR, "hours")


def _find_end(root: Root, table: str, version: TableVersion | None) -> datetime | None:
    """The end of the newest day, as far as it is complete; without days, the instant of publication."""
    uri = root.warehouse.table_path(table)
    log = find_table(uri, version.version if version else None)
    if log is None or not log.file_uris():
        return None
    if not (days := Snapshot(uri, log).days):
        published_at = read_state(log).published_at
        return parse_instant(published_at) if published_at else None
    end = datetime.combine(days[-1], time(), UTC) + timedelta(days=1)
    through = version.complete_through if version else None
    return min(end, through) if through else end


def check_schedule(root: Root) -> Iterator[Indicator]:
    """Runs that a newer day of plays, or a newer release, was there for."""
    if root.schedule is None:
        return
    plays, release = root.inventory.published("plays"), root.newest
    days = {
        "plays": plays.last_day if plays else None,
        "the newest release": release.day if release else None,
    }
    runs = {
        name: root.schedule.count_late_runs(day, root.now) for name, day in days.items() if day is not None
    }
    if not runs:
        return
    name = max(runs, key=lambda each: runs[each])
    what = f"{runs[name]} runs of the schedule brought nothing newer: {name} ends on {days[name]}"
    to_do = root.command("run flow")
    if runs[name] > LATE_RUNS:
        # each night that fails is news
        yield Indicator("missed", "flow", WRONG, what, to_do, runs[name], LATE_RUNS, "runs", str(runs[name]))
    else:
        words = "no run of the schedule is missed"
        yield Indicator("missed", "flow", FINE, words, "", runs[name], LATE_RUNS, "runs")


def check_lags(root: Root) -> Iterator[Indicator]:
    """Tables that the newest release carries at an older day than its own, and those that it had to leave out."""
    release = root.newest
    if release is None:
        return
    for table, version in sorted(release.tables.items()):
        if version.lag_days:
            yield _judge_lag(root, table, version.lag_days)
    before = {name for each in root.inventory.releases for name in each.tables}
    # what a rollback does not have, whoever went back meant to be without
    lost = sorted(before - release.tables.keys()) if not release.rollback_of else []
    for table in lost:
        if table in NIGHTLY:
            what = f"release {release.release_id} had to leave it out"
            yield Indicator("lag", table, WRONG, what, root.command("report"), unit="days", state="left out")


def _judge_lag(root: Root, table: str, lag: int) -> Indicator:
    most = root.max_lag_days(table)
    days = "a day" if lag == 1 else f"{lag} days"
    what = f"the newest release carries it at {days} behind; after {most:g} it is left out"
    # where a night may have no rows, a lag can be right
    wrong = lag > most * WARN_SHARE and table in NIGHTLY
    state = str(lag) if wrong else ""
    to_do = root.command("report")
    return Indicator(
        "lag", table, WRONG if wrong else NOTE, what, to_do, lag, most * WARN_SHARE, "days", state
    )


def format_age(age: timedelta) -> str:
    """In the unit that a person would take: 50 minutes, 30 hours, 12 days."""
    minutes = int(age / timedelta(minutes=1))
    for unit, size in (("day", 48 * 60), ("hour", 60)):
        if minutes >= size:
            count = minutes // (24 * 60 if unit == "day" else 60)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def _to_hours(duration: timedelta | None) -> float | None:
    return duration / HOUR if duration else None
