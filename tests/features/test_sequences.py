"""What item2vec reads, against its definition in plain loops; many worlds in one DataFrame, as each Spark job costs."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from features.embeddings.sequences import FOLDS, build_sequences, build_vocabulary
from features.embeddings.settings import Settings
from reference import item2vec as reference
from reference.frames import frame
from reference.worlds import AROUND, MIDNIGHT, MS, US, World, session_play
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
            row = session_play(
                play_id=f"{name}.{run}.{position}", user_id=f"u{name}", played_at=at, position=position,
                session_id=session_id, session_started_at=started_at, is_bot=bot or rng.random() < 0.05,
                track_id=f"t{name}." + rng.choice("aaabbcdefgh"), artist_id=rng.choice((None, "a", "b", f"a{name}")),
                ms_played=rng.choice((None, 0, 60_000)), track_ms=rng.choice((None, 0, 120_000)),
            )  # fmt: skip
            yield row
            duration_ms = row["ms_played"] if row["ms_played"] is not None else row["track_ms"] or 0
            pause = rng.choice((timedelta(0), timedelta(minutes=GAP)))
            at += duration_ms * MS + max(timedelta(0), pause + rng.choice(AROUND))
        at += timedelta(hours=1)


def compute(spark, df, settings):
    """Vocabulary and sequences, in the order they come."""
    tokens = [row.asDict() for row in build_vocabulary(df, settings).collect()]
    return tokens, compute_sequences(spark, df, tokens, settings)


def compute_sequences(spark, df, tokens, settings, files=1):
    numbers = spark.createDataFrame([(row["number"], row["track_id"]) for row in tokens], NUMBERS)
    sequences = build_sequences(df, numbers, settings, files)
    assert sequences.rdd.getNumPartitions() == files
    return [(row["fold"], row["tracks"]) for row in sequences.collect()]


def compute_by_definition(world, settings):
    tokens = reference.vocabulary(world, settings)
    return tokens, reference.sequences(world, {row["track_id"]: row["number"] for row in tokens}, settings)


def sequences_by_session(spark, world, **options):
    """By session, the tracks of its sequences, numbered as the definition has it."""
    settings = PLAIN.replace(**options)
    tokens = reference.vocabulary(world, settings)
    rows = compute_sequences(spark, frame(spark, world, SESSIONS), tokens, settings)
    names = [row["track_id"] for row in tokens]
    result = {row["session_id"]: [] for row in world}
    session_by_fold = {reference.fold(session_id): session_id for session_id in result}
    for fold, tracks in rows:
        result[session_by_fold[fold]].append(" ".join(names[track] for track in tracks))
    return result


def session_plays(session_id, tracks, **columns):
    """A play of each of these tracks, a minute apart."""
    return [
        session_play(
            session_id=session_id, position=n, track_id=track, ms_played=0, play_id=f"{session_id}.{n}",
            played_at=NOON + n * timedelta(minutes=1), **columns,
        )
        for n, track in enumerate(tracks.split(), start=1)
    ]  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_build_sequences_equals_the_definition(spark, name):
    world = worlds(seed=sorted(CHOICES).index(name))
    tokens, rows = compute(spark, frame(spark, world, SESSIONS), CHOICES[name])
    expected_tokens, expected = compute_by_definition(world, CHOICES[name])
    assert tokens == expected_tokens
    assert rows == expected
    assert len(expected) > 20, "a world without sequences shows nothing"
    assert {type(fold) for fold, _ in rows} == {int} and all(0 <= fold < FOLDS for fold, _ in rows)


def test_build_sequences_does_not_depend_on_partitions(spark):
    world, settings = worlds(seed=7), CHOICES["cut by silence, rare tracks out"]
    repartitioned = frame(spark, reversed(world), SESSIONS).repartition(7, "track_id")
    tokens, rows = compute(spark, repartitioned, settings)
    assert (tokens, rows) == compute_by_definition(world, settings)
    assert rows == compute_sequences(spark, frame(spark, world, SESSIONS).coalesce(1), tokens, settings)
    assert [fold for fold, _ in rows] == sorted(fold for fold, _ in rows)
    assert compute_sequences(spark, repartitioned, tokens, settings, files=5) == rows, (
        "files are out of order"
    )


def test_build_vocabulary_numbers_by_plays_then_by_id(spark):
    world = session_plays(
        "s", "b a c c B é"
    )  # as bytes: capitals, then small letters, then what is not ASCII
    world += session_plays("bots", "z z z z", is_bot=True)
    vocabulary = build_vocabulary(frame(spark, world, SESSIONS), PLAIN)
    assert [tuple(row) for row in vocabulary.collect()] == [
        (0, "c", 2), (1, "B", 1), (2, "a", 1), (3, "b", 1), (4, "é", 1),
    ]  # fmt: skip
    assert dict(vocabulary.dtypes) == {"number": "int", "track_id": "string", "plays": "bigint"}


def test_build_sequences_separates_listeners_and_sessions_that_come_back(spark):
    """Two listeners may have one id from their sources; and an id that comes back begins again at place 1."""
    later = {"session_started_at": NOON, "artist_id": None}
    world = [
        *session_plays("mine", "a b"),
        *session_plays("twice", "c d e"),
        *[row | later | {"play_id": f"later {row['play_id']}"} for row in session_plays("twice", "f g h")],
        *session_plays("shared", "i j k", user_id="u1"),
        *[
            row | {"play_id": f"u2 {row['play_id']}"}
            for row in session_plays("shared", "l m n", user_id="u2")
        ],
    ]
    assert sequences_by_session(spark, world, gap_minutes=5.0) == {
        "mine": ["a b"],
        "twice": ["c d e", "f g h"],
        "shared": ["i j k", "l m n"],
    }


def test_build_sequences_counts_a_track_that_follows_itself_once(spark):
    world = [*session_plays("run", "a a a b b a"), *session_plays("alone", "a a a")]
    world += session_plays(
        "through a rare one", "a rare a b"
    )  # what is not learned does not keep repeats apart
    world += session_plays("bots between", "a c c b")
    between = [row for row in world if row["session_id"] == "bots between" and row["track_id"] == "c"]
    world = [row | {"is_bot": True} if row in between else row for row in world]
    without_repeats = sequences_by_session(spark, world, min_plays=2)
    assert without_repeats == {
        "run": ["a b a"],
        "alone": [],
        "through a rare one": ["a b"],
        "bots between": ["a b"],
    }
    with_repeats = sequences_by_session(spark, world, min_plays=2, repeats=True)
    assert with_repeats["run"] == ["a a a b b a"]
    assert with_repeats["alone"] == ["a a a"]


@pytest.mark.parametrize("minutes", [1.0, 4.1])  # 4.1 * 60e6 is a little less than 246,000,000
def test_build_sequences_cuts_at_silence_to_the_microsecond(spark, minutes):
    world = []
    for off in (-US, 0 * US, US):
        for duration, ms_played, track_ms in (
            ("heard", 1_000, 9_000),
            ("whole", None, 1_000),
            ("unknown", None, None),
        ):
            name = f"{duration} {off / US:+.0f}"
            first = session_play(
                session_id=name, play_id=f"{name} 1", track_id="a", ms_played=ms_played, track_ms=track_ms
            )
            end = first["played_at"] + (1_000 * MS if duration != "unknown" else 0 * MS)
            second = session_play(session_id=name, play_id=f"{name} 2", track_id="b", position=2)
            world += [first, second | {"played_at": end + round(minutes * 60_000_000) * US + off}]
    actual = sequences_by_session(spark, world, gap_minutes=minutes)
    assert actual == {name: [] if name.endswith("+1") else ["a b"] for name in actual}


def test_build_sequences_applies_min_plays_and_min_length(spark):
    world = [
        *session_plays("two", "a b"),
        *session_plays("three", "a b c"),
        *session_plays("with a rare one", "a b d"),
    ]
    world += session_plays("c again", "c")
    assert sequences_by_session(spark, world, min_plays=2, min_length=3) == {
        "two": [], "three": ["a b c"], "with a rare one": [], "c again": [],
    }  # fmt: skip
    assert sequences_by_session(spark, world, min_plays=2)["with a rare one"] == ["a b"]


def test_build_sequences_cuts_at_max_length(spark):
    world = [
        *session_plays("4", "a b c d"),
        *session_plays("5", "a b c d e"),
        *session_plays("6", "a b c d e a"),
    ]
    world += session_plays("11", "a b c d e a b c d e a")
    assert sequences_by_session(spark, world, max_length=5) == {
        "4": ["a b c d"],
        "5": ["a b c d e"],
        "6": ["a b c d e"],  # the one track left over is no sequence
        "11": ["a b c d e", "a b c d e"],
    }


def test_build_sequences_of_no_plays_is_empty(spark):
    settings = PLAIN.replace(gap_minutes=1.0)
    assert compute(spark, frame(spark, [], SESSIONS), settings) == ([], [])
    bots = frame(spark, session_plays("bots", "a b c", is_bot=True), SESSIONS)
    assert (
        compute_sequences(spark, bots, [{"number": n, "track_id": t} for n, t in enumerate("abc")], PLAIN)
        == []
    )
