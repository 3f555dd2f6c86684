"""The invariants hold of an undisturbed root, and each break of one is seen."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from faults.invariants import check, check_gapless
from faults.offers import OFFERS, TABLE
from jobs.publishing.commits import Change, list_staged_files, next_commit_time, swap, to_add_actions
from jobs.publishing.state import read_state
from segue.releases import TableVersion, append_release


@pytest.fixture
def published(job):
    for offer in OFFERS:
        assert job().offer(offer).kind == "published"
    return job()


def log(root: Path) -> list[Path]:
    return sorted((root / "tables" / TABLE / "_delta_log").glob("*.json"))


def test_they_hold_of_an_undisturbed_root(root, published):
    state = published.warehouse.state(TABLE)
    append_release(
        root, date(2026, 10, 3), {TABLE: TableVersion(state.version, state.rows, state.content_hash)}
    )
    assert check(root, OFFERS) == state.version >= len(OFFERS)


def test_they_hold_of_a_root_where_nothing_is(root):
    assert check(root, OFFERS) == -1


def name_again(job, offer, batch):
    """Adds the files of a batch without removing the day that they replace."""
    files = list_staged_files(job.warehouse, job.stage(offer.batch(job), offer.label).path)
    table = job.warehouse.table(TABLE)
    state = read_state(table)
    swap(
        table, Change(batch, "publish", state, to_add_actions(files, next_commit_time(state), rewrites=False))
    )


def test_two_batches_of_one_day_are_seen(root, published):
    name_again(published, OFFERS[1], "stray-1")
    with pytest.raises(AssertionError, match="keys are there more than once"):
        check(root, OFFERS)


def test_a_batch_that_nobody_offered_is_seen(root, published):
    with pytest.raises(AssertionError, match="which nobody offered"):
        check(root, OFFERS[1:])


def test_half_a_batch_is_seen(root, published):
    """A commit that names fewer files than it says."""
    first = next(path for path in log(root) if '"publish' in path.read_text())
    lines = first.read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if "add" in json.loads(line))
    first.write_text("\n".join(lines[:at] + lines[at + 1 :]))
    with pytest.raises(AssertionError, match="the commit says"):
        check(root, OFFERS)


def test_a_batch_published_twice_is_seen(root, published):
    newest = log(root)[-1]
    shutil.copy(newest, newest.with_name(f"{int(newest.stem) + 1:020}.json"))
    with pytest.raises(AssertionError, match="more than once"):
        check(root, OFFERS)


def test_a_batch_without_a_record_is_seen(root, published):
    shutil.rmtree(root / "quality")
    with pytest.raises(AssertionError, match="no record"):
        check(root, OFFERS)


def test_a_file_cut_short_is_seen(root, published):
    path = next((root / "tables" / TABLE).glob("batch-*/**/*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssertionError, match=f"{path.name} has .* the log says"):
        check(root, OFFERS)


def test_a_release_of_other_rows_is_seen(root, published):
    append_release(
        root, date(2026, 10, 3), {TABLE: TableVersion(published.warehouse.state(TABLE).version, 1, "")}
    )
    with pytest.raises(AssertionError, match=r"release 2026-10-03\.1 says"):
        check(root, OFFERS)


def test_a_gap_in_the_log_is_seen(root, published):
    log(root)[1].unlink()
    with pytest.raises(AssertionError, match="the log has"):
        check_gapless(root / "tables" / TABLE, len(log(root)))
