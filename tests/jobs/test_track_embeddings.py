"""Embeddings through the whole flow: what is released fits together, what is refused is written down."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

import segue
from expectations.verdict import Refused
from jobs import (
    build_candidates,
    build_semantic_ids,
    build_similar_tracks,
    build_user_embeddings,
    evaluate_track_embeddings,
    release_tables,
    train_track_embeddings,
)
from jobs.errors import JobError, WrongUsage
from reference.delta_files import rows_of
from reference.flows import LAST
from reference.releases import count_in_python

VERSIONED_TABLES = (
    "track_embeddings",
    "user_embeddings",
    "similar_tracks",
    "candidates",
    "track_semantic_ids",
)
DOWNSTREAM = (build_user_embeddings, build_similar_tracks, build_candidates, build_semantic_ids)


def read_versions(world):
    rows = rows_of(DeltaTable(f"{world.root}/tables/embedding_versions"))
    return sorted(rows, key=lambda row: row["available_at"])


def read_newest(world, table):
    store = segue.open(world.root)
    return [row for batch in store.scan(table, day=store.days(table)[-1]) for row in batch.to_pylist()]


def test_flow_releases_embedding_tables_of_one_version(night):
    versions_by_table = {
        table: {(row["version_id"], row["space_id"]) for row in read_newest(night, table)}
        for table in VERSIONED_TABLES
    }
    assert len(set().union(*versions_by_table.values())) == 1, versions_by_table
    (version, space) = versions_by_table["track_embeddings"].pop()
    assert version in {row["version_id"] for row in read_versions(night) if row["status"] == "accepted"}
    assert {row["space_id"] for row in read_newest(night, "semantic_codebooks")} == {space}


def test_train_track_embeddings_gives_every_track_of_the_catalogue_a_row(night):
    rows = {row["track_id"]: row for row in read_newest(night, "track_embeddings")}
    play_counts = Counter(row["track_id"] for row in night.released("sessions") if not row["is_bot"])
    catalogue = {row["track_id"] for row in night.released("tracks")}
    assert set(rows) == catalogue | set(play_counts)
    assert {track: row["support"] for track, row in rows.items() if row["support"]} == dict(play_counts)


def test_build_similar_tracks_agrees_with_plain_cosines(night):
    vectors = {
        row["track_id"]: np.array(row["vector"])
        for row in read_newest(night, "track_embeddings")
        if row["vector"]
    }
    names = sorted(vectors)
    matrix = np.stack([vectors[name] for name in names])
    for row in read_newest(night, "similar_tracks"):
        scores = np.round(matrix @ vectors[row["track_id"]], 6)
        best = sorted(
            (-score, name) for score, name in zip(scores, names, strict=True) if name != row["track_id"]
        )
        expected = [-score for score, _ in best[: len(row["scores"])]]
        assert row["scores"] == pytest.approx(expected, abs=2e-6), row["track_id"]


def test_build_candidates_leaves_out_tracks_played_on_the_last_day(night):
    last = max(row["ds"] for row in night.released("sessions"))
    last_pairs = {
        (row["user_id"], row["track_id"]) for row in night.released("sessions") if row["ds"] == last
    }
    assert last_pairs, "nobody heard anything on the last day, so this shows nothing"
    candidate_pairs = {
        (row["user_id"], track) for row in read_newest(night, "candidates") for track in row["track_ids"]
    }
    assert candidate_pairs
    assert not candidate_pairs & last_pairs


def test_build_semantic_ids_takes_the_nearest_code_of_each_level(night):
    books = read_newest(night, "semantic_codebooks")
    centroids = {(row["level"], row["code"]): np.array(row["centroid"]) for row in books}
    vectors = {row["track_id"]: row["vector"] for row in read_newest(night, "track_embeddings")}
    semantic_ids = set()
    for row in read_newest(night, "track_semantic_ids"):
        residual = np.array(vectors[row["track_id"]])
        for level, code in enumerate(row["codes"]):
            distances = {
                c: np.sum((residual - centroid) ** 2)
                for (book_level, c), centroid in centroids.items()
                if book_level == level
            }
            assert distances[code] == pytest.approx(min(distances.values()), abs=1e-9), (
                row["track_id"],
                level,
            )
            residual = residual - centroids[level, code]
        semantic_ids.add(row["semantic_id"])
    assert len(semantic_ids) == len(read_newest(night, "track_semantic_ids"))


@pytest.mark.slow
def test_train_track_embeddings_records_a_refused_version_that_no_release_names(copy, monkeypatch):
    """By a bound that this deployment made stricter than ours: a first version warns of it alone."""
    count_in_python(monkeypatch)
    before, tables = read_newest(copy, "track_embeddings"), copy.versions()
    Path(copy.root, "gate.toml").write_text('[track_embeddings.coverage]\nseverity = "critical"\n')
    with pytest.raises(Refused, match="at least 95 % of plays are of tracks learned"):
        train_track_embeddings.main(["--root", copy.root, "--min-plays", "20"])
    version = read_versions(copy)[-1]
    assert (version["status"], version["start"]) == ("rejected", "warm" if version["parent"] else "cold")
    assert any("95 %" in reason for reason in version["reasons"])
    release_tables.main(["--root", copy.root])
    assert read_newest(copy, "track_embeddings") == before
    assert copy.versions()["track_embeddings"] == tables["track_embeddings"]


@pytest.mark.slow
def test_train_track_embeddings_cold_begins_a_space_that_downstream_tables_follow(copy, monkeypatch, capsys):
    """The day before is trained cold, its successor warm, then that day again cold; tables follow each time."""
    count_in_python(monkeypatch)
    day = segue.open(copy.root).days("track_embeddings")[-1]
    root = ["--root", copy.root]
    cold_start = [*root, "--start", "cold", "--seed", "5", "--threads", "1", "--search-budget", "0"]
    train_track_embeddings.main(cold_start)
    cold = read_versions(copy)[-1]
    assert (cold["start"], cold["space_id"], cold["ds"]) == ("cold", cold["version_id"], day)
    capsys.readouterr()
    train_track_embeddings.main(cold_start)
    assert "unchanged" in capsys.readouterr().out, "one thread repeats itself, so there was nothing to train"
    with pytest.raises(WrongUsage, match="no version before"):
        train_track_embeddings.main([*root, "--start", "warm", "--day", str(read_versions(copy)[0]["ds"])])
    with pytest.raises(
        Refused, match="version"
    ):  # what was made of the version before does not fit the new one
        release_tables.main(root)
    with pytest.raises(
        JobError, match=f"similar_tracks of {day} is made of version .*expected {cold['version_id']}"
    ):
        build_candidates.main(root)
    for step in DOWNSTREAM:
        assert step.main(root) == 0
    release_tables.main(root)
    assert {row["space_id"] for table in VERSIONED_TABLES for row in read_newest(copy, table)} == {
        cold["space_id"]
    }


@pytest.mark.slow
def test_evaluate_track_embeddings_repeats_the_measures_of_the_training(night, capsys):
    day = segue.open(night.root).days("track_embeddings")[-1]
    arguments = ["--root", night.root, "--day", str(day), "--against", str(day), "--json"]
    assert evaluate_track_embeddings.main([*arguments, "--truth", f"{night.landing}/truth.json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    metrics = {(row["metric"], row["segment"]): row for row in report["metrics"]}
    headline = metrics["next.hr@10", "all"]
    assert headline["this"] == headline["against"] > headline["popularity"] * 0.5
    assert report["next.hr_ratio"] == 1.0
    # of equal answers the interval is about 1 on the scale of ratios, and as wide as so few questions leave it
    low, high = report["next.hr_ratio_low"], report["next.hr_ratio_high"]
    assert 0.5 < low < 1 and low * high == pytest.approx(1)
    version = [row for row in read_versions(night) if row["ds"] == day and row["status"] == "accepted"][-1]
    before = {(m["name"], m["segment"]): m["value"] for m in version["metrics"] if m["of"] == "this"}
    assert headline["this"] == pytest.approx(before["next.hr@10", "all"], abs=0.05)
    truth = json.loads((night.landing / "truth.json").read_text())["perfect_recommender"]
    share = headline["this"] / truth["hit_rate_at_10_without_repeats"]
    assert report["share_of_perfect"] == pytest.approx(share, abs=1e-3)


def test_build_similar_tracks_names_a_day_without_embeddings(night):
    with pytest.raises(WrongUsage, match=f"no track embeddings of {LAST.replace(year=2030)}"):
        build_similar_tracks.main(["--root", night.root, "--day", str(LAST.replace(year=2030))])
