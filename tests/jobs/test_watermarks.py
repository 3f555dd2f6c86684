"""Watermarks: how far the sources of a table are, which days are provisional by that, and what does not take them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from jobs import build_features, build_sessions, build_training_set, ingest_plays, release_tables, watermarks
from jobs.build_sessions import select_days
from jobs.errors import JobError, WrongUsage
from jobs.publishing.batches import Watermark
from jobs.publishing.rewrite import advance_watermark
from jobs.publishing.selection import Selection
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from jobs.sources import Source, load_source
from jobs.stale_features import find_stale_features, find_stale_partials
from reference.published import pass_every_batch
from reference.staged import LaidJob
from reference.three_features import THREE_FEATURES, declare_three_features
from reference.worlds import play
from segue.errors import SegueError
from segue.releases import append_release, list_releases

DAY = date(2026, 10, 20)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
SOURCE = """
name = "test"
header = ["id", "who", "at", "ms"]
[plays]
play_id = "id"
user_id = "who"
track_id = "'t'"
played_at = "at"
ms_played = "ms"
"""
FEATURE = "user_features:plays_count_7d"
COLUMN = FEATURE.replace(":", "__")


def at(hour, day=DAY, minute=0):
    return datetime.combine(day, time(hour, minute), UTC)


class Lake:
    """A root, and what a night does to it."""

    def __init__(self, folder):
        self.folder, self.root, self.files = folder, str(folder / "root"), 0
        self.source = str(folder / "source.toml")
        (folder / "source.toml").write_text(SOURCE)
        self.warehouse = Warehouse(self.root)

    def ingest(self, instants, *arguments):
        self.files += 1
        path = self.folder / f"{self.files}.csv"
        rows = [f"{self.files}-{n},u1,{each:%Y-%m-%dT%H:%M:%SZ},1\n" for n, each in enumerate(instants)]
        path.write_text("".join(rows))
        return self.ingest_again(*arguments)

    def ingest_again(self, *arguments):
        files = ["--source", self.source, "--input", str(self.folder / f"{self.files}.csv")]
        return ingest_plays.main(["--root", self.root, *files, *arguments])

    def build(self):
        assert build_sessions.main(["--root", self.root]) == 0
        assert build_features.main(["build-user-features", "--root", self.root]) == 0
        assert release_tables.main(["--root", self.root]) == 0

    def label(self, instant, kind, *arguments):
        """What a label gets: the first of its features."""
        labels, out = self.folder / "labels.parquet", self.folder / f"set-{len(list(self.folder.iterdir()))}"
        pq.write_table(pa.table({"user_id": ["u1"], "label_at": pa.array([instant])}), labels)
        given = ["--root", self.root, "--labels", str(labels), "--out", str(out)]
        parser = argparse.ArgumentParser()
        build_training_set.configure(parser)
        assert build_training_set.run(parser.parse_args([*given, kind, FEATURE, *arguments])) == 0
        return pq.read_table(out)[COLUMN].to_pylist()

    def client_label(self, instant, **options):
        labels = pa.table({"user_id": ["u1"], "label_at": pa.array([instant])})
        return segue.open(self.root).training_set(labels, [FEATURE], **options)[COLUMN].to_pylist()


def test_a_label_that_needs_more_than_was_delivered_is_told_so(spark, tmp_path, monkeypatch):
    """A day is ingested to 10:00, features are made of it and released, then the rest of it comes."""
    pass_every_batch(monkeypatch)
    declare_three_features(monkeypatch)
    for audit in ("_count_orphans", "_read_versions"):
        monkeypatch.setattr(release_tables, audit, lambda job, selection: {})
    lake = Lake(tmp_path)
    lake.ingest([at(12, BEFORE), at(8), at(9)], "--complete-through", "2026-10-20T10:00")
    lake.build()
    store = segue.open(lake.root)
    assert store.complete_through == at(10)
    assert [store.lookup("user_features", ["u1"], day)["plays_count_7d"].to_pylist() for day in (None, DAY)] == [
        [1], [3],
    ], "without a day, the newest complete one"  # fmt: skip
    with pytest.raises(
        JobError, match="1 of 1 labels, from 2026-10-20 18:00:00 on.* through 2026-10-20 10:00:00"
    ):
        lake.label(at(18), "--at-label-time")
    assert lake.label(at(8, minute=30), "--at-label-time") == [2]
    assert lake.label(at(18), "--features") == lake.client_label(at(18)) == [1], "the day before is complete"
    with pytest.raises(JobError, match="from 2026-10-21 01:00:00 on"):
        lake.label(at(1, AFTER), "--features")
    with pytest.raises(SegueError, match="from 2026-10-21 01:00:00 on.* user_features"):
        lake.client_label(at(1, AFTER))
    assert lake.client_label(at(1, AFTER), provisional=True) == [3]
    assert lake.label(at(18), "--at-label-time", "--provisional") == [3]

    lake.ingest([at(17), at(20)], "--complete-through", "2026-10-20")
    lake.build()
    assert lake.label(at(18), "--at-label-time") == [4]
    assert lake.client_label(at(1, AFTER)) == [5]
    assert segue.open(lake.root).complete_through == at(0, AFTER)
