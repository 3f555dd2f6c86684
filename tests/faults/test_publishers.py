"""Several publishers at once: nothing that was reported is lost, and a lease keeps one of two idle."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from faults.invariants import check, published
from faults.offers import OFFERS, TABLE
from faults.runs import Run, script

# Which offers each of some publishers has: four of them for one day, or two for a day of their own.
SAME_DAY = ((1, 4), (4, 1), (1, 4), (4, 1))
OTHER_DAYS = ((1, 4), (3, 5))


def together(root, templates, offers, rounds):
    """Publishers that stage all their batches, wait for each other, and commit without the lease."""
    begin = root.parent / "begin"
    with ExitStack() as running:
        runs = [
            running.enter_context(Run(*script("committer.py", root, templates, rounds, begin, *own)))
            for own in offers
        ]
        for run in runs:
            run.until("staged")
        begin.touch()
        for run in runs:
            assert run.ended() == 0, run.text
    return [line.split() for run in runs for line in run.lines]


@pytest.mark.parametrize("offers", [SAME_DAY, OTHER_DAYS], ids=["same day", "other days"])
def test_no_commit_of_publishers_without_a_lease_is_lost(root, job, templates, offers):
    job().offer(OFFERS[0])
    before = job().warehouse.state(TABLE).version
    said = together(root, templates, offers, rounds=6)
    lost = [words for words in said if words[0] == "lost"]
    assert lost, "nobody lost a compare-and-swap: the test shows nothing"
    reported = {words[1] for words in said if words[0] == "published"}
    newest = check(root, OFFERS)
    notes = list(published(root / "tables" / TABLE))[1:]
    assert {note["batch"] for note in notes} == reported, "what was reported is not what the history has"
    assert [note["version"] for note in notes] == list(range(before + 1, newest + 1))
    assert len(reported) > len(offers), "hardly anything was published"


def test_tables_are_made_once_by_publishers_that_start_together(root, templates):
    said = together(root, templates, ((0, 1), (0, 1), (1, 0)), rounds=2)
    assert any(words[0] == "published" for words in said)
    check(root, OFFERS)


def test_of_two_publishers_of_one_batch_one_waits_and_has_nothing_to_do(root, templates):
    options = ("--root", root, "--templates", templates, "--stage-s", 3)
    with Run(*script("driver.py", *options)) as one, Run(*script("driver.py", *options)) as other:
        assert [one.ended(), other.ended()] == [0, 0], one.text + other.text
    waited = [run for run in (one, other) if "waiting for" in run.text]
    assert len(waited) == 1, f"who waited: {len(waited)} of 2\n{one.text}\n{other.text}"
    assert waited[0].outcomes() == [("unchanged", 0)] * 2
    assert sorted(one.outcomes() + other.outcomes()) == [("published", 0)] + [("unchanged", 0)] * 3
    check(root, OFFERS)
    assert len(list(published(root / "tables" / TABLE))) == 1


def test_a_lease_ends_with_its_holder(root, job, templates):
    """A killed publisher keeps nobody waiting."""
    options = ("--root", root, "--templates", templates, "--stage-s", 600)
    with Run(*script("driver.py", *options)) as holder:
        holder.until("ready")
        while not list(root.glob(f"tables/{TABLE}/batch-*")):
            time.sleep(0.01)
        holder.kill()
        assert holder.ended() == -9
    began = time.monotonic()
    assert job().offer(OFFERS[0]).kind == "published"
    assert time.monotonic() - began < 60
    check(root, OFFERS)
