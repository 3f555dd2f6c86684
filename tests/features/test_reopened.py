"""Days that are published and opened again for a few listeners, against plain Python and what was published."""

from __future__ import annotations

from collections import Counter

import pytest
from pyspark.sql import functions as F

from features.windows.daily import window_features
from features.windows.events import find_changed_entities
from features.windows.partials import partial_rows
from features.windows.reopened import ReopenedDays
from reference.computed import calendar
from reference.frames import frame, rows
from reference.partials import comparable
from reference.partials import partials as expected_partials
from reference.rows import assert_same, midnight_after
from reference.windows import snap_to_expected
from reference.windows import window_features as expected_features
from reference.worlds import US, history, session_play
from schemas.declarations import LIFETIME, USER, Feature, FeatureGroup
from schemas.sessions import SESSIONS

GROUP = FeatureGroup(
    "reopened_features",
    USER,
    "what is summed up, listed and counted anew",
    (
        Feature("plays", "count", "play_id", "plays", ("3d", LIFETIME)),
        Feature("completion", "variance", "completion", "share^2", ("7d",)),
        Feature("artists", "first", "artist_id", "id", (LIFETIME,)),
        Feature("tracks", "last_k", "track_id", "ids", ("45d",), k=2),
        Feature("tracks", "top_k", "track_id", "ids", ("45d",), k=2),
        Feature("tracks", "distinct", "track_id", "tracks", ("7d",)),
        Feature("plays", "streak", "played_at", "days", ("7d",)),
        Feature("plays", "decayed", "played_at", "plays", ("7d",)),
    ),
    where="not is_bot",
)
# Published before the last day came; on those at its end plays came late, were corrected, or were taken out.
OPEN_DAYS = 9


class Night:
    """The plays of before and now, and what was published of those of before."""

    def __init__(self, spark):
        self.world, feature_days = history(8, (0, 0, 1, 2, 3, 4, 6, 8, 30))
        self.days = calendar(self.world, feature_days)
        *_, self.last = self.days
        self.reopened = self.days[-1 - OPEN_DAYS : -1]
        self.before = list(self._list_plays_of_before())
        sessions = frame(spark, self.before, SESSIONS)
        self.sessions = frame(spark, self.world, SESSIONS)
        self.partials = partial_rows(sessions, GROUP, self.days[:-1]).localCheckpoint()
        self.features = window_features(self.partials, sessions, GROUP, self.reopened).localCheckpoint()
        now = self.sessions.where(F.col("ds") < self.last)
        self.entities = find_changed_entities(sessions, now, GROUP).localCheckpoint()

    def _list_plays_of_before(self):
        recent = [play for play in self.world if play["ds"] in self.reopened]
        users = sorted({play["user_id"] for play in recent})[::3]
        for n, play in enumerate(self.world):
            changes = play["user_id"] in users and play["ds"] in self.reopened
            if play["ds"] < self.last and not (changes and n % 3 == 0):
                yield play | ({"track_id": "another"} if changes and n % 3 == 1 else {})
        at = midnight_after(self.reopened[0]) - US
        yield session_play(play_id="gone", user_id="gone", played_at=at)
        yield session_play(play_id="bot", user_id="bot", played_at=at, is_bot=True)

    def reopen(self, published):
        return ReopenedDays(self.reopened, self.entities, published)

    def list_changed_users(self):
        """Whose plays that count are others, in plain Python."""
        sides = [
            Counter(str(sorted(play.items())) for play in plays if not play["is_bot"])
            for plays in (self.before, [play for play in self.world if play["ds"] < self.last])
        ]
        differ = set((sides[0] - sides[1]) + (sides[1] - sides[0]))
        return {
            play["user_id"] for play in (*self.before, *self.world) if str(sorted(play.items())) in differ
        }


@pytest.fixture(scope="module")
def night(spark):
    return Night(spark)


def test_find_changed_entities_equals_plain_python(night):
    changed, everybody = night.list_changed_users(), {play["user_id"] for play in night.world}
    assert "gone" in changed and 1 < len(changed) < len(everybody) / 2
    assert {row["user_id"] for row in night.entities.collect()} == changed


def test_partials_and_features_of_reopened_days_equal_plain_python(night):
    stale = [*night.reopened, night.last]
    made = partial_rows(
        night.sessions, GROUP, stale, night.partials, reopened=night.reopen(night.partials)
    ).localCheckpoint()
    expected = [row for row in expected_partials(night.world, GROUP, night.days) if row["ds"] in stale]
    actual = rows(made, GROUP.partials_contract())
    _assert_same(comparable(expected, GROUP), comparable(actual, GROUP), ("user_id", "ds", "span"), night)

    partials = night.partials.where(~F.col("ds").isin(stale)).unionByName(made)
    features = window_features(partials, night.sessions, GROUP, stale, reopened=night.reopen(night.features))
    expected = expected_features(night.world, GROUP, stale)
    _assert_same(expected, rows(features, GROUP.contract()), ("user_id", "ds"), night)


def test_rows_of_everybody_else_are_those_published(night):
    published = night.features.withColumn("plays_count_3d", F.lit(-1))
    features = window_features(
        night.partials, night.sessions, GROUP, night.reopened, reopened=night.reopen(published)
    )
    changed = night.list_changed_users()
    actual = rows(features, GROUP.contract())
    assert {row["user_id"] in changed for row in actual} == {True, False}
    assert all((row["plays_count_3d"] == -1) == (row["user_id"] not in changed) for row in actual)


def _assert_same(expected, actual, key, night):
    assert expected, "nothing is expected, so this shows nothing"
    assert_same(expected, snap_to_expected(expected, actual, key), key, night.world, "user_id")
