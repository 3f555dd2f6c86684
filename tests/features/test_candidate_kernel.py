"""Candidates over arrays, against the same definition in plain loops; no Spark, so hundreds of worlds."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import candidate_arrays
from features.embeddings.candidate_arrays import Pool, StaleNeighboursError, choose, number_lists
from features.embeddings.candidate_kernel import Lists
from features.embeddings.settings import CandidateSettings
from reference import embeddings as reference
from reference.rows import assert_same, midnight_after
from reference.worlds import MIDNIGHT, session_play

DS = MIDNIGHT.date()
T = midnight_after(DS)
EPOCH = datetime(1970, 1, 1, tzinfo=T.tzinfo)
# In the order of their bytes, which is another one than that of a number in them, or of case.
IDS = sorted((*(f"t{n}" for n in range(36)), "T1", "ü", "用", "t1 "), key=str.encode)
# Few of them, so that many sums are equal; those of thirds and sevenths are equal but for their last bits.
_scores = st.sampled_from((-1.0, 0.0, 0.125, 0.25, 0.5, 0.5, 1.0, 40.0, 5000.0))
_lists = st.dictionaries(
    st.sampled_from(IDS), st.dictionaries(st.sampled_from(IDS), _scores, max_size=25), max_size=20
)
_plays = st.lists(
    st.tuples(
        st.sampled_from(("hot", "hot", "hot", "u1", "u2", "ü")),
        st.sampled_from(IDS),
        st.sampled_from((0, 1, 30, 30, 31, 200, 720)),
        st.sampled_from((None, False, False, True)),
    ),
    max_size=80,
)
_settings = st.builds(
    CandidateSettings,
    per_user=st.sampled_from((1, 3, 7, 100, 10**6)),
    recent_hours=st.sampled_from((0.0, 0.5, 24.0, 1000.0)),
    seeds=st.sampled_from((1, 2, 10, 1000)),
    explicit=st.booleans(),
    per_artist=st.sampled_from((1, 2, 5)),
    half_life_days=st.sampled_from((1e-6, 0.5, 7.0, float("inf"))),
)
_catalogue = st.dictionaries(
    st.sampled_from(IDS),
    st.tuples(st.sampled_from((None, "a1", "a2", "")), st.sampled_from((None, False, True))),
)


@settings(max_examples=300, deadline=None)
@given(following=_lists, similar=_lists, play_values=_plays, catalogue=_catalogue, options=_settings)
def test_choose_equals_the_definition(following, similar, play_values, catalogue, options):
    plays = plays_of(play_values)
    tracks = [{"track_id": t, "artist_id": a, "explicit": e} for t, (a, e) in catalogue.items()]
    actual = choose_rows(plays, pool(following, similar, catalogue), options)
    assert_same(
        choose_by_definition(plays, following, similar, tracks, options),
        actual,
        ("user_id",),
        plays,
        "user_id",
    )


@settings(max_examples=50, deadline=None)
@given(following=_lists, play_values=_plays, places=st.integers(1, 30))
def test_choose_does_not_depend_on_places_filled_at_a_time(following, play_values, places):
    plays, options, mapped_pool = (
        plays_of(play_values),
        CandidateSettings(per_user=5),
        pool(following, {}, {}),
    )
    expected = choose_rows(plays, mapped_pool, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate_arrays, "PLACES", places)
        assert choose_rows(plays, mapped_pool, options) == expected


def plays_of(play_values):
    return [
        session_play(
            play_id=str(n),
            user_id=user,
            track_id=track,
            played_at=T - timedelta(hours=hours, microseconds=1),
            skipped=skipped,
        )
        for n, (user, track, hours, skipped) in enumerate(play_values)
    ]


def choose_by_definition(plays, following, similar, tracks, options):
    embeddings = [reference.embedding(track, DS, [1.0]) for track in IDS]
    lists = [to_rows(each) for each in (following, similar)]
    rows = reference.candidates(plays, embeddings, *lists, tracks, DS, options)
    names = ("user_id", "track_ids", "scores", "origins")
    return [
        {name: row[name] for name in names} | {"scores": [reference.float32(s) for s in row["scores"]]}
        for row in rows
    ]


def to_rows(lists):
    return [
        {"track_id": track, "neighbours": list(pairs), "scores": list(pairs.values())}
        for track, pairs in lists.items()
    ]


def choose_rows(plays, mapped_pool, options):
    batch = to_batch(plays, options)
    return [
        row for candidate_batch in choose(batch, mapped_pool, options) for row in candidate_batch.to_pylist()
    ]


def to_batch(plays, options):
    """As `collect_plays` says, tracks in the order in which they were first drawn; with a row before the
    first, so that nothing rests on lists that begin where their values do."""
    recent_since = T - timedelta(hours=options.recent_hours)
    rows = []
    for user in sorted({p["user_id"] for p in plays}):
        user_plays = [p for p in plays if p["user_id"] == user]
        tracks = dict.fromkeys(p["track_id"] for p in user_plays)
        rows.append(
            {"user_id": user, "plays": [summarise_track(user_plays, track, recent_since) for track in tracks]}
        )
    kind = pa.struct({"number": pa.int32(), "last": pa.int64(), "recent": pa.bool_()})
    schema = pa.schema({"user_id": pa.string(), "plays": pa.list_(kind)})
    before = {"user_id": "before", "plays": [{"number": 0, "last": 1, "recent": True}]}
    return pa.RecordBatch.from_pylist([before, *rows], schema=schema).slice(1)


def summarise_track(plays, track, recent_since):
    track_plays = [p for p in plays if p["track_id"] == track]
    attentive_plays = [
        (p["played_at"] - EPOCH) // timedelta(microseconds=1) for p in track_plays if p["skipped"] is not True
    ]
    recent = any(p["played_at"] >= recent_since for p in track_plays)
    return {"number": IDS.index(track), "last": max(attentive_plays, default=None), "recent": recent}


def pool(following, similar, catalogue):
    artists = [catalogue.get(track, (None, None))[0] for track in IDS]
    artist_ids = sorted({artist for artist in artists if artist is not None})
    return Pool(
        pa.array(IDS),
        np.array([-1 if artist is None else artist_ids.index(artist) for artist in artists], np.int32),
        np.array([bool(catalogue.get(track, (None, None))[1]) for track in IDS]),
        to_lists(following),
        to_lists(similar),
    )


def to_lists(lists):
    pairs = [list(lists.get(track, {}).items()) for track in IDS]
    return Lists(
        np.append(0, np.cumsum([len(each) for each in pairs])),
        np.array([IDS.index(track) for each in pairs for track, _ in each], np.int32),
        np.array([score for each in pairs for _, score in each], np.float32),
    )


def test_choose_gives_a_seed_of_long_ago_its_share_when_it_is_the_newest():
    """And one whose share is too small to be a number still brings its neighbours, at the end."""
    plays = plays_of([("u1", "t1", 24 * 4000, False), ("u1", "t2", 24 * 8000, False)])
    lists = {"t1": {"t3": 0.5}, "t2": {"t4": 1.0, "t5": 1.0}}
    (row,) = choose_rows(plays, pool(lists, {}, {}), CandidateSettings(half_life_days=1.0))
    assert list(zip(row["track_ids"], row["scores"], strict=True)) == [("t3", 0.5), ("t4", 0.0), ("t5", 0.0)]


def test_choose_for_a_listener_of_all_tracks_equals_the_definition():
    """Ten thousand plays of every track there is, and lists of all of them: every sum ties or meets another."""
    random = np.random.default_rng(5)
    times = zip(random.integers(0, len(IDS), 10_000), random.integers(25, 700, 10_000), strict=True)
    play_values = [("hot", IDS[number], int(hours), False) for number, hours in times]
    whole = random.integers(1, 5, len(IDS)).tolist()
    lists = {track: dict(zip(IDS, map(float, whole), strict=True)) for track in IDS}
    options = CandidateSettings(seeds=1000, per_user=1000, per_artist=1000, half_life_days=100.0)
    plays = plays_of(play_values)
    actual = choose_rows(plays, pool(lists, lists, {}), options)
    assert len(actual[0]["track_ids"]) == len(IDS)
    assert_same(
        choose_by_definition(plays, lists, lists, [], options), actual, ("user_id",), plays[:1], "user_id"
    )


def test_number_lists_leaves_out_lists_of_unknown_tracks():
    rows = [
        {"track_id": "unknown", "neighbours": ["t1"], "scores": [1.0]},
        {"track_id": "t2", "neighbours": ["ü", "t1"], "scores": [2.0, 1.0]},
        {"track_id": "t1", "neighbours": [], "scores": []},
    ]
    schema = pa.schema(
        {"track_id": pa.string(), "neighbours": pa.list_(pa.string()), "scores": pa.list_(pa.float32())}
    )
    batch = pa.RecordBatch.from_pylist([rows[1], *rows], schema=schema).slice(1)
    two, one, other = (IDS.index(track) for track in ("t2", "t1", "ü"))
    assert number_lists(batch, pa.array(IDS)).to_pylist() == [
        {"number": two, "tracks": [other, one], "scores": [2.0, 1.0]},
        {"number": one, "tracks": [], "scores": []},
    ]
    with pytest.raises(StaleNeighboursError, match=r"2 neighbours, such as 'ü', have no vector"):
        number_lists(batch, pa.array(["t2"]))
