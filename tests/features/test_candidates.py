"""Candidates against the same definition in plain Python, and each rule by itself."""

from __future__ import annotations

from datetime import timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.embeddings.neighbours import find_next_tracks
from features.embeddings.settings import CandidateSettings, SettingsError
from jobs.embeddings.candidate_files import CandidateFiles
from jobs.embeddings.scratch import Scratch
from reference import embeddings as reference
from reference.embeddings import embedding, neighbours
from reference.frames import frame, rows
from reference.rows import assert_same
from reference.windows import snap_to_expected
from reference.worlds import DAY, FEW, MIDNIGHT, US, session_play
from schemas.candidates import CANDIDATES
from schemas.sessions import SESSIONS
from schemas.similar_tracks import SIMILAR_TRACKS
from schemas.track_embeddings import TRACK_EMBEDDINGS
from schemas.tracks import TRACKS

DS = MIDNIGHT.date()
T = MIDNIGHT + DAY
HOUR = timedelta(hours=1)
IDS = [f"t{n}" for n in range(14)]
_grid = st.lists(st.sampled_from((-1.0, 0.0, 1.0, 1.0, 2.0)), min_size=2, max_size=2)
_track = st.tuples(
    st.sampled_from((None, "told", "told", "told")), _grid, _grid, _grid,
    st.sampled_from((None, "a1", "a1", "a2")), st.sampled_from((None, False, True)), st.booleans(),
)  # fmt: skip
_play = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from([f"u{n}" for n in range(10)]),
        "track_id": st.sampled_from([*IDS, "unknown"]),
        "played_at": st.builds(
            lambda hours, off: T - hours * HOUR + off,
            st.sampled_from((0, 1, 5, 24, 25, 48, 90, 700)),
            st.sampled_from((timedelta(0), -US, US)),
        ),
        "skipped": st.sampled_from((None, False, False, True)),
        "is_bot": st.sampled_from((False, False, False, True)),
    }
)
_settings = st.builds(
    CandidateSettings,
    per_user=st.sampled_from((1, 3, 100)),
    recent_hours=st.sampled_from((0.0, 5.0, 24.0, 1000.0)),
    seeds=st.sampled_from((1, 2, 10)),
    explicit=st.booleans(),
    per_artist=st.sampled_from((1, 2, 5)),
    half_life_days=st.sampled_from((0.5, 7.0)),
)


def embeddings_and_catalogue(track_values):
    embedding_rows, catalogue = [], []
    for track_id, (marker, vector, in_vector, out_vector, artist, explicit, is_catalogued) in zip(
        IDS, track_values, strict=True
    ):
        embedding_rows.append(
            embedding(track_id, DS, None)
            if marker is None
            else embedding(track_id, DS, vector, in_vector=in_vector, out_vector=out_vector)
        )
        if is_catalogued:
            catalogue.append(catalogue_row(track_id, artist, explicit))
    return embedding_rows, catalogue


def catalogue_row(track_id, artist=None, explicit=None):
    bucket = reference.bucket(track_id)
    return {
        "track_id": track_id,
        "artist_id": artist,
        "explicit": explicit,
        "source": "test",
        "bucket": bucket,
    }


def expect_and_compute(spark, plays, embedding_rows, catalogue, settings, similar_rows=None, next_rows=None):
    similar = neighbours(embedding_rows, "vector", "vector", 6) if similar_rows is None else similar_rows
    following = neighbours(embedding_rows, "in_vector", "out_vector", 6) if next_rows is None else next_rows
    actual = choose_rows(
        frame(spark, plays, SESSIONS),
        frame(spark, embedding_rows, TRACK_EMBEDDINGS),
        frame(spark, catalogue, TRACKS),
        frame(spark, following, SIMILAR_TRACKS),
        frame(spark, similar, SIMILAR_TRACKS),
        settings,
    )
    expected = reference.candidates(plays, embedding_rows, following, similar, catalogue, DS, settings)
    return expected, snap_to_expected(expected, actual, ["user_id"], 2e-6)


def choose_rows(session_rows, embeddings, catalogue, following, similar, settings):
    """Rows as they come out, the files written and mapped as the job does."""
    with TemporaryDirectory() as folder:
        files = CandidateFiles(Scratch(folder))
        files.write(embeddings, catalogue, following, similar)
        return rows(files.choose(session_rows, embeddings, DS, settings), CANDIDATES)


@FEW
@given(
    track_values=st.lists(_track, min_size=len(IDS), max_size=len(IDS)),
    play_values=st.lists(_play, max_size=60).filter(lambda plays: len(set(map(str, plays))) > 1),
    settings=_settings,
)
def test_candidates_equal_the_definition(spark, track_values, play_values, settings):
    embedding_rows, catalogue = embeddings_and_catalogue(track_values)
    plays = [session_play(play_id=str(n), **play) for n, play in enumerate(play_values)]
    expected, actual = expect_and_compute(spark, plays, embedding_rows, catalogue, settings)
    assert_same(expected, actual, CANDIDATES.key, plays, "user_id")


def neighbour_row(track_id, *pairs):
    """A row of neighbours."""
    lists = {"neighbours": [track for track, _ in pairs], "scores": [score for _, score in pairs]}
    return {"track_id": track_id, "bucket": 0, **reference.of_day(DS), **lists, "search": "exact"}


def choose_for_plays(spark, settings, plays, similar_rows, next_rows, catalogue=()):
    neighbour_ids = {track for row in (*similar_rows, *next_rows) for track in row["neighbours"]}
    embedding_rows = [embedding(track, DS, [1.0, 0.0]) for track in sorted({"s1", "s2", *neighbour_ids})]
    session_rows = [session_play(play_id=str(n), **play) for n, play in enumerate(plays)]
    expected, actual = expect_and_compute(
        spark, session_rows, embedding_rows, list(catalogue), settings, similar_rows, next_rows
    )
    assert_same(expected, actual, CANDIDATES.key, session_rows, "user_id")
    return {row["user_id"]: list(zip(row["track_ids"], row["origins"], strict=True)) for row in actual}


SEED = {"track_id": "s1", "played_at": T - 30 * HOUR}


def test_candidates_alternate_origins_and_place_a_track_of_both_at_its_better_place(spark):
    (actual,) = choose_for_plays(
        spark,
        CandidateSettings(),
        [SEED],
        similar_rows=[
            neighbour_row("s1", ("b", 0.9), ("a", 0.9), ("y", 0.5), ("minus", -0.5), ("zero", 0.0))
        ],
        next_rows=[neighbour_row("s1", ("x", 7.0), ("y", 6.0), ("a", 5.0), ("z", 4.0))],
    ).values()
    following, similar = "next_track", "similar_to_recent"
    assert actual == [("x", following), ("a", similar), ("y", following), ("b", similar), ("z", following)]


def test_candidates_leave_out_what_was_just_played_or_skipped(spark):
    """The hours end at midnight: what is played then was not heard yet."""
    ages = (DAY + US, DAY, DAY - US, US, timedelta(0), -US)
    plays = [SEED | {"user_id": f"u{n}"} for n in range(6)] + [
        {"user_id": f"u{n}", "track_id": "a", "played_at": T - back, "skipped": True}
        for n, back in enumerate(ages)
    ]
    actual = choose_for_plays(
        spark, CandidateSettings(), plays, similar_rows=[neighbour_row("s1", ("a", 0.9))], next_rows=[]
    )
    assert sorted(actual) == ["u0", "u4", "u5"]


def test_candidates_have_no_row_for_a_listener_left_with_none(spark):
    plays = [
        SEED,
        SEED | {"user_id": "bot", "is_bot": True},
        SEED | {"user_id": "of the unknown", "track_id": "unknown"},
        SEED | {"user_id": "skipper", "skipped": True},
    ]
    similar_rows, loud = [neighbour_row("s1", ("loud", 0.9))], [catalogue_row("loud", explicit=True)]
    assert choose_for_plays(spark, CandidateSettings(explicit=False), plays, similar_rows, [], loud) == {}
    assert list(choose_for_plays(spark, CandidateSettings(), plays, similar_rows, [], loud)) == ["u1"]


def test_candidates_cap_artists_but_not_unknown_ones(spark):
    tracks = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("n1", None), ("n2", None), ("n3", None)]
    (actual,) = choose_for_plays(
        spark,
        CandidateSettings(per_artist=2, per_user=4),
        [SEED],
        similar_rows=[neighbour_row("s1", *[(track, 0.9) for track, _ in tracks])],
        next_rows=[],
        catalogue=[catalogue_row(track, artist) for track, artist in tracks[:-1]],
    ).values()
    assert [track for track, _ in actual] == ["a1", "a2", "n1", "n2"]


def test_candidates_take_neighbours_as_the_search_returns_them(spark):
    embedding_rows = [
        embedding("s1", DS, [1.0, 0.0]),
        embedding("near", DS, [1.0, 0.1], out_vector=[-1.0, 0.0]),
        embedding("after", DS, [-1.0, 0.0], out_vector=[5.0, 0.0]),
    ]
    embeddings = frame(spark, embedding_rows, TRACK_EMBEDDINGS)
    (row,) = choose_rows(
        frame(spark, [session_play(**SEED)], SESSIONS),
        embeddings,
        frame(spark, [], TRACKS),
        find_next_tracks(embeddings),
        frame(spark, neighbours(embedding_rows, "vector", "vector", 2), SIMILAR_TRACKS),
        CandidateSettings(),
    )
    assert (row["track_ids"], row["origins"]) == (["after", "near"], ["next_track", "similar_to_recent"])
    assert row["scores"][0] == 5.0


@pytest.mark.parametrize("without", ["vectors", "lists", "anything"])
def test_candidates_of_empty_inputs_are_empty(spark, without):
    embedding_rows = [embedding(track, DS, [1.0, 0.0]) for track in ("s1", "a")]
    similar_rows = [neighbour_row("s1", ("a", 0.9))]
    plays, embedding_rows, similar_rows = {
        "vectors": ([session_play(**SEED)], [embedding("s1", DS, None)], []),
        "lists": ([session_play(**SEED)], embedding_rows, []),
        "anything": ([], [], []),
    }[without]
    expected, actual = expect_and_compute(
        spark, plays, embedding_rows, [], CandidateSettings(), similar_rows, []
    )
    assert expected == actual == []


def test_candidates_refuse_lists_of_other_embeddings(spark):
    embedding_rows, similar_rows = [embedding("s1", DS, [1.0, 0.0])], [neighbour_row("s1", ("gone", 0.9))]
    with pytest.raises(Exception, match=r"'gone', have no vector.*Run build-similar-tracks"):
        expect_and_compute(
            spark, [session_play(**SEED)], embedding_rows, [], CandidateSettings(), similar_rows, []
        )


def test_candidate_settings_report_all_faults():
    with pytest.raises(SettingsError) as refusal:
        CandidateSettings(per_user=0, recent_hours=-1.0, seeds=0, per_artist=0, half_life_days=0.0)
    for fault in (
        "per_user is 0",
        "recent_hours is -1",
        "seeds is 0",
        "per_artist is 0",
        "half_life_days is 0",
    ):
        assert fault in str(refusal.value)
