"""Listeners among the tracks, against the sum over every play in plain Python."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings.users import HalfLifeError, build_user_embeddings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.vector_files import VectorFiles
from reference import embeddings as reference
from reference.embeddings import embedding
from reference.frames import frame, rows
from reference.rows import assert_same
from reference.windows import snap_to_expected
from reference.worlds import DAY, FEW, MIDNIGHT, US, session_play
from schemas.sessions import SESSIONS
from schemas.track_embeddings import TRACK_EMBEDDINGS
from schemas.user_embeddings import USER_EMBEDDINGS

DS = MIDNIGHT.date()
T = MIDNIGHT + DAY
TRACKS = ("t1", "t2", "T2", "t3", "minus t3", "zero", "none", "not catalogued")
EMBEDDINGS = [
    embedding("t1", DS, [1.0, 2.0]),
    embedding("t2", DS, [3.0, -1.0]),
    embedding("T2", DS, [0.5, 0.5], in_vector=[0.0, 0.0]),
    embedding("t3", DS, [0.1, 0.7]),
    embedding("minus t3", DS, [-0.1, -0.7]),
    embedding("zero", DS, [0.0, 0.0]),
    embedding("none", DS, None),
]
_play = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from([f"u{n}" for n in range(12)]),
        "track_id": st.sampled_from(TRACKS),
        "played_at": st.builds(
            lambda back, off: T - back * DAY + off,
            st.sampled_from((0, 0, 1, 2, 7, 29)),
            st.sampled_from((timedelta(0), -US, US, timedelta(hours=5))),
        ),
        "skipped": st.sampled_from((None, False, False, True)),
        "is_bot": st.sampled_from((False, False, False, True)),
    }
)


@pytest.fixture(scope="module")
def compute(spark, tmp_path_factory):
    """Of plays, the rows; vectors are in files, as the job leaves them."""
    tracks = frame(spark, EMBEDDINGS, TRACK_EMBEDDINGS)
    files = VectorFiles(Scratch(str(tmp_path_factory.mktemp("scratch"))))
    files.write(tracks)

    def average(plays, half_life=7.0):
        return rows(files.average(frame(spark, plays, SESSIONS), tracks, DS, half_life), USER_EMBEDDINGS)

    return average


# one more: the simplest has no plays
@settings(FEW, max_examples=5)
@given(
    play_values=st.lists(_play, max_size=60),
    half_life=st.sampled_from((0.5, 7.0, 1e6)),
    batch=st.integers(1, 9),
)
def test_build_user_embeddings_equals_the_definition(spark, compute, play_values, half_life, batch):
    """However a listener's rows fall on Arrow's batches."""
    plays = [session_play(play_id=str(n), **play) for n, play in enumerate(play_values)]
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(batch))
    try:
        actual = compute(plays, half_life)
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "20000")
    expected = reference.user_embeddings(plays, EMBEDDINGS, DS, half_life)
    assert_same(
        expected, snap_to_expected(expected, actual, ["user_id"], 1e-6), USER_EMBEDDINGS.key, plays, "user_id"
    )


def test_build_user_embeddings_halves_the_weight_in_a_half_life(compute):
    plays = [
        session_play(play_id="new", track_id="t1", played_at=T - DAY),
        session_play(play_id="old", track_id="t2", played_at=T - 3 * DAY),
    ]
    (row,) = compute(plays, half_life=2.0)
    assert row["weight"] == pytest.approx(0.5**0.5 * 1.5)
    assert row["support"] == 2
    assert row["in_vector"] == pytest.approx([(1.0 + 3.0 / 2) / 1.5, (2.0 - 1.0 / 2) / 1.5])
    assert math.hypot(*row["vector"]) == pytest.approx(1.0)


def test_build_user_embeddings_has_no_row_without_a_direction(compute):
    cases = [
        [{"track_id": "none"}, {"track_id": "not catalogued"}],
        [{"track_id": "zero"}],
        [{"track_id": "t3"}, {"track_id": "minus t3"}],
        [{"is_bot": True}],
        [{"skipped": True}],
        [{"played_at": T}],
        [{"played_at": T - 19_000 * DAY}],  # 0.5 ** 2714 is no number any more
        [{"played_at": T - US}],
    ]
    plays = [
        session_play(play_id=f"{n}.{i}", user_id=f"u{n}", **play)
        for n, case in enumerate(cases)
        for i, play in enumerate(case)
    ]
    assert [row["user_id"] for row in compute(plays)] == [f"u{len(cases) - 1}"]
    assert compute([]) == []


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan")])
def test_build_user_embeddings_refuses_a_half_life_of_0_or_less(half_life):
    with pytest.raises(HalfLifeError, match="must be above 0"):
        build_user_embeddings(None, None, None, DS, half_life, None)
