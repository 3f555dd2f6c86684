"""Several publishers at once: nothing that was reported is lost, and a lease keeps one of two idle."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack

import pytest

from faults.invariants import check, list_publish_notes
from faults.offers import OFFERS, TABLE
from faults.runs import Run, make_command

# Which offers each of some publishers has: four of them for one day, or two for a day of their own.
SAME_DAY = ((1, 4), (4, 1), (1, 4), (4, 1))
OTHER_DAYS = ((1, 4), (3, 5))


def run_together(root, templates, offers, rounds):
    """Publishers that stage all their batches, wait for each other, and commit without the lease."""
    begin = root.parent / "begin"
    with ExitStack() as stack:
        runs = [
            stack.enter_context(Run(*make_command("committer.py", root, templates, rounds, begin, *own)))
            for own in offers
        ]
        for run in runs:
            run.read_until("staged")
        begin.touch()
        for run in runs:
            assert run.wait() == 0, run.text
    return [line.split() for run in runs for line in run.lines]


@pytest.mark.parametrize("offers", [SAME_DAY, OTHER_DAYS], ids=["same day", "other days"])
def test_commit_by_publishers_without_a_lease_loses_no_batch(root, job, templates, offers):
    job().offer(OFFERS[0])
    before = job().warehouse.state(TABLE).version
    reports = run_together(root, templates, offers, rounds=6)
    losses = [words for words in reports if words[0] == "lost"]
    assert losses, "nobody lost a compare-and-swap: the test shows nothing"
    reported_batches = {words[1] for words in reports if words[0] == "published"}
    newest = check(root, OFFERS)
    notes = list(list_publish_notes(root / "tables" / TABLE))[1:]
    assert {note["batch"] for note in notes} == reported_batches, (
        "what was reported is not what the history has"
    )
    assert [note["version"] for note in notes] == list(range(before + 1, newest + 1))
    assert len(reported_batches) > len(offers), "hardly anything was published"


def test_commit_by_publishers_that_start_together_creates_the_table_once(root, templates):
    reports = run_together(root, templates, ((0, 1), (0, 1), (1, 0)), rounds=2)
    assert any(words[0] == "published" for words in reports)
    check(root, OFFERS)


def test_lease_lets_the_second_publisher_of_a_batch_wait_and_find_it_unchanged(root, templates):
    options = ("--root", root, "--templates", templates, "--stage-s", 3)
    with Run(*make_command("driver.py", *options)) as one, Run(*make_command("driver.py", *options)) as other:
        assert [one.wait(), other.wait()] == [0, 0], one.text + other.text
    # the first time that each publishes: the second time, the two may hold the lease for a moment in any order
    first_times = {
        run: re.split(r"^(?:published|unchanged) ", run.text, maxsplit=1, flags=re.MULTILINE)[0]
        for run in (one, other)
    }
    waiting_runs = [run for run, text in first_times.items() if "waiting for" in text]
    assert len(waiting_runs) == 1, f"who waited: {len(waiting_runs)} of 2\n{one.text}\n{other.text}"
    assert waiting_runs[0].outcomes() == [("unchanged", 0)] * 2
    assert sorted(one.outcomes() + other.outcomes()) == [("published", 0)] + [("unchanged", 0)] * 3
    check(root, OFFERS)
    assert len(list(list_publish_notes(root / "tables" / TABLE))) == 1


def test_lease_ends_with_its_killed_holder(root, job, templates):
    """A killed publisher keeps nobody waiting."""
    options = ("--root", root, "--templates", templates, "--stage-s", 600)
    with Run(*make_command("driver.py", *options)) as holder:
        holder.read_until("ready")
        while not list(root.glob(f"tables/{TABLE}/batch-*")):
            time.sleep(0.01)
        holder.kill()
        assert holder.wait() == -9
    start = time.monotonic()
    assert job().offer(OFFERS[0]).kind == "published"
    assert time.monotonic() - start < 60
    check(root, OFFERS)
