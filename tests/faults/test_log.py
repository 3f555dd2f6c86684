"""The newest log entry is torn: nobody builds on it, and readers of a release do not notice."""

from __future__ import annotations

import pytest

from faults.invariants import check, list_log_entries
from faults.offers import OFFERS, TABLE, release_table
from jobs.errors import JobError
from segue.errors import SegueError
from segue.releases import list_releases
from segue.storage import Snapshot, table_uri


def read_released_rows(root):
    version = list_releases(root)[0].tables[TABLE].version
    snapshot = Snapshot.at(table_uri(root, TABLE), version)
    return snapshot.read(snapshot.files, ["play_id", "track_id"]).sort_by("play_id").to_pylist()


def tear(text: bytes, where: str) -> bytes:
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
def test_publish_refuses_a_torn_log_entry(root, job, where):
    for offer in OFFERS[:2]:
        job().offer(offer)
    release_table(root, job().warehouse.state(TABLE))
    rows = read_released_rows(root)
    assert job().offer(OFFERS[2]).kind == "published"
    newest = list_log_entries(root / "tables" / TABLE)[-1]
    content = newest.read_bytes()
    newest.write_bytes(tear(content, where))
    assert newest.stat().st_size < len(content)

    with pytest.raises((JobError, SegueError), match=r"cut short|cannot be read") as refusal:
        job().offer(OFFERS[3])
    assert "\n" not in str(refusal.value)
    assert list_log_entries(root / "tables" / TABLE)[-1] == newest, "something was published on top"
    assert read_released_rows(root) == rows

    newest.rename(root / "torn")
    assert [job().offer(offer).kind for offer in (OFFERS[2], OFFERS[3], OFFERS[3])] == [
        "published",
        "published",
        "unchanged",
    ]
    assert read_released_rows(root) == rows
    check(root, OFFERS)


@pytest.mark.parametrize("size", [0, 100])
def test_publish_refuses_a_torn_log_of_quality_results(root, job, size):
    """The table of quality results; an attempt that cannot be recorded is not published."""
    job().offer(OFFERS[0])
    newest = list_log_entries(root / "quality" / "results")[-1]
    content = newest.read_bytes()
    newest.write_bytes(content[:size])
    version = job().warehouse.state(TABLE).version
    if size:
        with pytest.raises((JobError, SegueError)):
            job().offer(OFFERS[1])
        assert job().warehouse.state(TABLE).version == version
    newest.write_bytes(content)
    assert job().offer(OFFERS[1]).kind == ("published")
    check(root, OFFERS)
