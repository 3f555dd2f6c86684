"""A column is computed from what its lineage names, and from nothing else: inputs are changed, and what follows seen.

By the definitions in plain Python, which the engine is held to elsewhere.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.catalogue import lineage
from jobs.catalogue.lineage import ColumnInput, Lineage
from jobs.sources import Source
from reference import own_events
from reference.declared import feature_with_input, group
from reference.rows import midnight_after
from reference.sessions import sessions
from reference.windows import value
from reference.worlds import MIDNIGHT, day, play, session_play
from schemas import CONTRACTS, FEATURE_GROUPS
from schemas.operations import OPERATIONS
from schemas.plays import PLAYS
from schemas.sessions import SESSIONS

NOON = MIDNIGHT + timedelta(hours=12)
COPIED = [name for name in PLAYS.names if name not in ("bucket", "available_at", "ds", "source")]

# Values that differ from those of `play`, each so that something follows from it.
CHANGES = {
    "play_id": ["p0", "zz"],
    "user_id": ["u2"],
    "track_id": ["t2"],
    "artist_id": ["a2", None],
    "played_at": [NOON + timedelta(minutes=n) for n in (-61, 59)],
    "ms_played": [None, 5_000, 109_000_000],
    "track_ms": [None, 9_000],
    "skipped": [True, False],
    "saved": [True],
    "source_session_id": ["s"],
}
# Of what a column names but this small world does not show: it takes a thousand plays to be a bot by their number.
UNSEEN = {("is_bot", "play_id"), ("is_bot", "user_id"), ("is_bot", "ds")}


# One listener, one session: each gap is just bridged by the play before it, the last by the one of higher id.
WORLD = [
    play(
        play_id="p1", track_id="a", played_at=NOON - timedelta(minutes=40), ms_played=None, track_ms=900_000
    ),
    play(play_id="p3", track_id="b", played_at=NOON, ms_played=20_000),
    play(play_id="p5", track_id="c", played_at=NOON, ms_played=1_500_000),
    play(play_id="p7", track_id="d", played_at=NOON + timedelta(minutes=45)),
]


def find_changed(place, column, other):
    """Columns of sessions in which some row is another, once the play at this place has this value."""
    world = [row | {column: other} if n == place else row for n, row in enumerate(WORLD)]
    # rows are of the same play by a column that stays
    name = "play_id" if column == "track_id" else "track_id"
    unchanged, changed = ({row[name]: row for row in sessions(rows)} for rows in (WORLD, world))
    assert unchanged.keys() == changed.keys()
    return {each for key, row in unchanged.items() for each in row if row[each] != changed[key][each]}


def test_columns_of_sessions_change_with_the_columns_of_plays_that_they_name():
    inputs = Lineage().inputs
    declared = {
        (name, each.column)
        for name in SESSIONS.names
        for each in inputs.get(("sessions", name), ())
        if each.table == "plays"
    }
    seen = {
        (name, column)
        for column, values in CHANGES.items()
        for other in values
        for place in range(len(WORLD))
        for name in find_changed(place, column, other)
    }
    # the bucket follows from a column of its own row, and ds of a play is that of its instant
    seen -= {("bucket", "user_id"), ("ds", "played_at")}
    assert CHANGES.keys() == set(COPIED)
    assert seen - declared == set(), "not named"
    assert declared - seen == {("ds", "ds")} | UNSEEN, "named, and nothing follows from them"


@pytest.mark.parametrize("op", OPERATIONS)
def test_features_change_with_no_column_that_they_do_not_name(op, monkeypatch):
    declared = group(feature_with_input(op, where="position = 1"), where="not is_bot")
    monkeypatch.setattr(lineage, "FEATURE_GROUPS", (declared,))
    monkeypatch.setattr(lineage, "CONTRACTS", {"g_features": declared.contract(), "sessions": SESSIONS})
    (feature,) = declared.features
    (window,) = feature.windows
    names = {each.column for each in Lineage().inputs["g_features", feature.name(window)]}
    assert names >= {"user_id", "played_at", "position", "is_bot"}

    plays = [
        session_play(play_id=f"p{n}", played_at=NOON + timedelta(minutes=n // 2), track_id=f"t{n}")
        for n in range(6)
    ]
    others = {
        "track_id": "t0", "artist_id": "a2", "ms_played": 1, "track_ms": 1, "session_id": "s2", "completion": 0.1,
        "session_started_at": NOON, "skipped": True, "saved": True, "play_id": "p9",
    }  # fmt: skip
    t = midnight_after(day(NOON))
    for column, other in others.items():
        changed = [
            {**row, column: f"p{9 - n}" if column == "play_id" else other} for n, row in enumerate(plays)
        ]
        if value(changed, feature, window, t) != value(plays, feature, window, t):
            assert column in names, f"{op} follows from {column}"


def test_every_feature_and_part_names_columns_of_sessions():
    inputs = Lineage().inputs
    for each in FEATURE_GROUPS:
        names = [feature.name(window) for feature, window in each.feature_windows]
        keys = [(each.table, name) for name in names] + [
            (each.partials_table, part.name) for part in each.parts
        ]
        for key in keys:
            assert {i.table for i in inputs[key]} == {"sessions"}, key
            assert {i.column for i in inputs[key]} <= set(SESSIONS.names), key
            assert {*each.keys, "played_at"} <= {i.column for i in inputs[key]}, key


def test_trace_goes_back_to_the_columns_of_a_source():
    source = Source(name="ours", plays={"ms_played": "seconds * 1000", "track_ms": "no ( SQL"})
    traced = Lineage(source).trace("user_features", "completion_mean_7d")
    assert traced[0] == ColumnInput("sessions", "completion")
    assert [(i.table, i.column) for i in traced if i.table == "source:ours"] == [("source:ours", "seconds")]
    assert len({(i.table, i.column) for i in traced}) == len(traced)
    assert Lineage(source).source_sql("plays", "track_ms") == "no ( SQL"


def test_dependents_are_the_inputs_the_other_way_round():
    found = Lineage()
    pairs = {(i.table, i.column, *key) for key, inputs in found.inputs.items() for i in inputs}
    assert pairs == {(*source, *user) for source, users in found.dependents.items() for user in users}
    assert ("user_features", "completion_mean_7d") in found.dependents["sessions", "completion"]
    assert {table for table, _ in found.inputs} <= {*CONTRACTS, "user_track_features", "user_artist_features"}


@pytest.fixture
def own(monkeypatch):
    searches, groups = own_events.declare()
    monkeypatch.setattr(lineage, "FEATURE_GROUPS", tuple(groups.values()))
    contracts = [each.contract() for each in groups.values() if each.daily] + [searches.contract]
    contracts += [each.partials_contract() for each in groups.values()]
    monkeypatch.setattr(lineage, "CONTRACTS", CONTRACTS | {each.name: each for each in contracts})
    return Lineage(None, {"searches": Source(name="log", events={"searches": {"query": "lower(text)"}})})


@pytest.mark.parametrize(
    ("table", "column", "inputs"),
    [
        ("search_features", "queries_distinct_7d", "searches.query searches.user_id searches.searched_at"),
        # which of two at one instant is the newer one, their ids say
        (
            "search_features",
            "queries_last_k_7d",
            "searches.query searches.user_id searches.searched_at searches.search_id",
        ),
        (
            "album_features",
            "titles_top_k_7d",
            "tracks.title sessions.position tracks.album sessions.played_at",
        ),
        ("album_features", "album", "tracks.album"),
        (
            "user_year_features",
            "plays_count_7d",
            "plays.play_id plays.user_id tracks.released_on plays.played_at",
        ),
        ("user_year_features", "release_year", "tracks.released_on"),
        ("search_partials", "ds", "searches.ds"),
        ("searches", "query", "source:log.text"),
    ],
)
def test_groups_name_columns_of_their_own_events_and_of_the_catalogue(own, table, column, inputs):
    assert {f"{each.table}.{each.column}" for each in own.inputs[table, column]} == {*inputs.split()}
