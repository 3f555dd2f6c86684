"""What the page of embeddings says of a root is what its tables hold, by plain loops; without Spark."""

from __future__ import annotations

import math
import shutil
from collections import Counter

import pytest

from expectations.site.embeddings import draw_codebooks, draw_map, draw_sample, make_embeddings_page
from jobs.publishing.warehouse import Warehouse
from jobs.site import embeddings
from reference.delta_files import read_newest_rows
from reference.golden import unpack
from segue.buckets import bucket


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    unpack(folder)
    return folder / "root"


def read(root):
    return embeddings.read_embeddings(Warehouse(str(root)), ())


@pytest.fixture(scope="module")
def facts(root):
    return read(root)


@pytest.fixture(scope="module")
def rows(root):
    """Of the newest day of `track_embeddings`, by track."""
    every = read_newest_rows(root, "track_embeddings")
    newest = max(row["ds"] for row in every)
    return {row["track_id"]: row for row in every if row["ds"] == newest}


def cosine(a, b):
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_neighbours_are_those_of_plain_cosines(facts, rows):
    assert len(facts.neighbourhoods) == 2 * embeddings.EXAMPLES
    for each in facts.neighbourhoods:
        own = rows[each.track.track_id]["vector"]
        others = {
            track: cosine(own, row["vector"])
            for track, row in rows.items()
            if track != each.track.track_id and row["vector"] is not None
        }
        # of equal ones, any would do: the cosines say which are near
        best = sorted(others.values(), reverse=True)[: embeddings.NEAREST]
        assert [score for _, score in each.nearest] == pytest.approx(best, abs=1e-5)
        for track, score in each.nearest:
            assert others[track.track_id] == pytest.approx(score, abs=1e-5)


def test_examples_are_the_most_and_the_least_played_tracks_that_were_learned(facts, rows):
    learned = [row for row in rows.values() if row["source"] == "learned"]
    ordered = sorted(learned, key=lambda row: (-row["support"], row["track_id"]))
    wanted = ordered[: embeddings.EXAMPLES] + ordered[-embeddings.EXAMPLES :]
    shown = [(each.track.track_id, each.plays) for each in facts.neighbourhoods]
    assert shown == [(row["track_id"], row["support"]) for row in wanted]


def test_tracks_have_the_names_of_the_catalogue(root, facts):
    catalogue = {row["track_id"]: row for row in read_newest_rows(root, "tracks")}
    for each in facts.neighbourhoods:
        for track in (each.track, *(other for other, _ in each.nearest)):
            row = catalogue[track.track_id]
            assert track.name == f"{row['title']} \N{EN DASH} {row['artist_name']}"


def test_sample_counts_every_track_of_a_small_root(facts, rows):
    tracks, plays = Counter(), Counter()
    for row in rows.values():
        tracks[row["source"]] += 1
        plays[row["source"]] += row["support"]
    assert facts.sample.sources == {source: (tracks[source], plays[source]) for source in tracks}
    assert (facts.sample.tracks, facts.sample.of) == (len(rows), len(rows))
    assert sorted(facts.sample.norms) == sorted(row["norm"] for row in rows.values())
    assert len(list(draw_sample(facts.sample))) == 3


def test_sample_of_a_large_root_is_some_buckets(root, rows, monkeypatch):
    monkeypatch.setattr(embeddings, "SAMPLE_ROWS", len(rows) // 8)
    sampled = read(root)
    inside = {track for track in rows if bucket(track, 64) < 8}
    assert 0 < sampled.sample.tracks == len(inside) < sampled.sample.of == len(rows)
    assert {each.track.track_id for each in sampled.neighbourhoods} <= inside
    assert len(sampled.map.points) == len(inside)


def test_map_has_every_track_with_a_vector_where_it_was_before(root, facts, rows):
    with_vector = [row for row in rows.values() if row["vector"] is not None]
    assert len(facts.map.points) == len(with_vector)
    assert 0 < facts.map.share < 1
    assert read(root).map == facts.map and draw_map(read(root).map) == draw_map(facts.map)


def test_codebooks_count_the_tracks_of_each_code(root, facts):
    ids = read_newest_rows(root, "track_semantic_ids")
    for book in facts.codebooks:
        codes = Counter(row["codes"][book.level] for row in ids if row["ds"] == book.day)
        assert Counter(count for count in book.tracks if count) == Counter(codes.values())
        shares = [count / sum(codes.values()) for count in codes.values()]
        assert book.effective == pytest.approx(2 ** -sum(share * math.log2(share) for share in shares))
    assert {book.day for book in facts.codebooks} == {row["ds"] for row in ids}
    assert len(list(draw_codebooks(facts.codebooks))) == 2


def test_tables_that_are_not_there_leave_out_what_is_made_of_them(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    for table in ("similar_tracks", "tracks", "semantic_codebooks", "track_semantic_ids"):
        shutil.rmtree(tmp_path / "root" / "tables" / table)
    less = read(tmp_path / "root")
    assert (less.neighbourhoods, less.codebooks) == ([], [])
    assert {point.group for point in less.map.points} == {str(n) for n in range(1, 8)}
    assert len({point.label for point in less.map.points}) == len(less.map.points)
    shutil.rmtree(tmp_path / "root" / "tables" / "track_embeddings")
    least = read(tmp_path / "root")
    assert least.versions and least.map is None and least.sample is None
    shutil.rmtree(tmp_path / "root" / "tables" / "embedding_versions")
    assert read(tmp_path / "root") is None
    for each in (less, least):
        assert make_embeddings_page(each).values["facts"] is each
