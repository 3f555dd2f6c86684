"""Which listeners are learned from where sequences are too many: by a hash, whole, the same on every run."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from features.embeddings.listeners import PLACES, cut_places
from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.trainer import write_sequences, write_vocabulary
from reference import item2vec as reference
from reference.frames import frame
from reference.worlds import MIDNIGHT, session_play
from schemas.sessions import SESSIONS


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(any), st.integers(1, 40))
def test_cut_places_takes_as_many_as_fit_and_one_at_least(counts, most):
    chosen = cut_places(counts, most)
    fitting = [cut for cut in range(1, len(counts) + 1) if sum(counts[:cut]) <= most and any(counts[:cut])]
    first = next(cut for cut in range(1, len(counts) + 1) if any(counts[:cut]))
    assert chosen.cut == max(fitting, default=first)
    assert (chosen.sequences, chosen.counted) == (sum(counts[: chosen.cut]), sum(counts))


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(any), st.integers(1, 40), st.integers(0, 9)
)
def test_cut_places_of_more_holds_those_of_fewer(counts, most, more):
    assert cut_places(counts, most).cut <= cut_places(counts, most + more).cut


def place(user):
    return xxhash.xxh64_intdigest(user.encode(), seed=xxhash.xxh64_intdigest(b"item2vec", seed=42)) % PLACES


def world():
    """Listeners with one to four sessions, some of one play, some longer than a sequence may be; and bots."""
    draw = Random(2)
    return [
        session_play(
            play_id=f"{user}.{session}.{n}", user_id=f"u{user}", session_id=f"{user}.{session}", position=n,
            session_started_at=MIDNIGHT, track_id=f"t{draw.randrange(9)}", is_bot=user % 7 == 0,
        )
        for user in range(60)
        for session in range(draw.randint(1, 4))
        for n in range(1, draw.choice((1, 2, 3, 4, 9)) + 1)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def written(spark, tmp_path_factory):
    """Sequences of a world by listeners, as they are written twice from rows in another order; the settings."""
    plays, settings = world(), Settings(max_length=4, max_sequences=40, repeats=True)
    results = []
    for order in (list, reversed):
        scratch = Scratch(str(tmp_path_factory.mktemp("scratch")))
        sessions = frame(spark, list(order(plays)), SESSIONS)
        write_vocabulary(scratch, sessions, None, settings)
        said = []
        write_sequences(scratch, sessions, len(plays), settings, said.append)
        rows = scratch.table("sequences", ["fold", "tracks"])
        results.append((rows.to_pylist(), said, scratch))
    return plays, settings, results


def test_write_sequences_keeps_listeners_whole_and_the_same_ones(written):
    plays, settings, ((rows, said, scratch), (rows_again, said_again, _)) = written
    tokens = reference.vocabulary(plays, settings)
    numbers = {row["track_id"]: row["number"] for row in tokens}
    sequences_by_listener = defaultdict(list)
    for user in {play["user_id"] for play in plays}:
        of_user = [play for play in plays if play["user_id"] == user]
        sequences_by_listener[user] = reference.sequences(of_user, numbers, settings)
    kept, count = [], 0
    for user in sorted(sequences_by_listener, key=place):
        count += len(sequences_by_listener[user])
        if count > settings.max_sequences:
            break
        kept += sequences_by_listener[user]
    total = sum(map(len, sequences_by_listener.values()))
    assert 30 < len(kept) <= settings.max_sequences < total, "this world shows nothing"
    actual = [(row["fold"], row["tracks"]) for row in rows]
    assert Counter((f, tuple(t)) for f, t in actual) == Counter((f, tuple(t)) for f, t in kept)
    assert [f for f, _ in actual] == sorted(f for f, _ in kept), "files are read out of order"
    assert (rows, said) == (rows_again, said_again)
    assert f"about {len(kept)} of {total}, are learned from" in said[0]
    assert len(scratch.names("sequences")) >= 2


def test_write_sequences_counts_nothing_where_plays_are_too_few_to_exceed(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.embeddings.trainer.choose_listeners", None)
    plays = world()[:20]
    sessions, scratch = frame(spark, plays, SESSIONS), Scratch(str(tmp_path))
    settings = Settings(max_sequences=len(plays) // 2)
    write_vocabulary(scratch, sessions, None, settings)
    write_sequences(scratch, sessions, len(plays), settings)
    assert scratch.count_rows("sequences") == pq.read_table(scratch.path("sequences")).num_rows > 0
