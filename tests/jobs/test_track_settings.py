"""The settings of a training through the job: a cold one searches and writes down what it tried, a warm one keeps."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from features.embeddings.settings import SEARCHED, Settings
from features.embeddings.trials import SearchPlan
from features.embeddings.tuning import SAFE_SETTINGS, SLOWER
from jobs import train_track_embeddings
from jobs.embeddings.parents import Parent
from jobs.publishing.warehouse import Warehouse
from reference.planted import sessions
from reference.published import lay, pass_every_batch
from reference.worlds import session_play
from segue.storage import Snapshot

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 2)
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)


def generate_plays():
    """A session begins each minute, so that 2,400 of them are a day and two thirds."""
    for line, tracks in enumerate(sessions(2_400).tolist()):
        start = BEGIN + timedelta(minutes=line)
        for n, track in enumerate(tracks):
            yield session_play(
                play_id=f"play:{line}-{n}",
                user_id=f"user:{line % 300}",
                track_id=f"t{track}",
                session_id=f"session:{line}",
                session_started_at=start,
                position=n + 1,
                played_at=start + timedelta(seconds=n),
            )


@pytest.fixture(scope="module")
def root(spark, tmp_path_factory):
    """Sessions of two days, and no embeddings yet."""
    folder = str(tmp_path_factory.mktemp("settings") / "root")
    lay(Warehouse(folder), "sessions", list(generate_plays()))
    return folder


def train(root, day, *arguments):
    """The row that the training adds to `embedding_versions`."""
    command = ["--root", root, "--day", str(day), "--threads", "1", *arguments]
    assert train_track_embeddings.main(command) == 0
    return read_versions(root)[-1]


def test_parent_settings_ignore_parameters_that_no_longer_exist():
    old_settings = {"blocks": 1, "artist_tokens": False}
    best_settings = {"window": 5, "backward": 1.0, "learning_rate": 0.05, "epochs": 9, "dimensions": 32}
    parent = Parent("v", "s", FIRST, FIRST, dict(Settings()) | old_settings | best_settings)
    assert parent.settings(Settings(), frozenset({"window"})) == Settings(**best_settings | {"window": 2})


def read_versions(root):
    warehouse = Warehouse(root)
    table = warehouse.table("embedding_versions")
    snapshot = Snapshot.at(warehouse.table_path("embedding_versions"), table.version())
    names = ["version_id", "start", "parameters", "trials", "search", "ds", "available_at", "metrics"]
    return sorted(
        snapshot.read(snapshot.select(None), names).to_pylist(), key=lambda row: row["available_at"]
    )


def read_searched_settings(row):
    return {name: json.loads(row["parameters"])[name] for name in SEARCHED}


def read_held_out_share(row):
    return next(each["value"] for each in row["metrics"] if each["name"] == "held_out_share")


@pytest.mark.slow
def test_train_track_embeddings_cold_searches_once_warm_keeps_and_flags_win(root, monkeypatch, capsys):
    # settings are chosen before anything is judged; `test_track_embeddings` and `test_embedding_gate` have the gate
    pass_every_batch(monkeypatch)
    few_pairs = ("--pairs", "20")
    cold = train(root, FIRST, *few_pairs)
    output = capsys.readouterr().out
    search, trials = json.loads(cold["search"]), cold["trials"]
    assert cold["start"] == "cold"
    assert len(trials) >= 12 and search["validation_pairs"] >= 200
    assert 0 < search["relative_cost"] <= SearchPlan.budget
    assert search["cost"] == sum(trial["pairs"] * trial["dimensions"] for trial in trials)
    settings = read_searched_settings(cold)
    rates = {SLOWER * t["learning_rate"] for t in trials if t["window"] == settings["window"]}
    assert settings["learning_rate"] in rates, "what was chosen is none of what was tried"
    assert "trials on" in output and "x a training" in output
    train(root, FIRST, *few_pairs)
    assert "unchanged" in capsys.readouterr().out
    assert len(read_versions(root)) == 1, "a training that was there already was done again"

    warm = train(root, LAST)
    assert (warm["start"], warm["trials"], warm["search"]) == ("warm", None, None)
    assert read_searched_settings(warm) == settings
    assert read_held_out_share(warm) == read_held_out_share(cold) < 1 / 8, "it asks what its parent learned"

    with_flags = train(root, LAST, "--start", "cold", "--window", "3", "--epochs", "4")
    assert (read_searched_settings(with_flags)["window"], read_searched_settings(with_flags)["epochs"]) == (
        3,
        4,
    )
    assert read_searched_settings(with_flags)["dimensions"] == settings["dimensions"], (
        "it could not be turned to the space before"
    )
    assert {trial["window"] for trial in with_flags["trials"]} == {3}
    assert read_held_out_share(with_flags) == 1 / 8, "a new space has learned nothing yet"

    without_search = train(root, LAST, "--start", "cold", "--search-budget", "0", "--seed", "3")
    assert {name: read_searched_settings(without_search)[name] for name in SAFE_SETTINGS} == SAFE_SETTINGS
    assert (
        without_search["trials"] is None and "switched off" in json.loads(without_search["search"])["outcome"]
    )
