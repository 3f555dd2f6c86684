"""Watermarks: how far the sources of a table are, which days are provisional by that, and what does not take them."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from jobs import (
    build_features,
    build_sessions,
    build_training_set,
    ingest_plays,
    release_tables,
    train_track_embeddings,
    watermarks,
)
from jobs.build_sessions import select_days
from jobs.catalogue.inventory import Inventory
from jobs.catalogue.wording import format_freshness
from jobs.errors import JobError, WrongUsage
from jobs.outcomes import collect_outcomes
from jobs.publishing.batches import Watermark
from jobs.publishing.selection import Selection
from jobs.publishing.state import DayState, TableState, find_limit, mark_provisional, read_state
from jobs.publishing.state_commits import advance_watermark
from jobs.publishing.warehouse import Warehouse
from jobs.sources import Source, load_source
from jobs.stale_features import find_stale_features, find_stale_partials
from jobs.training.completeness import check_complete
from jobs.training.labels import Labels
from jobs.training.request import Request
from jobs.watermarks import find_watermark, parse_watermark
from reference import nights
from reference.published import pass_every_batch
from reference.rows import midnight_after
from reference.staged import LaidJob
from reference.three_features import THREE_FEATURES, declare_three_features
from reference.worlds import US, play, session_play
from schemas import CONTRACTS
from segue.builtin_commands import _format_release
from segue.errors import SegueError
from segue.project import VARIABLE
from segue.publication_record import EPOCH
from segue.releases import append_release, rollback

DAY = date(2026, 10, 20)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
DAYS = [BEFORE, DAY, AFTER]
FEATURE = "user_features:plays_count_7d"
COLUMN = FEATURE.replace(":", "__")


def at(hour, day=DAY, minute=0):
    return datetime.combine(day, time(hour, minute), UTC)


class Lake:
    """A root, and what a night does to it."""

    def __init__(self, folder):
        self.folder, self.root, self.files = folder, str(folder / "root"), 0
        self.source = str(folder / "source.toml")
        (folder / "source.toml").write_text(nights.SOURCE)
        self.warehouse = Warehouse(self.root)

    def ingest(self, instants, *arguments):
        self.files += 1
        path = self.folder / f"{self.files}.csv"
        rows = [f"{self.files}-{n},u1,{each:%Y-%m-%dT%H:%M:%SZ},1\n" for n, each in enumerate(instants)]
        path.write_text("".join(rows))
        files = ["--source", self.source, "--input", str(path)]
        return ingest_plays.main(["--root", self.root, *files, *arguments])

    def build(self):
        assert build_sessions.main(["--root", self.root]) == 0
        assert build_features.main(["build-user-features", "--root", self.root]) == 0
        assert release_tables.main(["--root", self.root]) == 0

    def label(self, instant):
        """What a label gets of windows that end at its instant."""
        labels, out = self.folder / "labels.parquet", self.folder / f"set-{len(list(self.folder.iterdir()))}"
        pq.write_table(pa.table({"user_id": ["u1"], "label_at": pa.array([instant])}), labels)
        given = ["--root", self.root, "--labels", str(labels), "--out", str(out)]
        parser = argparse.ArgumentParser()
        build_training_set.configure(parser)
        assert build_training_set.run(parser.parse_args([*given, "--at-label-time", FEATURE])) == 0
        return pq.read_table(out)[COLUMN].to_pylist()


@pytest.fixture
def laid(tmp_path):
    """Three days of plays, complete through the noon of the second, and features of them as they are."""
    root = str(tmp_path / "root")
    job = LaidJob("test", root, say=lambda text: None)
    rows = [play(play_id=str(day), played_at=at(8, day)) for day in DAYS]
    watermark = Watermark("test", at(12), ("test",))
    job.publish(job.batch("plays", appends=True, watermark=watermark), rows)
    empty = {
        each.name: each.default for each in CONTRACTS["user_features"].columns if each.default is not None
    }
    features = [
        {**empty, "user_id": "u1", "ds": day, "feature_at": midnight_after(day), "plays_count_7d": n}
        for n, day in enumerate(DAYS, 1)
    ]
    plays = job.fresh().source("plays")
    names = {day: mark_provisional("x", [plays.find_limit(day)]) for day in DAYS}
    job.publish(job.batch("user_features", DAYS, upstream=names), features)
    return root


def release(root):
    selection = Selection.newest(Warehouse(root), ["plays", "user_features"])
    return append_release(root, selection.day, selection.entries)


def client_label(root, instant, **options):
    labels = pa.table({"user_id": ["u1"], "label_at": pa.array([instant])})
    return segue.open(root).training_set(labels, [FEATURE], **options)[COLUMN].to_pylist()


def test_state_moves_forward_and_waits_for_every_source():
    state = TableState(0).advance("a", at(12), ("a", "b"))
    assert state.complete_through == EPOCH, "of b nothing is in"
    state = state.advance("b", at(10), ("a", "b"))
    assert state.complete_through == at(10)
    state = state.advance("b", at(9), ("a", "b"))
    assert (state.watermarks["b"], state.complete_through) == (at(10), at(10))
    assert state.advance("c", at(1), ("a", "b", "c")).complete_through == at(10), "a new source took it back"
    assert TableState.loads(0, json.loads(json.dumps(state.dumps()))) == state


def test_history_then_a_feed_of_another_name_waits_for_neither():
    state = TableState(0).advance("history", at(0, BEFORE), ("history",)).advance("feed", at(0), ("feed",))
    assert state.complete_through == at(0)


def test_days_of_tables_of_before_are_complete_up_to_their_last_publication():
    before = TableState(1, {DAY: DayState(1, 1, 1, "f")}, published_at="2026-10-20 11:00:00.000000")
    assert (before.complete_through, before.provisional_days) == (None, {}), (
        "nothing is said, nothing is required"
    )
    assert before.advance("new", at(0, BEFORE), ("new", "other")).complete_through == at(0)


def test_days_are_complete_where_they_end_at_the_watermark_or_before(laid):
    state = Warehouse(laid).state("plays")
    assert state.provisional_days == {DAY: at(12), AFTER: at(12)}
    for instant, day in ((at(0), DAY), (at(0, AFTER), AFTER), (at(0, AFTER) - US, DAY)):
        assert min(replace(state, complete_through=instant).provisional_days) == day


@pytest.mark.parametrize(
    ("grace", "now", "expected"),
    [
        ("0h", at(0), at(0)),
        ("0h", at(23, minute=59), at(0)),
        ("3h", at(2, minute=59), at(0, BEFORE)),
        ("3h", at(3), at(0)),
        ("90m", at(1, minute=30), at(0)),
        ("1d", at(12), at(0, BEFORE)),
    ],
)
def test_a_source_is_complete_through_the_last_midnight_whose_grace_is_over(
    grace, now, expected, monkeypatch
):
    monkeypatch.setattr(watermarks, "datetime", SimpleNamespace(now=lambda zone: now))
    source = Source(name="x", grace=grace)
    assert find_watermark(source, "plays", None) == Watermark("x", expected, ("x",))
    assert find_watermark(source, "plays", at(1)).instant == at(1), "what is given is stronger"
    assert source.parameters("plays") == Source(name="x").parameters("plays"), "files would be ingested again"


@pytest.mark.parametrize("text", ["3", "3 h", "h", "-1h", "3w", "0.5h"])
def test_a_grace_that_is_none_is_refused(text, tmp_path):
    (tmp_path / "s.toml").write_text(f'name = "x"\ngrace = "{text}"')
    with pytest.raises(WrongUsage, match=r"grace is .*, must be a number"):
        load_source(str(tmp_path / "s.toml"))


def test_complete_through_is_a_day_or_an_instant_that_is_over():
    assert parse_watermark("2026-10-20") == parse_watermark("2026-10-21T00:00") == at(0, AFTER)
    assert parse_watermark("20261020") == parse_watermark("2026-W43-2") == at(0, AFTER), (
        "a day, and so its end"
    )
    assert parse_watermark("2026-10-20T12:00+02:00") == at(10)
    for text in ("20.10.2026", "2026-10", str(datetime.now(UTC).date()), "2999-01-01T00:00", "9999-12-31"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"no day and no instant|is not over"):
            parse_watermark(text)


def test_a_project_of_several_sources_waits_for_all_of_them(tmp_path, monkeypatch):
    monkeypatch.delenv("SEGUE_SOURCE", raising=False)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name in ("radio", "app"):
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"')
    sections = (f'[sources.{n}]\nsource = "{n}.toml"\ninput = ["{n}"]\n' for n in ("radio", "app"))
    (tmp_path / "segue.toml").write_text("".join(sections))
    assert find_watermark(Source(name="radio"), "plays", at(1)).awaited == ("radio", "app")
    assert find_watermark(Source(name="radio"), "searches", at(1)).awaited == ("radio",)


def test_a_watermark_alone_is_a_commit_of_no_file_and_the_same_again_is_none(laid):
    warehouse, later = Warehouse(laid), Watermark("test", at(0, AFTER), ("test",))
    before = warehouse.table("plays")
    assert advance_watermark(warehouse, "plays", later, {}).complete_through == at(0, AFTER)
    after = warehouse.table("plays")
    assert (after.version(), after.file_uris()) == (before.version() + 1, before.file_uris())
    for watermark in (later, Watermark("test", at(1), ("test",))):
        assert advance_watermark(warehouse, "plays", watermark, {}) is None
    assert read_state(before).complete_through == at(12), "a version says what it was complete through"


def test_what_is_made_of_a_provisional_day_is_stale_once_that_is_complete():
    """Sessions, partials and features, with the same plays: their names alone are others."""
    days = {day: DayState(1, n, n, "f") for n, day in enumerate(DAYS)}
    plays = TableState(1, days, complete_through=at(12))
    stale, names = select_days(plays, None, [], 0)
    sessions = TableState(1, {day: replace(days[day], upstream=names[day]) for day in DAYS})
    assert (stale, sessions.provisional_days) == (DAYS, {DAY: at(12), AFTER: at(12)})
    assert select_days(plays, sessions, [], 0)[0] == []
    assert select_days(replace(plays, complete_through=at(0, AFTER)), sessions, [], 0)[0] == [DAY, AFTER]

    warehouse = SimpleNamespace(state=lambda table: None)
    complete = replace(sessions, day_states=days)
    for name_days in (
        lambda state: find_stale_partials(warehouse, THREE_FEATURES, state).sources,
        lambda state: find_stale_features(warehouse, THREE_FEATURES, complete, state).sources,
    ):
        before, after = name_days(sessions), name_days(complete)
        assert [day for day in DAYS if before[day] != after[day]] == [DAY, AFTER]
        assert [find_limit(before[day]) for day in DAYS] == [None, at(12), at(12)]


def test_a_release_says_how_complete_each_table_is_and_a_rollback_keeps_it(laid):
    first = release(laid)
    assert {name: each.complete_through for name, each in first.tables.items()} == {
        "plays": at(12),
        "user_features": at(12),
    }
    warehouse = Warehouse(laid)
    advance_watermark(warehouse, "plays", Watermark("test", at(0, AFTER), ("test",)), {})
    selection = Selection.newest(warehouse, ["plays", "user_features"])
    assert selection.adds_to(first), "that a day is complete by now is news"
    second = release(laid)
    assert second.tables["plays"].complete_through == at(0, AFTER)
    assert second.tables["user_features"].complete_through == at(12), "its days were made of less"
    assert rollback(laid, first.release_id).complete_through == at(12)


def test_the_client_takes_provisional_days_on_request_alone(laid):
    release(laid)
    store = segue.open(laid)
    assert store.complete_through == at(12)
    assert [
        store.lookup("user_features", ["u1"], day)["plays_count_7d"][0].as_py() for day in (None, DAY)
    ] == [1, 2]
    assert client_label(laid, at(18)) == [1], "the day before is complete"
    for as_published in (False, True):
        with pytest.raises(
            SegueError, match=r"1 of 1 labels, from 2026-10-21 00:00:00 on.* user_features is"
        ):
            client_label(laid, at(0, AFTER), as_published=as_published)
    assert client_label(laid, at(0, AFTER), provisional=True) == [2]


def test_a_table_without_a_complete_day_is_not_looked_up_unless_a_day_is_given(laid):
    warehouse = Warehouse(laid)
    entry = Selection.newest(warehouse, ["user_features"]).entries["user_features"]
    append_release(laid, DAY, {"user_features": replace(entry, complete_through=at(12, BEFORE))})
    with pytest.raises(SegueError, match="no day of table user_features is complete"):
        segue.open(laid).lookup("user_features", ["u1"])


def test_freshness_says_up_to_when_a_table_is_complete(laid):
    release_ = release(laid)
    published = Inventory(laid).published("user_features")
    assert published.complete_through == at(12)
    for text in (format_freshness(published), _format_release(release_, [release_])):
        assert "complete through 2026-10-20 12:00" in text


def test_a_training_without_a_day_takes_the_newest_complete_one(laid, monkeypatch):
    job, seen = LaidJob("test", laid, say=lambda text: None), []
    row = session_play(played_at=at(8), session_started_at=at(8))
    marked = {DAY: mark_provisional("x", [at(12)])}
    job.publish(job.batch("sessions", [DAY], upstream=marked), [row])
    monkeypatch.setattr(train_track_embeddings, "find_parent", lambda job, day: seen.append(day) or 1 / 0)
    with collect_outcomes() as outcomes:
        assert train_track_embeddings.main(["--root", laid]) == 0
    assert [each.why for each in outcomes] == [
        "no day of sessions is complete; --day learns from one that is not"
    ]
    job = LaidJob("test", laid, say=lambda text: None)
    early = session_play(play_id="p0", played_at=at(8, BEFORE), session_started_at=at(8, BEFORE))
    job.publish(job.batch("sessions", [BEFORE], upstream={BEFORE: "y"}), [early])
    for arguments in ([], ["--day", str(DAY)]):
        with pytest.raises(ZeroDivisionError):
            train_track_embeddings.main(["--root", laid, *arguments])
    assert seen == [BEFORE, DAY]


LABELS = Labels(SimpleNamespace(), 2, "", at(1), at(18), (DAY,))


@pytest.mark.parametrize(
    ("last", "daily", "first"),
    [
        (at(18), True, None),
        (at(0, AFTER) - US, True, None),
        (at(0, AFTER), True, at(0, AFTER)),
        (at(12), False, None),
        (at(12) + US, False, at(12) + US),
    ],
)
def test_labels_need_the_day_before_their_own_or_every_play_before_them(last, daily, first, monkeypatch):
    tables = {name: {"complete_through": at(12)} for name in ("sessions", "user_features", "user_partials")}
    seen = []
    monkeypatch.setattr(Labels, "count_from", lambda self, instant: seen.append(instant) or (1, self.last))
    request = Request("labels", **{"features" if daily else "at_label_time": (FEATURE,)})
    labels = replace(LABELS, last=last)
    if first:
        with pytest.raises(JobError, match=r"1 of 2 labels.*--provisional"):
            check_complete(request, labels, tables)
    check_complete(replace(request, provisional=True), labels, tables)
    check_complete(request, labels, {name: {} for name in tables})
    if not first:
        check_complete(request, labels, tables)
    assert seen == ([first] if first else [])


def test_a_label_that_needs_more_than_was_delivered_is_refused(spark, tmp_path, monkeypatch):
    """A day is ingested to 10:00, and its features are released; then comes the rest, of which none are made."""
    pass_every_batch(monkeypatch)
    declare_three_features(monkeypatch)
    for audit in ("_count_orphans", "_read_versions"):
        monkeypatch.setattr(release_tables, audit, lambda job, selection: {})
    lake = Lake(tmp_path)
    lake.ingest([at(12, BEFORE), at(8), at(9)], "--complete-through", "2026-10-20T10:00")
    lake.build()
    assert segue.open(lake.root).complete_through == at(10)
    with pytest.raises(
        JobError, match=r"1 of 1 labels, from 2026-10-20 18:00:00 on.* sessions is .*-20 10:00:00"
    ):
        lake.label(at(18))
    assert lake.label(at(8, minute=30)) == [2]
    assert lake.ingest([at(17), at(20)]) == 0, (
        "files that say nothing are complete through days that are over"
    )
    assert lake.warehouse.state("plays").complete_through > at(0, AFTER)
    assert release_tables.main(["--root", lake.root]) == 0
    with pytest.raises(JobError, match=r"table sessions is .*-20 10:00:00"):
        # the sessions of the morning are released with all plays
        lake.label(at(18))
