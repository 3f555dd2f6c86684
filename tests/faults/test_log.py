"""The newest log entry is torn: nobody builds on it, and readers of a release do not notice."""

from __future__ import annotations

from datetime import date

import pytest

from faults.invariants import check, logs
from faults.offers import OFFERS, TABLE
from jobs.errors import JobError
from segue.errors import SegueError
from segue.releases import TableVersion, append_release, list_releases
from segue.storage import Snapshot, table_uri


def release(root, state):
    entry = TableVersion(state.version, state.rows, state.content_hash)
    return append_release(root, date(2026, 10, 3), {TABLE: entry})


def released_rows(root):
    version = list_releases(root)[0].tables[TABLE].version
    snapshot = Snapshot.at(table_uri(root, TABLE), version)
    return snapshot.read(snapshot.files, ["play_id", "track_id"]).sort_by("play_id").to_pylist()


def torn(text: bytes, where: str) -> bytes:
    lines = text.splitlines(keepends=True)
    return {
        "to nothing": b"",
        "in the first line": lines[0][:-20],
        "after the first line": lines[0],
        "before the removals": b"".join(line for line in lines if b'"remove"' not in line),
        "in the last line": text[:-5],
    }[where]


@pytest.mark.parametrize(
    "where",
    ["to nothing", "in the first line", "after the first line", "before the removals", "in the last line"],
)
def test_nothing_is_published_on_a_torn_log_entry(root, job, where):
    for offer in OFFERS[:2]:
        job().offer(offer)
    release(root, job().warehouse.state(TABLE))
    released = released_rows(root)
    assert job().offer(OFFERS[2]).kind == "published"
    newest = logs(root / "tables" / TABLE)[-1]
    whole = newest.read_bytes()
    newest.write_bytes(torn(whole, where))
    assert newest.stat().st_size < len(whole)

    with pytest.raises((JobError, SegueError), match=r"cut short|cannot be read") as refusal:
        job().offer(OFFERS[3])
    assert "\n" not in str(refusal.value)
    assert logs(root / "tables" / TABLE)[-1] == newest, "something was published on top"
    assert released_rows(root) == released

    newest.rename(root / "torn")
    assert [job().offer(offer).kind for offer in (OFFERS[2], OFFERS[3], OFFERS[3])] == [
        "published",
        "published",
        "unchanged",
    ]
    assert released_rows(root) == released
    check(root, OFFERS)


@pytest.mark.parametrize("kept", [0, 100])
def test_torn_records_are_said_in_words(root, job, kept):
    """The table of quality results; an attempt that cannot be recorded is not published."""
    job().offer(OFFERS[0])
    newest = logs(root / "quality" / "results")[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[:kept])
    before = job().warehouse.state(TABLE).version
    if kept:
        with pytest.raises((JobError, SegueError)):
            job().offer(OFFERS[1])
        assert job().warehouse.state(TABLE).version == before
    newest.write_bytes(whole)
    assert job().offer(OFFERS[1]).kind == ("published")
    check(root, OFFERS)
