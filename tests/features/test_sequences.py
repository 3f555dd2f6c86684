"""What item2vec reads, against its definition in plain loops; many worlds in one DataFrame, as each Spark job costs."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from features.embeddings.sequences import FOLDS, build_sequences, build_vocabulary
from features.embeddings.settings import Settings
from reference import item2vec as reference
from reference.frames import frame
from reference.worlds import AROUND, MIDNIGHT, MS, US, World, heard
from schemas.sessions import SESSIONS

NOON = MIDNIGHT + timedelta(hours=12)
GAP = 10  # minutes
PLAIN = Settings()
CHOICES = {
    "as they come": PLAIN,
    "cut by silence, rare tracks out": PLAIN.replace(gap_minutes=GAP, min_plays=3),
    "cut by length": PLAIN.replace(max_length=3, repeats=True),
    "everything": PLAIN.replace(repeats=True, gap_minutes=GAP, min_plays=2, min_length=3, max_length=4),
}
NUMBERS = "number int not null, track_id string not null"


def worlds(seed, count=60):
    """Rows of `sessions` out of order. Every world has tracks of its own, and ids of sessions that others have too."""
    rng = Random(seed)
    rows = [row for world in range(count) for row in _world(rng, str(world))]
    rng.shuffle(rows)
    return World(rows)


def _world(rng, name):
    at = NOON
    for run in range(rng.randint(1, 4)):  # of few ids, so that a session comes back after another one
        session_id, started_at = rng.choice(("s", "s", "S", "", f"ü{name}", f"{name}.{run}")), at
        bot = rng.random() < 0.1
        for position in range(1, rng.choice((1, 2, 3, 4, 5, 6, 12)) + 1):
            row = heard(
                play_id=f"{name}.{run}.{position}", user_id=f"u{name}", played_at=at, position=position,
                session_id=session_id, session_started_at=started_at, is_bot=bot or rng.random() < 0.05,
                track_id=f"t{name}." + rng.choice("aaabbcdefgh"), artist_id=rng.choice((None, "a", "b", f"a{name}")),
                ms_played=rng.choice((None, 0, 60_000)), track_ms=rng.choice((None, 0, 120_000)),
            )  # fmt: skip
            yield row
            lasted = row["ms_played"] if row["ms_played"] is not None else row["track_ms"] or 0
            pause = rng.choice((timedelta(0), timedelta(minutes=GAP)))
            at += lasted * MS + max(timedelta(0), pause + rng.choice(AROUND))
        at += timedelta(hours=1)


def read(spark, df, settings):
    """Vocabulary and sequences, in the order they come."""
    tokens = [row.asDict() for row in build_vocabulary(df, settings).collect()]
    return tokens, sequenced(spark, df, tokens, settings)


def sequenced(spark, df, tokens, settings):
    numbers = spark.createDataFrame([(row["number"], row["track_id"]) for row in tokens], NUMBERS)
    return [(row["fold"], row["tracks"]) for row in build_sequences(df, numbers, settings).collect()]


def expected(world, settings):
    tokens = reference.vocabulary(world, settings)
    return tokens, reference.sequences(world, {row["track_id"]: row["number"] for row in tokens}, settings)


def of(spark, world, **given):
    """By session, the tracks of its sequences, numbered as the definition has it."""
    settings = PLAIN.replace(**given)
    tokens = reference.vocabulary(world, settings)
    rows = sequenced(spark, frame(spark, world, SESSIONS), tokens, settings)
    names = [row["track_id"] for row in tokens]
    found = {row["session_id"]: [] for row in world}
    at = {reference.fold(session_id): session_id for session_id in found}
    for fold, tracks in rows:
        found[at[fold]].append(" ".join(names[track] for track in tracks))
    return found


def session(session_id, tracks, **given):
    """A play of each of these tracks, a minute apart."""
    return [
        heard(
            session_id=session_id, position=n, track_id=track, ms_played=0, play_id=f"{session_id}.{n}",
            played_at=NOON + n * timedelta(minutes=1), **given,
        )
        for n, track in enumerate(tracks.split(), start=1)
    ]  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_sequences_are_as_defined(spark, name):
    world = worlds(seed=sorted(CHOICES).index(name))
    tokens, rows = read(spark, frame(spark, world, SESSIONS), CHOICES[name])
    wanted_tokens, wanted = expected(world, CHOICES[name])
    assert tokens == wanted_tokens
    assert rows == wanted
    assert len(wanted) > 20, "a world without sequences shows nothing"
    assert {type(fold) for fold, _ in rows} == {int} and all(0 <= fold < FOLDS for fold, _ in rows)


def test_where_rows_lie_changes_neither_numbers_nor_order(spark):
    world, settings = worlds(seed=7), CHOICES["cut by silence, rare tracks out"]
    elsewhere = frame(spark, reversed(world), SESSIONS).repartition(7, "track_id")
    tokens, rows = read(spark, elsewhere, settings)
    assert (tokens, rows) == expected(world, settings)
    assert rows == sequenced(spark, frame(spark, world, SESSIONS).coalesce(1), tokens, settings)
    assert [fold for fold, _ in rows] == sorted(fold for fold, _ in rows)


def test_numbers_go_by_plays_then_by_id(spark):
    world = session("s", "b a c c B é")  # as bytes: capitals, then small letters, then what is not ASCII
    world += session("bots", "z z z z", is_bot=True)
    found = build_vocabulary(frame(spark, world, SESSIONS), PLAIN)
    assert [tuple(row) for row in found.collect()] == [
        (0, "c", 2), (1, "B", 1), (2, "a", 1), (3, "b", 1), (4, "é", 1),
    ]  # fmt: skip
    assert dict(found.dtypes) == {"number": "int", "track_id": "string", "plays": "bigint"}


def test_a_session_is_one_listeners_and_ends_where_another_begins(spark):
    """Two listeners may have one id from their sources; and an id that comes back begins again at place 1."""
    later = {"session_started_at": NOON, "artist_id": None}
    world = [
        *session("mine", "a b"),
        *session("twice", "c d e"),
        *[row | later | {"play_id": f"later {row['play_id']}"} for row in session("twice", "f g h")],
        *session("shared", "i j k", user_id="u1"),
        *[row | {"play_id": f"u2 {row['play_id']}"} for row in session("shared", "l m n", user_id="u2")],
    ]
    assert of(spark, world, gap_minutes=5.0) == {
        "mine": ["a b"],
        "twice": ["c d e", "f g h"],
        "shared": ["i j k", "l m n"],
    }


def test_a_track_that_follows_itself_counts_once(spark):
    world = [*session("run", "a a a b b a"), *session("alone", "a a a")]
    world += session("through a rare one", "a rare a b")  # what is not learned does not keep repeats apart
    world += session("bots between", "a c c b")
    between = [row for row in world if row["session_id"] == "bots between" and row["track_id"] == "c"]
    world = [row | {"is_bot": True} if row in between else row for row in world]
    collapsed = of(spark, world, min_plays=2)
    assert collapsed == {
        "run": ["a b a"],
        "alone": [],
        "through a rare one": ["a b"],
        "bots between": ["a b"],
    }
    kept = of(spark, world, min_plays=2, repeats=True)
    assert kept["run"] == ["a a a b b a"]
    assert kept["alone"] == ["a a a"]


@pytest.mark.parametrize("minutes", [1.0, 4.1])  # 4.1 * 60e6 is a little less than 246,000,000
def test_the_silence_that_cuts_to_the_unit(spark, minutes):
    world = []
    for off in (-US, 0 * US, US):
        for lasted, ms_played, track_ms in (
            ("heard", 1_000, 9_000),
            ("whole", None, 1_000),
            ("unknown", None, None),
        ):
            name = f"{lasted} {off / US:+.0f}"
            first = heard(
                session_id=name, play_id=f"{name} 1", track_id="a", ms_played=ms_played, track_ms=track_ms
            )
            end = first["played_at"] + (1_000 * MS if lasted != "unknown" else 0 * MS)
            second = heard(session_id=name, play_id=f"{name} 2", track_id="b", position=2)
            world += [first, second | {"played_at": end + round(minutes * 60_000_000) * US + off}]
    found = of(spark, world, gap_minutes=minutes)
    assert found == {name: [] if name.endswith("+1") else ["a b"] for name in found}


def test_rare_tracks_and_short_sequences_at_their_limits(spark):
    world = [*session("two", "a b"), *session("three", "a b c"), *session("with a rare one", "a b d")]
    world += session("c again", "c")
    assert of(spark, world, min_plays=2, min_length=3) == {
        "two": [], "three": ["a b c"], "with a rare one": [], "c again": [],
    }  # fmt: skip
    assert of(spark, world, min_plays=2)["with a rare one"] == ["a b"]


def test_long_sequences_are_cut_at_their_limit(spark):
    world = [*session("4", "a b c d"), *session("5", "a b c d e"), *session("6", "a b c d e a")]
    world += session("11", "a b c d e a b c d e a")
    assert of(spark, world, max_length=5) == {
        "4": ["a b c d"],
        "5": ["a b c d e"],
        "6": ["a b c d e"],  # the one track left over is no sequence
        "11": ["a b c d e", "a b c d e"],
    }


def test_no_plays_make_no_sequences(spark):
    settings = PLAIN.replace(gap_minutes=1.0)
    assert read(spark, frame(spark, [], SESSIONS), settings) == ([], [])
    bots = frame(spark, session("bots", "a b c", is_bot=True), SESSIONS)
    assert sequenced(spark, bots, [{"number": n, "track_id": t} for n, t in enumerate("abc")], PLAIN) == []
