"""What must hold of a root after any fault, read without Spark.

Each failure names the table version and the day, batch or file at which a person should look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads

from faults.offers import TABLE, Offer
from jobs.publishing.state import TableState, read_state
from segue.log import parse_commit_metadata
from segue.releases import list_releases
from segue.saved_state import BASE, apply_changes
from segue.storage import Snapshot, find_table, table_uri


def check(root: Path, offers: Iterable[Offer], since: int = 0) -> int:
    """The newest version of the table at `root` (-1: there is none), after every check of it.

    `since` is the first version to read again, for runs so long that reading all of them each time is
    too much; the history is always checked whole.

    Raises:
        AssertionError: an invariant is broken; the text says where.
    """
    uri = table_uri(root, TABLE)
    table = find_table(uri)
    if table is None:
        return -1
    newest = table.version()
    check_gapless(Path(uri), newest)
    states = read_states(Path(uri))
    state = read_state(table)
    assert state == states[newest], f"the newest state read is {state}, the log's is {states[newest]}"
    for version in range(since, newest + 1):
        check_version(uri, states[version], offers)
    check_history(Path(uri))
    check_records(root, [note["batch"] for note in list_publish_notes(Path(uri))])
    check_releases(root)
    return newest


def check_gapless(path: Path, newest: int) -> None:
    versions = [int(log.stem) for log in list_log_entries(path)]
    assert versions == list(range(newest + 1)), f"{path}: newest version {newest}, but the log has {versions}"


def check_version(uri: str, state: TableState, offers: Iterable[Offer]) -> None:
    """Whole batches of known rows, each key once, and what the commit says the version holds."""
    snapshot, where = Snapshot.at(uri, state.version), f"version {state.version}"
    _check_sizes(snapshot)
    rows = snapshot.read(snapshot.files, ["play_id", "track_id", "available_at", "ds"]).to_pylist()
    repeated_keys = [key for key, times in Counter(row["play_id"] for row in rows).items() if times > 1]
    assert not repeated_keys, (
        f"{where}: {len(repeated_keys)} keys are there more than once, such as {repeated_keys[:3]}"
    )
    labels: dict[date, Counter[str]] = {day: Counter() for day in state.days}
    for row in rows:
        labels.setdefault(row["ds"], Counter())[row["track_id"]] += 1
    offers_by_fingerprint = {offer.fingerprint: offer for offer in offers}
    for day, counts in labels.items():
        _check_day(f"{where}, {day}: rows of {dict(counts)}", day, counts, state, offers_by_fingerprint)
    _check_instants(where, rows, state)


def check_history(path: Path) -> None:
    """Each batch once, each instant later than the one before."""
    notes = list(list_publish_notes(path))
    repeated_batches = [batch for batch, n in Counter(note["batch"] for note in notes).items() if n > 1]
    assert not repeated_batches, f"batches {repeated_batches} are in the history more than once"
    instants = [note["state"]["published_at"] for note in notes]
    assert instants == sorted(set(instants)), f"instants of publication run back: {instants}"


def check_records(root: Path, batches: Iterable[str]) -> None:
    table = find_table(f"{root}/quality/results")
    rows = [] if table is None else pads.dataset(table.file_uris()).to_table().to_pylist()
    passed_batches = {row["batch_id"] for row in rows if row["outcome"] == "passed"}
    missing = [batch for batch in batches if batch not in passed_batches]
    assert not missing, f"batches {missing} were published, but no record says that they passed the audit"


def check_releases(root: Path) -> None:
    """Every version that a release names opens, has its files, and holds what the release says."""
    for release in list_releases(root):
        for name, entry in release.tables.items():
            snapshot = Snapshot.at(table_uri(root, name), entry.version)
            snapshot.check_files()
            rows = snapshot.read(snapshot.files, ["ds"]).num_rows
            actual = (rows, read_states(Path(snapshot.uri))[entry.version].content_hash)
            expected = (entry.rows, entry.content_hash)
            assert expected == actual, (
                f"release {release.release_id} says {name} holds {expected}, it holds {actual}"
            )


def list_log_entries(path: Path) -> list[Path]:
    return sorted((path / "_delta_log").glob("*.json"))


def list_publish_notes(path: Path) -> Iterator[dict[str, Any]]:
    """The note of every commit that published a batch, oldest first; `version` is which it made."""
    for log in list_log_entries(path):
        note = _read_note(log)
        if note.get("kind") == "publish":
            yield {**note, "version": int(log.stem)}


def read_states(path: Path) -> list[TableState]:
    """Of every version, from the files of the log: deltalake's history of an old version is the newest's."""
    states: list[TableState] = []
    for version, log in enumerate(list_log_entries(path)):
        stored_state = _read_note(log).get("state")
        if stored_state and BASE in stored_state:
            base = path / "_delta_log" / f"{stored_state[BASE]:020}.json"
            stored_state = apply_changes(_read_note(base)["state"], stored_state)
        before = states[-1] if states else TableState(0)
        states.append(
            TableState.loads(version, stored_state) if stored_state else replace(before, version=version)
        )
    return states


def _read_note(log: Path) -> dict[str, Any]:
    infos = [json.loads(line).get("commitInfo") for line in log.read_text().splitlines()]
    return next((parse_commit_metadata(info) for info in infos if info), {})


def _check_sizes(snapshot: Snapshot) -> None:
    for file in snapshot.files:
        path = Path(snapshot.uri, file.path)
        size = path.stat().st_size if path.exists() else None
        assert size == file.bytes, (
            f"version {snapshot.version}: {path} has {size} bytes, the log says {file.bytes}"
        )


def _check_day(
    where: str, day: date, counts: Counter[str], state: TableState, offers_by_fingerprint: Mapping[str, Offer]
) -> None:
    part = state.day_states.get(day)
    assert part, f"{where}, but the commit says nothing of this day"
    assert part.rows == counts.total(), f"{where}, the commit says {part.rows}"
    offer = offers_by_fingerprint.get(part.fingerprint)
    assert offer, f"{where}, made from {part.fingerprint}, which nobody offered"
    expected = Counter({offer.label: offer.rows_by_day[day]})
    assert +counts == +expected, f"{where}, the batch that the commit names has {dict(expected)}"


def _check_instants(where: str, rows: list[dict[str, Any]], state: TableState) -> None:
    newest = max((row["available_at"] for row in rows), default=None)
    if newest:
        commit_instant = datetime.fromisoformat(state.published_at).replace(tzinfo=UTC)
        assert newest <= commit_instant, (
            f"{where}: rows available at {newest}, after the commit's {commit_instant}"
        )


def has_staged_files(batch: Path) -> bool:
    """Whether the log of a staged batch names any file, which ends its write."""
    return any(
        "add" in json.loads(line) for log in list_log_entries(batch) for line in log.read_text().splitlines()
    )
