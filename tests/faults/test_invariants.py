"""The invariants hold of an undisturbed root, and each break of one is seen."""

from __future__ import annotations

import json
import shutil
from datetime import date

import pytest

from faults.invariants import check, check_gapless, list_log_entries
from faults.offers import OFFERS, TABLE, release_table
from jobs.publishing.commits import Change, list_staged_files, next_commit_time, swap, to_add_actions
from jobs.publishing.state import read_state
from segue.releases import TableVersion, append_release


@pytest.fixture
def publisher(job):
    for offer in OFFERS:
        assert job().offer(offer).kind == "published"
    return job()


def test_check_passes_an_undisturbed_root(root, publisher):
    state = publisher.warehouse.state(TABLE)
    release_table(root, state)
    assert check(root, OFFERS) == state.version >= len(OFFERS)


def test_check_passes_an_empty_root(root):
    assert check(root, OFFERS) == -1


def add_files_again(job, offer, batch):
    """Adds the files of a batch without removing the day that they replace."""
    files = list_staged_files(job.warehouse, job.stage(offer.batch(job), offer.label).path)
    table = job.warehouse.table(TABLE)
    state = read_state(table)
    swap(
        table, Change(batch, "publish", state, to_add_actions(files, next_commit_time(state), rewrites=False))
    )


def test_check_finds_two_batches_of_one_day(root, publisher):
    add_files_again(publisher, OFFERS[1], "stray-1")
    with pytest.raises(AssertionError, match="keys are there more than once"):
        check(root, OFFERS)


def test_check_finds_a_batch_that_nobody_offered(root, publisher):
    with pytest.raises(AssertionError, match="which nobody offered"):
        check(root, OFFERS[1:])


def test_check_finds_half_a_batch(root, publisher):
    """A commit that names fewer files than it says."""
    first = next(path for path in list_log_entries(root / "tables" / TABLE) if '"publish' in path.read_text())
    lines = first.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if "add" in json.loads(line))
    first.write_text("\n".join(lines[:place] + lines[place + 1 :]))
    with pytest.raises(AssertionError, match="the commit says"):
        check(root, OFFERS)


def test_check_finds_a_batch_published_twice(root, publisher):
    newest = list_log_entries(root / "tables" / TABLE)[-1]
    shutil.copy(newest, newest.with_name(f"{int(newest.stem) + 1:020}.json"))
    with pytest.raises(AssertionError, match="more than once"):
        check(root, OFFERS)


def test_check_finds_a_batch_without_a_record(root, publisher):
    shutil.rmtree(root / "quality")
    with pytest.raises(AssertionError, match="no record"):
        check(root, OFFERS)


def test_check_finds_a_file_cut_short(root, publisher):
    path = next((root / "tables" / TABLE).glob("batch-*/**/*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssertionError, match=f"{path.name} has .* the log says"):
        check(root, OFFERS)


def test_check_finds_a_release_of_other_rows(root, publisher):
    append_release(
        root, date(2026, 10, 3), {TABLE: TableVersion(publisher.warehouse.state(TABLE).version, 1, "")}
    )
    with pytest.raises(AssertionError, match=r"release 2026-10-03\.1 says"):
        check(root, OFFERS)


def test_check_gapless_finds_a_gap_in_the_log(root, publisher):
    list_log_entries(root / "tables" / TABLE)[1].unlink()
    with pytest.raises(AssertionError, match="the log has"):
        check_gapless(root / "tables" / TABLE, len(list_log_entries(root / "tables" / TABLE)))
