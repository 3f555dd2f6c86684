"""Retractions that are killed, and what runs after them, without Spark; `test_late_plays` has what is taken out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from simulation.laid import remove_spark
from simulation.month import DAY, FIRST, Forget, Ingest, Play, Restate, Retract
from simulation.root import Killed, SimulatedRoot, kill_at_commit

from jobs import retract
from jobs.errors import JobError
from jobs.publishing.warehouse import LEASE
from reference.published import pass_every_batch
from reference.staged import LaidJob
from reference.worlds import session_play

NOON = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path, monkeypatch):
    pass_every_batch(monkeypatch)
    remove_spark(monkeypatch)
    root = SimulatedRoot(tmp_path, monkeypatch, allowed_days=2)
    root.apply(Ingest("first", (Play("p1", "u1", "t1", NOON, 1_000),)))
    root.build()
    return root


def test_retract_killed_once_no_play_is_left_can_be_run_again_and_ends_its_work(root):
    arguments = ["--root", root.root, "--play", "p1", "--ignore-missing"]
    with pytest.raises(Killed), kill_at_commit(lambda table: table == "plays", after=True):
        retract.main(arguments)
    assert root.days("plays") == [] and root.days("sessions") == [FIRST]
    assert retract.main(arguments) == 0
    assert root.days("sessions") == root.days("user_features") == []


def test_a_dry_run_of_retract_takes_no_lease(root):
    for path in Path(root.root).rglob(LEASE):
        path.unlink()
    assert retract.main(["--root", root.root, "--play", "p1", "--dry-run"]) == 0
    assert not list(Path(root.root).rglob(LEASE)), "it would wait for whoever works on plays, and write"
    assert root.days("plays") == [FIRST], "a dry run took a play out"


def test_what_a_killed_retraction_left_of_a_day_is_gone_with_the_next_flow(root):
    """Its plays go with the first commit; a later day is ingested before anybody runs the retraction again."""
    plays = {user: Play(f"p-{user}", user, "t1", NOON + DAY, 1_000) for user in ("u1", "u2")}
    root.apply(Ingest("more", tuple(plays.values())))
    root.build()
    last = Retract(Ingest("last", tuple(plays.values())))
    with pytest.raises(Killed), kill_at_commit(lambda table: table == "plays", after=True):
        root.run(last)
    root.ledger.apply(last)
    root.apply(Ingest("next", (Play("p3", "u1", "t1", NOON + 2 * DAY, 1_000),)))
    root.build()
    assert root.days("sessions") == root.days("user_features") == [FIRST, FIRST + 2 * DAY]
    root.check()
    root.check_up_to_date()
    record = root.warehouse.state("user_features").earlier[FIRST + DAY]
    assert [each.version is None for each in record] == [False, True], "labels of before get what there was"


@pytest.mark.parametrize("others", [(), (Play("p2", "u3", "t1", NOON + DAY, 1_000),)], ids=["nobody", "u3"])
def test_plays_retracted_before_all_others_of_their_days_are_erased_are_counted_no_more(root, others):
    wrong = Play("p3", "u2", "t1", NOON, 1_000)
    of_u2 = (wrong, Play("p4", "u2", "t1", NOON + DAY, 1_000))
    root.apply(Ingest("more", (*of_u2, *others)))
    root.build()
    root.apply(Retract(Ingest("wrong", (wrong,))))
    root.build_sessions()
    # of the day whose partials are to be made anew, nobody is left
    root.apply(Forget("u1"))
    root.build()
    root.check()
    root.check_up_to_date()


def test_a_day_that_only_the_erased_had_plays_of_is_gone_from_all_tables_once_plays_end_before_it(root):
    newest = Play("p2", "u2", "t1", NOON + 2 * DAY, 1_000)
    root.apply(Ingest("more", (Play("p3", "u3", "t1", NOON + DAY, 1_000), newest)))
    root.build()
    root.apply(Forget("u2"))
    root.apply(Retract(Ingest("p3", (Play("p3", "u3", "t1", NOON + DAY, 1_000),))))
    assert root.days("plays") == root.days("sessions") == [FIRST], "a step would make later days again"
    root.build()
    root.check()
    root.check_up_to_date()


@pytest.mark.parametrize("restates", [(), (Restate(),)], ids=["waiting", "restated"])
def test_late_plays_that_were_retracted_wait_again_once_their_file_is_read_again(root, restates):
    """Beside one that waits, or was restated before: then files and table are what they were the first time."""
    other, late = (
        Ingest(f"late-{user}", (Play(f"p-{user}", user, "t1", NOON - 9 * DAY, 1_000),))
        for user in ("u2", "u3")
    )
    for action in (other, *restates, late, *restates, Retract(late)):
        root.apply(action)
    root.ingest([late], "--force")
    root.ledger.apply(late)
    assert "p-u3" in {row["play_id"] for row in root.read("late_plays")}, (
        "the ingest took the late play for published"
    )
    root.check_plays()
    versions = root.versions()
    root.ingest([late], "--force")
    assert root.versions() == versions, "a play that waits was set aside again"


def test_retract_refuses_a_root_with_tables_that_nothing_declares(root, monkeypatch):
    """A group outside of its project: what it holds of a day that goes would be served on."""
    before = root.versions()
    write_deltalake(root.warehouse.table_path("mine_features"), pa.table({"user_id": ["u"]}))
    with pytest.raises(
        JobError, match=r"nothing here declares mine_features under .*run this in the project"
    ):
        retract.main(["--root", root.root, "--play", "p1"])
    assert root.versions().items() >= before.items(), "something was taken out"


def test_the_receipt_of_a_retraction_repeats_no_id_and_no_path(root):
    file = root.write(Ingest("export-of-u1", (Play("p1", "u1", "t1", NOON, 1_000),)))
    (root.folder / "ids").write_text("p1")
    given = ["--play", "p1", "--plays", str(root.folder / "ids"), "--input", str(file), "--of-source", "test"]
    assert retract.main(["--root", root.root, *given]) == 0
    (receipt,) = Path(root.root, "quality", "receipts").iterdir()
    options = json.loads(receipt.read_text())["options"]
    assert options == {"table": "plays", "of_source": "test", "root": root.root}


def test_retract_leaves_days_that_are_made_of_other_tables_too(root):
    """As attributions are: of days of plays that impressions end before."""
    root.apply(Ingest("more", (Play("p2", "u1", "t1", NOON + DAY, 1_000),)))
    root.build()
    later, job = FIRST + 2 * DAY, LaidJob("test", root.root, say=lambda text: None)
    row = session_play(play_id="p3", played_at=NOON + 2 * DAY, session_started_at=NOON + 2 * DAY)
    job.publish(job.batch("sessions", [later], upstream={later: "x"}), [row])
    assert retract.main(["--root", root.root, "--play", "nobody", "--ignore-missing"]) == 0
    assert count_rows(job, "sessions") == {FIRST: 1, FIRST + DAY: 1, later: 1}, "nothing was taken out"
    assert retract.main(["--root", root.root, "--play", "p2"]) == 0
    assert count_rows(job, "sessions") == {FIRST: 1, FIRST + DAY: 0, later: 1}, "plays never reached the last"


def count_rows(job, table):
    return {day: each.rows for day, each in job.warehouse.state(table).day_states.items()}
