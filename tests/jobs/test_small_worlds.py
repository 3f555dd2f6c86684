"""Small and bare histories through the whole flow: what can be made is released, the rest says why it was not.

A source without durations, skips and artists: that is said once, at plays, and no table after them warns.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import segue
from jobs.flow import run_flow
from jobs.publishing.records import read_results
from jobs.publishing.warehouse import Warehouse
from reference.releases import count_in_python
from reference.three_features import declare_three_features
from schemas import FEATURE_GROUPS

DAY_S, FIRST_S = 86_400, 1_793_527_200
HEADER = "play_id,listener,track,artist,started,heard_ms,length_ms"
FULL = """
name = "lake"
[plays]
play_id = "play_id"
user_id = "listener"
track_id = "track"
artist_id = "artist"
played_at = "timestamp_seconds(try_cast(started as bigint))"
ms_played = "heard_ms"
track_ms = "length_ms"
[tracks]
track_id = "track"
title = "track"
artist_id = "artist"
artist_name = "artist"
"""
# One column is mapped, and has no value all the same.
BARE = """
name = "bare"
[plays]
user_id = "listener"
track_id = "track"
played_at = "timestamp_seconds(try_cast(started as bigint))"
ms_played = "nullif(heard_ms, heard_ms)"
"""
EMPTY_COLUMNS = {"track_ms", "skipped", "saved", "artist_id"}


def generate_lake(days=5, listeners=10, plays=8):
    """Eight plays of each listener a day, four minutes apart, of twenty tracks of five artists."""
    for d in range(days):
        for u in range(listeners):
            for n in range(plays):
                track, at = (3 * u + 5 * n + d) % 20, FIRST_S + d * DAY_S + u * 60 + n * 240
                yield f"p{d}-{u}-{n},u{u},t{track},a{track % 5},{at},200000,210000"


def generate_bot(plays=1500):
    """One listener, one track, every 50 seconds of one day."""
    for n in range(plays):
        yield f"b{n},u0,t0,a0,{FIRST_S // DAY_S * DAY_S + n * 50},50000,210000"


class Flow:
    """A flow that has ended, without the steps in `skip`."""

    def __init__(self, folder, source, rows, *skip):
        self.root, files = str(folder / "root"), folder / "in"
        files.mkdir()
        (files / "plays.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        (folder / "source.toml").write_text(source)
        command = ["--root", self.root, "--run-id", "r", "--source", str(folder / "source.toml")]
        command += ["--input", str(files)] + (["--skip", *skip] if skip else [])
        self.code = run_flow(command)
        step_rows = json.loads((folder / "root" / "quality" / "r.steps.json").read_text())
        self.steps = {each["step"]: each for each in step_rows}

    def outcomes(self, kind):
        return {name for name, step in self.steps.items() if step["outcome"] == kind}

    def list_failures(self):
        """What was expected of the batches, and does not hold."""
        return [row for row in read_results(Warehouse(self.root), "r") if not row["success"]]


def take_first_windows(group):
    features = (replace(each, windows=each.windows[:1]) for each in group.features)
    return replace(group, features=tuple(features))


@pytest.mark.slow
def test_flow_of_three_plays_releases_features(spark, tmp_path, monkeypatch, capsys):
    """Of each group one feature: the bare history below has all, and `test_windows` has days of a play and of none."""
    first_features = (replace(group, features=group.features[:1]) for group in FEATURE_GROUPS)
    declare_three_features(monkeypatch, *first_features)
    count_in_python(monkeypatch)
    flow = Flow(tmp_path, FULL, list(generate_lake())[:3])
    assert flow.code == 0, capsys.readouterr().out
    store = segue.open(flow.root)
    assert store.tables["plays"].rows == 3
    features = store.lookup("user_features", ["u0"], columns=["plays_count_1d"]).to_pylist()
    assert features == [{"user_id": "u0", "plays_count_1d": 3}]
    assert {"track_features", "artist_features", "user_track_partials"} <= set(store.tables)
    assert not flow.outcomes("refused") | flow.outcomes("failed"), flow.steps
    for name in flow.outcomes("not made"):
        assert flow.steps[name]["why"], f"{name} does not say why it made nothing"


@pytest.mark.slow
def test_flow_of_plays_without_artists_catalogue_durations_or_skips(spark, tmp_path, monkeypatch, capsys):
    """All features, each in its first window alone: of the same nulls the others are made."""
    declare_three_features(monkeypatch, *map(take_first_windows, FEATURE_GROUPS))
    flow = Flow(tmp_path, BARE, generate_lake())
    printed = capsys.readouterr().out
    assert flow.code == 0, printed
    store = segue.open(flow.root)
    assert store.tables["plays"].rows == 400
    assert {"user_features", "track_features", "user_track_partials", "track_embeddings"} <= set(store.tables)
    assert {"ingest-tracks", "build-artist-features"} == flow.outcomes("not made"), printed
    assert "no play where" in flow.steps["build-artist-features"]["why"]
    assert "user_artist_partials not made" in flow.steps["build-pair-partials"]["why"]
    absent_tables = {"tracks", "artist_features", "artist_partials", "user_artist_partials"}
    assert not absent_tables & set(store.tables), "a table without rows is released"
    check_missing_columns_are_reported_once(flow, printed)
    neighbours = store.similar_tracks("t0", k=3).to_pylist()
    assert len(neighbours) == 3 and {row["title"] for row in neighbours} == {None}


def check_missing_columns_are_reported_once(flow, printed):
    failures, plays = flow.list_failures(), Warehouse(flow.root).state("plays")
    severities = {table: {} for table in ("plays", "sessions", "user_features", "track_features")}
    for row in failures:
        if "are null" in row["observed"]:
            severities.setdefault(row["table_name"], {})[row["column"]] = row["severity"]
    warnings = [(row["table_name"], row["column"]) for row in failures if row["severity"] == "warning"]
    assert warnings == [("plays", "ms_played")], (
        "what is mapped and empty warns at plays, and nothing else does"
    )
    notes = dict.fromkeys([*EMPTY_COLUMNS, "source_session_id"], "info")
    assert severities["plays"] == {**notes, "ms_played": "warning"}
    assert plays.empty_columns >= EMPTY_COLUMNS | {"ms_played"}
    assert "plays_count_1d" not in severities["user_features"]
    assert severities["user_features"], "no feature is null, so this shows nothing"
    assert printed.count("everything computed from them is null") == 1
    session_notes = {row["column"]: row["observed"] for row in failures if row["table_name"] == "sessions"}
    assert session_notes["artist_id"] == "the source never has artist_id: 400 of 400 rows are null (100 %)"


@pytest.mark.slow
def test_flow_of_one_bot_and_one_track_releases_plays_and_no_embeddings(spark, tmp_path, monkeypatch, capsys):
    count_in_python(monkeypatch)
    features = ("user", "track", "artist")  # they are of bots as of others
    skip = [*(f"build-{name}-features" for name in features), "build-pair-partials", "ingest-tracks"]
    flow = Flow(tmp_path, FULL, generate_bot(), *skip)
    assert flow.code == 0, capsys.readouterr().out
    store = segue.open(flow.root)
    assert store.tables["sessions"].rows == 1500
    bots = {value for batch in store.scan("sessions", ["is_bot"]) for value in batch["is_bot"].to_pylist()}
    assert bots == {True}, "no bot was seen, so this shows nothing"
    assert "there is nothing to learn from" in flow.steps["train-track-embeddings"]["why"]
    assert "track_embeddings" not in store.tables
    assert "there is no track_embeddings" in flow.steps["build-candidates"]["why"]
