"""What the days of a table were before, as its log has kept it: who publishes writes it, who reads asks for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote

from segue import log
from segue.storage import Snapshot

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# In place of a version: whatever was there before is no longer known.
LOST = -1


class Earlier(NamedTuple):
    """What a day had from `available_at` on, and `version` is the last to have; None where it had no rows."""

    available_at: datetime
    version: int | None


# Of every day that was published more than once, or taken away: what it had before, in order of time.
Record = Mapping[date, Sequence[Earlier]]


def newest_instants(files: Iterable[tuple[date, datetime | None]]) -> dict[date, datetime | None]:
    """When each day was all there: with its last file; None where one was never published."""
    instants: dict[date, datetime | None] = {}
    for day, at in files:
        before = instants.get(day, at)
        instants[day] = None if at is None or before is None else max(at, before)
    return instants


def read_record(uri: str, version: int) -> tuple[Record, int]:
    """What the days of a version were before, and the last version that erased a listener."""
    state = log.read_state(uri, version) or {}
    erased_in = int(state.get("erased_in", 0))
    # commits from before it was written say nothing of it, but are themselves what there is to know
    return (load_record(state["earlier"]) if "earlier" in state else replay(uri, version)), erased_in


def extend_record(
    record: Record,
    before: Mapping[date, datetime | None],
    after: Mapping[date, datetime | None],
    version: int,
    instant: datetime,
) -> Record:
    """The record after a commit on top of `version`; `before` and `after` say when each day was all there."""
    extended = dict(record)
    for day, at in before.items():
        # other files of the same instant are the same rows, joined or without an erased listener
        if at is None or after.get(day) == at:
            continue
        gone = [] if day in after else [Earlier(instant, None)]
        extended[day] = [*record.get(day, ()), Earlier(at, version), *gone]
    return extended


def shorten_record(record: Record, since: datetime) -> Record:
    """The record with all that ended before `since` of a day as one that is lost: it is known that there was one."""
    return {day: _shorten(record[day], since) for day in record}


def _shorten(earlier: Sequence[Earlier], since: datetime) -> list[Earlier]:
    # each ends where the next one begins; where the last one ended, the record does not say
    old = sum(following.available_at < since for following in earlier[1:])
    return [Earlier(earlier[0].available_at, LOST), *earlier[old:]] if old else list(earlier)


def dump_record(record: Record) -> dict[str, Any]:
    # logs keep what was written: the order within the lists stays for good
    return {
        str(day): [[format_instant(each.available_at), each.version] for each in record[day]]
        for day in record
    }


def load_record(saved: Mapping[str, Any]) -> Record:
    return {
        date.fromisoformat(day): [Earlier(parse_instant(at), version) for at, version in saved[day]]
        for day in saved
    }


def replay(uri: str, version: int) -> Record:
    """The same from the log's entries, as far back as there are any."""
    changes = list(_read_changes(uri, version))[::-1]
    # its own entry may be gone too, where only a checkpoint is left of it
    first = min(version - len(changes) + 1, version)
    days: dict[date, dict[str, datetime | None]] = defaultdict(dict)
    record: Record = {}
    if first > 0:
        changes = changes[1:]
        for file in Snapshot.at(uri, first).files:
            days[file.partition["ds"]][file.path] = file.partition.get("available_at")
        for day, at in _instants(days, days).items():
            midnight = datetime.combine(day, time(), UTC) + timedelta(days=1)
            if at is None or at > midnight:
                record = {**record, day: [Earlier(midnight, LOST)]}
    for change in changes:
        touched = {day for day, _ in change.adds.values()} | {
            day for day in days if change.removes & days[day].keys()
        }
        before = _instants(days, touched)
        for path, (day, at) in change.adds.items():
            days[day][path] = at
        for day in touched:
            days[day] = {path: at for path, at in days[day].items() if path not in change.removes}
        after = _instants(days, touched)
        record = extend_record(record, before, after, change.version - 1, change.instant)
    return record


class _Change(NamedTuple):
    version: int
    instant: datetime
    adds: dict[str, tuple[date, datetime | None]]
    removes: set[str]


def _read_changes(uri: str, version: int) -> Iterator[_Change]:
    """Entry by entry, back from `version`."""
    while version >= 0 and (actions := log.read_entry(uri, version)) is not None:
        commit = log.find_commit(actions)
        published_at = log.parse_commit_metadata(commit).get("state", {}).get("published_at")
        yield _Change(
            version,
            parse_instant(published_at)
            if published_at
            else EPOCH + timedelta(milliseconds=commit.get("timestamp", 0)),
            dict(_parse_add(action["add"]) for action in actions if "add" in action),
            {unquote(action["remove"]["path"]) for action in actions if "remove" in action},
        )
        version -= 1


def _parse_add(add: Mapping[str, Any]) -> tuple[str, tuple[date, datetime | None]]:
    partition = add["partitionValues"]
    at = partition.get("available_at")
    return unquote(add["path"]), (date.fromisoformat(partition["ds"]), parse_instant(at) if at else None)


def _instants(
    days: Mapping[date, Mapping[str, datetime | None]], wanted: Iterable[date]
) -> dict[date, datetime | None]:
    return newest_instants((day, at) for day in wanted for at in days.get(day, {}).values())


def format_instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def parse_instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
