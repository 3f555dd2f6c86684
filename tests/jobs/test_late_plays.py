"""Late plays wait beside plays, and are taken in when somebody says so; plays are taken out again."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from jobs import build_sessions, ingest_plays, restate, retract
from jobs.errors import JobError, WrongUsage
from jobs.publishing.warehouse import LEASE, Warehouse
from reference import nights
from reference.delta_files import read_newest_rows
from reference.published import pass_every_batch
from reference.rows import assert_same
from reference.sessions import replace_ids_by_first_play
from reference.sessions import sessions as expected_sessions
from reference.staged import LaidJob
from reference.worlds import play

NEWEST = date(2026, 10, 20)


def to_noon(day):
    return datetime.combine(day, time(12), UTC)


class Lake:
    """A root with one play of the newest day, and what is done to it."""

    def __init__(self, folder):
        self.folder, self.root, self.files = folder, str(folder / "root"), 0
        self.source = str(folder / "source.toml")
        (folder / "source.toml").write_text(nights.SOURCE)
        self.warehouse = Warehouse(self.root)
        self.lay({"p0": NEWEST})

    def lay(self, days, **columns):
        """Ids with their days, as an ingest published them."""
        rows = [play(play_id=id_, played_at=to_noon(day), **columns) for id_, day in days.items()]
        job = LaidJob("test", self.root, say=lambda text: None)
        job.publish(job.batch("plays", appends=True, parameters={"days": days}), rows)

    def ingest(self, days, *arguments):
        self.files += 1
        path = self.folder / f"{self.files}.csv"
        path.write_text("".join(f"{id_},u1,{day}T12:00:00Z,1\n" for id_, day in days.items()))
        arguments = ["--source", self.source, "--input", str(path), *arguments]
        assert ingest_plays.main(["--root", self.root, *arguments]) == 0

    def restate(self, *arguments):
        return restate.main(["--root", self.root, *arguments])

    def retract(self, *arguments):
        return retract.main(["--root", self.root, *arguments])

    def check_sessions(self):
        """Built anew, sessions are those of the plays that are there, in plain Python."""
        assert build_sessions.main(["--root", self.root]) == 0
        plays, actual = (read_newest_rows(self.root, table) for table in ("plays", "sessions"))
        expected, actual = map(replace_ids_by_first_play, (expected_sessions(plays), actual))
        assert_same(expected, actual, ("play_id",), plays, "user_id")

    def days(self, table):
        """The day of each play, by id."""
        rows, state = read_newest_rows(self.root, table), self.warehouse.state(table)
        days = {row["play_id"]: row["played_at"].date() for row in rows}
        assert len(days) == len(rows) == (state.rows if state else 0)
        return days


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def test_late_plays_wait_and_are_taken_in_as_plain_python_has_it(spark, lake, monkeypatch, capsys):
    """With a clock that is wrong by years, deliveries sent again, and an id that comes back under another day."""
    pass_every_batch(monkeypatch)
    ago = [NEWEST - timedelta(days=n) for n in range(12)]
    broken = {f"b{n}": date(2000, 1, 1) + timedelta(days=31 * n) for n in range(20)}
    first = {"new": NEWEST + timedelta(days=1), "in": ago[7], "out": ago[8], "old": ago[11]} | broken
    again = {"out": ago[9], "old": ago[2], "p0": ago[10], "new": ago[11], "b0": ago[11], "out2": ago[11]}
    published, late = {"p0": NEWEST}, {}
    for delivery in (first, again):
        lake.ingest(delivery)
        nights.deliver(published, late, delivery, 7)
        assert (lake.days("plays"), lake.days("late_plays")) == (published, late)
    printed = capsys.readouterr().out
    assert "24 rows read = 2 new plays + 0 duplicates + 22 late + 0 rejected" in printed
    assert "22 late: of days before 2026-10-13, the oldest of 2000-01-01" in printed
    assert len(lake.warehouse.state("late_plays").days) == 1, "a clock made a partition of each of its days"
    assert len(lake.warehouse.state("plays").days) == 4, "one for each of p0, new, in and old"
    version = lake.warehouse.state("plays").version
    assert lake.restate("--from", str(ago[11]), "--dry-run") == 0
    assert (lake.days("plays"), lake.days("late_plays")) == (published, late), "a dry run changed something"
    assert lake.restate("--from", str(ago[11])) == 0
    nights.restate(published, late, ago[11], NEWEST + timedelta(days=1))
    assert (lake.days("plays"), lake.days("late_plays")) == (published, late)
    assert lake.warehouse.state("plays").version == version + 1, "one pass is one commit"
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [str(ago[11]), "1", "1"] in [[row[0], row[2], row[3]] for row in rows if len(row) == 5]
    assert lake.restate("--from", str(ago[11])) == 0
    assert "no late plays of 2026-10-09 to 2026-10-21 wait" in capsys.readouterr().out


def test_a_late_play_with_the_id_of_another_source_is_refused_and_not_lost(spark, lake, monkeypatch):
    """Beside one that waits; and, as both would be one play, beside one that is published by then."""
    pass_every_batch(monkeypatch)
    ago = [NEWEST - timedelta(days=n) for n in range(12)]
    lake.ingest({"x": ago[11]})
    Path(lake.source).write_text(nights.SOURCE.replace('name = "', 'name = "radio-'))
    with pytest.raises(JobError, match=r"^1 rows of source radio-test .* of source test has, such as x;"):
        lake.ingest({"x": ago[10]})
    lake.ingest({"x": ago[11]})
    lake.lay({"x": ago[9]}, source="other")
    with pytest.raises(JobError, match=r"^1 rows of source test .* of source other has, such as x;"):
        lake.restate("--from", str(ago[11]))
    assert lake.days("late_plays") == {"x": ago[11]}, "it is in no table any more"


def test_a_longer_lateness_takes_older_days(spark, lake, monkeypatch):
    pass_every_batch(monkeypatch)
    old = {"old": date(2020, 1, 1)}
    lake.ingest(old, "--allowed-lateness", "4000")
    assert lake.days("plays") == {"p0": NEWEST} | old and lake.days("late_plays") == {}


def test_restate_without_late_plays_or_with_days_in_no_order_says_so(lake, capsys):
    assert lake.restate("--from", "2026-01-01") == 0
    assert "no late plays wait" in capsys.readouterr().out
    with pytest.raises(WrongUsage, match="give --from and --until in order"):
        lake.restate("--from", "2026-10-02", "--until", "2026-10-01")


def test_a_dry_run_of_restate_takes_no_lease(lake):
    for path in Path(lake.root).rglob(LEASE):
        path.unlink()
    assert lake.restate("--from", "2026-01-01", "--dry-run") == 0
    assert not list(Path(lake.root).rglob(LEASE)), "it would wait for whoever works on plays, and write"


def test_restate_of_a_root_that_is_misspelt_makes_nothing_there(tmp_path):
    with pytest.raises(JobError, match="table plays has no data yet"):
        restate.main(["--root", str(tmp_path / "nowhere"), "--from", "2026-01-01"])
    assert list(tmp_path.iterdir()) == [], "the root that was misspelt was made"


def test_retract_takes_out_what_is_named_and_the_next_build_follows(spark, lake, monkeypatch, capsys):
    """By id, file, source and day; a day that loses all of its plays, within and at either end."""
    pass_every_batch(monkeypatch)
    ago = [NEWEST - timedelta(days=n) for n in range(6)]
    lake.lay({"clock": date(2000, 1, 1), "s1": ago[2], "s2": ago[3]}, source="other")
    lake.ingest({"f1": ago[0], "f2": ago[1], "late": date(2001, 1, 1)})
    lake.lay({"i1": ago[1], "i2": ago[2], "i3": ago[4]})
    lake.check_sessions()
    days = lake.days("plays")

    def leaves(gone, *arguments, code=0):
        assert lake.retract(*arguments) == code
        for play_id in gone:
            days.pop(play_id, None)
        assert lake.days("plays") == days

    leaves([], "--day", str(ago[1]), "--dry-run")
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["plays", str(ago[1]), "2", "2", "0"] in table
    leaves(["i1"], "--play", "i1", "nobody", code=1)
    assert "1 of 2 ids are not in plays or late_plays" in capsys.readouterr().out
    leaves(["f1", "f2", "late"], "--source", lake.source, "--input", str(lake.folder / "1.csv"))
    assert lake.days("late_plays") == {}
    leaves(["s1"], "--of-source", "other", "--from", str(ago[2]), "--to", str(ago[0]))
    assert str(ago[1]) in map(str, lake.warehouse.state("plays").days), "within, an empty day is a day"
    lake.check_sessions()
    leaves(["p0", "clock"], "--play", "p0", "clock", "nobody", "--ignore-missing")
    assert lake.warehouse.state("plays").days == sorted(set(days.values())) == [ago[4], ago[3], ago[2]]
    assert {row["play_id"] for row in read_newest_rows(lake.root, "sessions")} == set(days), (
        "days remain that nothing makes again"
    )
    lake.check_sessions()
    assert len(list((lake.folder / "root" / "quality" / "receipts").glob("retract-*.json"))) == 4


def test_retract_refuses_to_take_out_nothing_in_particular(lake):
    with pytest.raises(WrongUsage, match="nothing to take out; give --play"):
        lake.retract()
