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
from reference.windows import settled
from reference.worlds import DAY, FEW, MIDNIGHT, US, heard
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


def world(drawn):
    made, catalogue = [], []
    for track_id, (told, vector, coming, going, artist, explicit, known) in zip(IDS, drawn, strict=True):
        made.append(
            embedding(track_id, DS, None)
            if told is None
            else embedding(track_id, DS, vector, in_vector=coming, out_vector=going)
        )
        if known:
            catalogue.append(catalogued(track_id, artist, explicit))
    return made, catalogue


def catalogued(track_id, artist=None, explicit=None):
    bucket = reference.bucket(track_id)
    return {
        "track_id": track_id,
        "artist_id": artist,
        "explicit": explicit,
        "source": "test",
        "bucket": bucket,
    }


def computed(spark, plays, made, catalogue, settings, near=None, after=None):
    similar = neighbours(made, "vector", "vector", 6) if near is None else near
    following = neighbours(made, "in_vector", "out_vector", 6) if after is None else after
    found = chosen(
        frame(spark, plays, SESSIONS),
        frame(spark, made, TRACK_EMBEDDINGS),
        frame(spark, catalogue, TRACKS),
        frame(spark, following, SIMILAR_TRACKS),
        frame(spark, similar, SIMILAR_TRACKS),
        settings,
    )
    wanted = reference.candidates(plays, made, following, similar, catalogue, DS, settings)
    return wanted, settled(wanted, found, ["user_id"], 2e-6)


def chosen(listened, embeddings, catalogue, following, similar, settings):
    """Rows as they come out, the files written and mapped as the job does."""
    with TemporaryDirectory() as folder:
        files = CandidateFiles(Scratch(folder))
        files.write(embeddings, catalogue, following, similar)
        return rows(files.choose(listened, embeddings, DS, settings), CANDIDATES)


@FEW
@given(
    drawn=st.lists(_track, min_size=len(IDS), max_size=len(IDS)),
    listened=st.lists(_play, max_size=60),
    settings=_settings,
)
def test_the_definition_says_the_same(spark, drawn, listened, settings):
    made, catalogue = world(drawn)
    plays = [heard(play_id=str(n), **play) for n, play in enumerate(listened)]
    wanted, found = computed(spark, plays, made, catalogue, settings)
    assert_same(wanted, found, CANDIDATES.key, plays, "user_id")


def brings(track_id, *pairs):
    """A row of neighbours."""
    lists = {"neighbours": [track for track, _ in pairs], "scores": [score for _, score in pairs]}
    return {"track_id": track_id, "bucket": 0, **reference.of_day(DS), **lists, "search": "exact"}


def of_listeners(spark, settings, plays, near, after, catalogue=()):
    named = {track for row in (*near, *after) for track in row["neighbours"]}
    made = [embedding(track, DS, [1.0, 0.0]) for track in sorted({"s1", "s2", *named})]
    listened = [heard(play_id=str(n), **play) for n, play in enumerate(plays)]
    wanted, found = computed(spark, listened, made, list(catalogue), settings, near, after)
    assert_same(wanted, found, CANDIDATES.key, listened, "user_id")
    return {row["user_id"]: list(zip(row["track_ids"], row["origins"], strict=True)) for row in found}


SEED = {"track_id": "s1", "played_at": T - 30 * HOUR}


def test_origins_take_turns_and_a_track_of_both_stands_at_its_better_place(spark):
    (found,) = of_listeners(
        spark,
        CandidateSettings(),
        [SEED],
        near=[brings("s1", ("b", 0.9), ("a", 0.9), ("y", 0.5), ("minus", -0.5), ("zero", 0.0))],
        after=[brings("s1", ("x", 7.0), ("y", 6.0), ("a", 5.0), ("z", 4.0))],
    ).values()
    following, similar = "next_track", "similar_to_recent"
    assert found == [("x", following), ("a", similar), ("y", following), ("b", similar), ("z", following)]


def test_what_was_just_played_or_skipped_is_left_out(spark):
    """The hours end at midnight: what is played then was not heard yet."""
    day_before = (DAY + US, DAY, DAY - US, US, timedelta(0), -US)
    plays = [SEED | {"user_id": f"u{n}"} for n in range(6)] + [
        {"user_id": f"u{n}", "track_id": "a", "played_at": T - back, "skipped": True}
        for n, back in enumerate(day_before)
    ]
    found = of_listeners(spark, CandidateSettings(), plays, near=[brings("s1", ("a", 0.9))], after=[])
    assert sorted(found) == ["u0", "u4", "u5"]


def test_who_is_left_with_none_has_no_row(spark):
    plays = [
        SEED,
        SEED | {"user_id": "bot", "is_bot": True},
        SEED | {"user_id": "of the unknown", "track_id": "unknown"},
        SEED | {"user_id": "skipper", "skipped": True},
    ]
    near, loud = [brings("s1", ("loud", 0.9))], [catalogued("loud", explicit=True)]
    assert of_listeners(spark, CandidateSettings(explicit=False), plays, near, [], loud) == {}
    assert list(of_listeners(spark, CandidateSettings(), plays, near, [], loud)) == ["u1"]


def test_artists_are_capped_and_the_unknown_is_none_of_them(spark):
    tracks = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("n1", None), ("n2", None), ("n3", None)]
    (found,) = of_listeners(
        spark,
        CandidateSettings(per_artist=2, per_user=4),
        [SEED],
        near=[brings("s1", *[(track, 0.9) for track, _ in tracks])],
        after=[],
        catalogue=[catalogued(track, artist) for track, artist in tracks[:-1]],
    ).values()
    assert [track for track, _ in found] == ["a1", "a2", "n1", "n2"]


def test_neighbours_are_taken_as_the_search_gives_them(spark):
    made = [
        embedding("s1", DS, [1.0, 0.0]),
        embedding("near", DS, [1.0, 0.1], out_vector=[-1.0, 0.0]),
        embedding("after", DS, [-1.0, 0.0], out_vector=[5.0, 0.0]),
    ]
    embeddings = frame(spark, made, TRACK_EMBEDDINGS)
    (row,) = chosen(
        frame(spark, [heard(**SEED)], SESSIONS),
        embeddings,
        frame(spark, [], TRACKS),
        find_next_tracks(embeddings),
        frame(spark, neighbours(made, "vector", "vector", 2), SIMILAR_TRACKS),
        CandidateSettings(),
    )
    assert (row["track_ids"], row["origins"]) == (["after", "near"], ["next_track", "similar_to_recent"])
    assert row["scores"][0] == 5.0


@pytest.mark.parametrize("without", ["vectors", "lists", "anything"])
def test_of_nothing_come_no_candidates(spark, without):
    made = [embedding(track, DS, [1.0, 0.0]) for track in ("s1", "a")]
    near = [brings("s1", ("a", 0.9))]
    plays, made, near = {
        "vectors": ([heard(**SEED)], [embedding("s1", DS, None)], []),
        "lists": ([heard(**SEED)], made, []),
        "anything": ([], [], []),
    }[without]
    wanted, found = computed(spark, plays, made, [], CandidateSettings(), near, [])
    assert wanted == found == []


def test_lists_of_other_embeddings_are_refused(spark):
    made, near = [embedding("s1", DS, [1.0, 0.0])], [brings("s1", ("gone", 0.9))]
    with pytest.raises(Exception, match=r"'gone', have no vector.*Run build-similar-tracks"):
        computed(spark, [heard(**SEED)], made, [], CandidateSettings(), near, [])


def test_settings_are_refused_with_all_their_faults():
    with pytest.raises(SettingsError) as refused:
        CandidateSettings(per_user=0, recent_hours=-1.0, seeds=0, per_artist=0, half_life_days=0.0)
    for fault in (
        "per_user is 0",
        "recent_hours is -1",
        "seeds is 0",
        "per_artist is 0",
        "half_life_days is 0",
    ):
        assert fault in str(refused.value)
