"""Releases: one version of every table, consistent with each other. Written and rolled back without Spark."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from segue.errors import SegueError, UsageError, list_names
from segue.forks import run_where_possible
from segue.retry import ATTEMPTS, retry
from segue.roots import check_root_name

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

Root = str | os.PathLike[str]

# How long a release can be opened once it is followed, where its project says nothing: a month, so that a training set
# can be made again next month, and some days to notice. The newest has no end. Maintenance keeps the files of every
# living release.
RELEASE_LIFE = timedelta(days=35)

# That of the setting `release_days` can be no longer; and years more would be past the end of the calendar.
_LONGEST_LIFE = timedelta(days=3650)

# A release is a file of a few kB. Opening this many takes 50 ms, writing all releases again even less.
FILES_BEFORE_COMPACTION = 32


@dataclass(frozen=True)
class TableVersion:
    """One table in a release."""

    version: int
    rows: int
    # does not depend on the order of rows
    content_hash: str
    # Days from its newest day to the release's: a table that was refused or is behind is carried at its last good
    # version. 0 for tables without days.
    lag_days: int = 0
    # The instant up to which all that it is made of was delivered; its days behind that are provisional. None where
    # nothing is known, as of tables without days and in releases of before.
    complete_through: datetime | None = None


@dataclass(frozen=True)
class Release:
    """`rollback_of` is the release that this one takes back, if any."""

    release_id: str
    released_at: datetime
    tables: Mapping[str, TableVersion]
    rollback_of: str | None = None
    # written with the release: whoever opens it need not know the settings of who made it
    life: timedelta = RELEASE_LIFE
    # when the next one was made, None for the newest; not compared, as the same release gets it one day
    followed_at: datetime | None = field(default=None, compare=False)

    @property
    def day(self) -> date:
        return date.fromisoformat(self.release_id.rpartition(".")[0])

    @property
    def number(self) -> int:
        return int(self.release_id.rpartition(".")[2])

    @property
    def complete_through(self) -> datetime | None:
        """Of its tables, the least."""
        limits = (entry.complete_through for entry in self.tables.values())
        return min(filter(None, limits), default=None)

    @property
    def expires_at(self) -> datetime:
        """The end of its life, unless it is the newest then. Until it is followed, readers take it as the newest,
        however old it is, and must not lose it with the next one."""
        return (self.followed_at or self.released_at) + self.life


def list_releases(root: Root) -> list[Release]:
    """Newest first; empty where none was ever written."""
    # here and below, since `import segue` must not wait for pyarrow and deltalake
    from segue.storage import releases_uri

    check_root_name(root)
    return run_where_possible(_list_releases, releases_uri(root))


def _list_releases(uri: str) -> list[Release]:
    from segue.storage import find_table

    table = find_table(uri)
    return [] if table is None else _read_releases(uri, table)


def select_unexpired(releases: list[Release], now: datetime | None = None) -> list[Release]:
    """Those of `releases`, newest first, that can be opened at `now`: the newest, and all not followed too long ago."""
    now = now or datetime.now(UTC)
    return [release for release in releases if release is releases[0] or release.expires_at > now]


def open_release(root: Root, release_id: str | None = None) -> Release:
    """The release of that id, to be read; the newest for None.

    Raises:
        SegueError: there is no release at all, or its life is over.
        UsageError: none has that id.
    """
    releases = list_releases(root)
    release, unexpired = select_release(root, releases, release_id), select_unexpired(releases)
    if release not in unexpired:
        # Refused though its files may still be there: otherwise it would be served until the night when half of it
        # is gone.
        raise SegueError(
            f"release {release.release_id} can no longer be read: its life ended {str(release.expires_at)[:16]} UTC, "
            "and maintenance removes what only it holds",
            f"open one of {list_names([each.release_id for each in unexpired], 5)}",
        )
    return release


ANY = "any"


def append_release(
    root: Root,
    day: date,
    tables: Mapping[str, TableVersion],
    after: str | None = ANY,
    life: timedelta = RELEASE_LIFE,
) -> Release:
    """A new release in one commit: id `<day>.<n>`, `released_at` later than that of every other.

    Args:
        after: the id of the release that was the newest when `tables` were chosen, None for none: a slow
            job must not take back what a faster one has released.
        life: how long it can be opened once there is a newer one; whole days, 1 to 3650.

    Raises:
        UsageError: `tables` is empty, `day` is no date, or `life` is none.
        SegueError: another release is the newest by now, or other writers kept committing first.
    """
    if not tables:
        raise UsageError("a release holds at least one table; got none")
    _check_day(day)
    _check_life(life)

    def make_next(releases: list[Release]) -> Release:
        if after != ANY:
            _check_newest(releases, after, "run release-tables again")
        return _next_release(releases, day, tables, None, life)

    return _commit(root, make_next)


def _check_day(day: object) -> None:
    # A datetime is a date to Python; in an id it would leave releases that nothing can read.
    if isinstance(day, datetime) or not isinstance(day, date):
        raise UsageError(f"the day of a release is a datetime.date; got {day!r}", "date(2026, 11, 20), say")


def _check_life(life: object) -> None:
    day = timedelta(days=1)
    if not isinstance(life, timedelta) or life % day or not day <= life <= _LONGEST_LIFE:
        raise UsageError(
            f"life is a datetime.timedelta of whole days, 1 to {_LONGEST_LIFE.days}; got {life!r}",
            "timedelta(days=35), say",
        )


def rollback(root: Root, to: str) -> Release:
    """A new release of the versions that `to` holds; it takes back the newest. No data moves.

    Raises:
        UsageError: `to` is unknown, or is the newest already.
        SegueError: the life of `to` is over, a table version of it can no longer be read, or a listener
            was erased since; or another release is the newest by now, which may be from after an erasure.
    """
    before = open_release(root).release_id
    _check_readable(root, open_release(root, to))

    def make_next(releases: list[Release]) -> Release:
        _check_newest(releases, before, "look at it, and go back again if it is wrong, too")
        old, newest = select_release(root, releases, to), releases[0]
        if old is newest:
            raise UsageError(f"release {to} is the newest already; there is nothing to take back")
        return _next_release(releases, old.day, old.tables, newest.release_id, newest.life)

    return _commit(root, make_next)


@cache
def schema() -> pa.Schema:
    """Of the table of releases: one row per release and table."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    types = {"release_id": text, "released_at": pa.timestamp("us", "UTC"), "table_name": text}
    types |= {"version": number, "rows": number, "content_hash": text}
    fields = [pa.field(name, kind, nullable=False) for name, kind in types.items()]
    # nullable: few releases take one back, and those of before knew neither lags nor lives of their own
    later = {"rollback_of": text, "lag_days": number, "life_days": number}
    later["complete_through"] = pa.timestamp("us", "UTC")
    return pa.schema([*fields, *(pa.field(name, kind) for name, kind in later.items())])


def _commit(root: Root, make_next: Callable[[list[Release]], Release]) -> Release:
    """Who loses to another release asks `make_next` again, of the releases there are by then."""
    from deltalake.exceptions import CommitFailedError

    from segue.storage import releases_uri

    uri = releases_uri(root)

    def commit() -> Release:
        table = _open_or_create(uri)
        releases = _read_releases(uri, table)
        release = make_next(releases)
        try:
            _write_release(table, releases, release)
        except CommitFailedError:
            # A commit whose answer got lost fails its own retry, though it is in the log.
            if release not in list_releases(root):
                raise
        return release

    try:
        return retry(commit, CommitFailedError)
    except CommitFailedError as problem:
        raise SegueError(f"{ATTEMPTS} commits to {uri!r} each lost to another writer; try again") from problem


def _open_or_create(uri: str) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    from segue.storage import find_table

    if table := find_table(uri):
        return table
    try:
        return DeltaTable.create(uri, schema(), mode="ignore", name="releases")
    except DeltaError:  # two created it at once; the other one did
        if table := find_table(uri):
            return table
        raise


def _write_release(table: DeltaTable, releases: list[Release], release: Release) -> None:
    import pyarrow as pa
    from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake

    # A file of one release; now and then, instead, one file of all: listing stays quick by itself, without a night
    # of maintenance.
    compacts = len(table.file_uris()) >= FILES_BEFORE_COMPACTION
    rows = [row for each in ([*releases, release] if compacts else [release]) for row in _to_rows(each)]
    write_deltalake(
        table,
        pa.Table.from_pylist(rows, schema=schema()),
        mode="overwrite" if compacts else "append",
        schema_mode="merge",  # a table of releases of before lacks the columns that came later
        # No retry: deltalake would move the append past a commit that took the same id.
        commit_properties=CommitProperties(max_commit_retries=0),
        post_commithook_properties=PostCommitHookProperties(
            create_checkpoint=True, cleanup_expired_logs=False
        ),
    )


def _to_rows(release: Release) -> list[dict[str, Any]]:
    about = {name: getattr(release, name) for name in ("release_id", "released_at", "rollback_of")}
    about["life_days"] = release.life.days
    return [{**about, "table_name": name, **vars(entry)} for name, entry in sorted(release.tables.items())]


def _read_releases(uri: str, table: DeltaTable) -> list[Release]:
    """At the very version that `table` was opened at."""
    from segue.storage import Snapshot

    snapshot = Snapshot(uri, table)
    columns = [name for name in schema().names if name in snapshot.schema.names]
    rows = snapshot.read(snapshot.files, columns).sort_by("release_id").to_pylist()
    releases = [_from_rows(list(group)) for _, group in groupby(rows, key=lambda row: row["release_id"])]
    # by the number, not the id: as text, 2026-11-20.10 comes before 2026-11-20.9
    releases.sort(key=lambda each: (each.released_at, each.day, each.number), reverse=True)
    older = (replace(each, followed_at=next_.released_at) for next_, each in pairwise(releases))
    return [*releases[:1], *older]


def _from_rows(rows: list[dict[str, Any]]) -> Release:
    tables = {
        row["table_name"]: TableVersion(
            row["version"],
            row["rows"],
            row["content_hash"],
            row.get("lag_days") or 0,
            row.get("complete_through"),
        )
        for row in rows
    }
    first = rows[0]
    life = timedelta(days=first.get("life_days") or RELEASE_LIFE.days)
    return Release(first["release_id"], first["released_at"], tables, first["rollback_of"], life)


def _next_release(
    releases: list[Release],
    day: date,
    tables: Mapping[str, TableVersion],
    rollback_of: str | None,
    life: timedelta,
) -> Release:
    number = 1 + max((release.number for release in releases if release.day == day), default=0)
    now = datetime.now(UTC)
    if releases:  # a clock may run back, or stand still between two releases
        now = max(now, releases[0].released_at + timedelta(microseconds=1))
    return Release(f"{day.isoformat()}.{number}", now, dict(tables), rollback_of, life)


def select_release(root: Root, releases: list[Release], release_id: str | None) -> Release:
    """The one of that id among `releases`, newest first; the newest for None."""
    if not releases:
        raise SegueError(
            f"there are no releases under {os.fspath(root)!r}; expected the folder 'releases' there",
            "give the right root, or publish and release a day first",
        )
    if release_id is None:
        return releases[0]
    for release in releases:
        if release.release_id == release_id:
            return release
    raise UsageError.unknown("release", release_id, [release.release_id for release in releases])


def _check_newest(releases: list[Release], expected: str | None, hint: str) -> None:
    newest = releases[0].release_id if releases else None
    if newest != expected:
        raise SegueError(f"release {newest} was made meanwhile; nothing was released", hint)


def _check_readable(root: Root, release: Release) -> None:
    from segue.log import last_erasure_version
    from segue.storage import Snapshot, table_uri

    for name, entry in release.tables.items():
        uri = table_uri(root, name)
        Snapshot.at(uri, entry.version).check_files()
        if (erasure := last_erasure_version(uri)) > entry.version:
            raise SegueError(
                f"release {release.release_id} is from before version {erasure} of {name}, which erased a listener: "
                "going back would bring the listener back for good",
                "publish the days that are wrong again, then release",
            )
