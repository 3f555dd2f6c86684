"""Attributions, rewards and outcomes of many made-up listeners, each kind in one call of Spark, against loops.

Every listener is a case of its own: what happens to one touches no other. The suite has some thousands, the soak more.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from random import Random

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from features.attributions import attribute_plays
from features.rewards import DayCount, Evidence, Windows, reward_plays
from features.windows.label_time import LabelTimeFeatures, label_time_features
from features.windows.partials import partial_rows
from features.windows.tiles import Tile
from reference import outcome_cases, outcomes, rewards
from reference.attributions import attributions
from reference.computed import calendar
from reference.frames import frame, rows
from reference.partials import fold_parts
from reference.rewards import HORIZONS, LABEL_DAYS, THROUGH
from reference.rows import Row, assert_same, bucket, same
from reference.shown import ALL_RULES, CATALOGUE_COLUMNS, SEEN, add_contents, is_seen, shown_and_played
from reference.windows import is_near, key_columns
from reference.worlds import DAY, MIDNIGHT, World
from schemas.attributions import ATTRIBUTIONS
from schemas.declarations import FeatureGroup
from schemas.impressions import IMPRESSIONS
from schemas.operations import NOT_AT_LABEL_TIME, window_days
from schemas.outcomes import reach
from schemas.reward_set import PLAY_REWARDS, SESSION_STARTS, TRACK_DISCOVERED, make_context_left
from schemas.rewards import AT_ONCE, Rewards
from schemas.sessions import SESSIONS
from schemas.starting_set import STARTING_SET, USER_FEATURE_GROUP

DECLARED = Rewards((*PLAY_REWARDS, make_context_left("artist_id"), TRACK_DISCOVERED))
GROUPS = (*STARTING_SET[1:], USER_FEATURE_GROUP.extend(SESSION_STARTS))
# Enough of them that some play after it, whatever the seed.
ERASED_AT = {f"world {n}": MIDNIGHT + (n % 4 > 1) * 59 * DAY + DAY / 2 for n in range(1, 60, 2)}


def check_attributions(spark: SparkSession, seed: int, cases: int) -> int:
    """How many rows there are, all of them as defined."""
    impressions, plays = shown_and_played(seed, cases)
    plays = add_contents(plays, seed + 1)
    shown = _by_user(impressions)
    # world by world: no listener's impression leads to the play of another
    expected = [
        row
        for user, own in _by_user(plays).items()
        for row in attributions(own, shown[user], ALL_RULES, is_seen)
    ]
    # each decision decides something here
    kinds = Counter((row["rule_id"], row["item_type"]) for row in expected)
    assert kinds.keys() == {(rule.name, each) for rule in ALL_RULES for each in rule.items}
    delays = {row["delay_ms"] for row in expected if row["rule_id"] == SEEN.name}
    assert {0, 1_799_999} <= delays and max(delays) < 1_800_000
    computed = attribute_plays(
        frame(spark, plays, SESSIONS.extend(CATALOGUE_COLUMNS)),
        frame(spark, impressions, IMPRESSIONS.contract),
        ALL_RULES,
    )
    actual = rows(computed, ATTRIBUTIONS)
    ids = {row.pop("attribution_id") for row in actual}
    assert len(ids) == len(actual)
    assert_same(expected, actual, ("rule_id", "play_id"), plays, "user_id")
    return len(actual)


def _by_user(events: Iterable[Row]) -> dict[str, list[Row]]:
    of_users: dict[str, list[Row]] = {}
    for row in events:
        of_users.setdefault(row["user_id"], []).append(row)
    return of_users


def check_rewards(spark: SparkSession, seed: int, cases: int) -> int:
    """How many plays there are, the rewards of all of them as defined; returns over sessions are among these."""
    plays = rewards.worlds(seed, cases)
    expected = rewards.rewards(plays, LABEL_DAYS, THROUGH, THROUGH, ERASED_AT)
    # each decision decides something here
    assert {row["status_60d"] for row in expected} == {"ripe", "unripe", "censored"}
    for reward in DECLARED.rewards:
        values = Counter(row[reward.name] for row in expected)
        # whether a play is a discovery is known of all
        assert reward is TRACK_DISCOVERED or values.pop(None) > 100, reward.name
        assert sum(count > 20 for count in values.values()) > 1, reward.name
    sessions = frame(spark, plays, SESSIONS).localCheckpoint()
    computed = reward_plays(_select(sessions, LABEL_DAYS), DECLARED, _gather(spark, plays, sessions))
    expected = [row | {"bucket": bucket(row["user_id"])} for row in expected]
    assert_same(expected, rows(computed, DECLARED.contract), ("play_id",), plays, "user_id")
    return len(expected)


def _gather(spark: SparkSession, plays: World, sessions: DataFrame) -> Evidence:
    """As the job does, of partials that loops have folded."""
    windows, counts = [], []
    for each in DECLARED.list_windows(GROUPS):
        days = tuple(day for day in LABEL_DAYS if find_status(day, each.horizon) == "ripe")
        request = LabelTimeFeatures(each.group, tuple(each.group.identities), days, each.ahead)
        tiles = {Tile(ds, span) for _, ds, span, _ in request.plan}
        partials = frame(spark, _fold(plays, each.group, tiles), each.group.partials_contract())
        windows.append(Windows(request, partials, _select(sessions, request.play_days)))
    for term, group in DECLARED.list_day_counts(GROUPS):
        # which rows there are is all that counts
        group = group.select(["plays_count_7d"])
        tiles = {Tile(MIDNIGHT.date() + n * DAY, span) for n in range(61) for span in (1, 2)}
        partials = frame(spark, _fold(plays, group, tiles), group.partials_contract())
        counts.append(DayCount(term.column, group, 60, LABEL_DAYS[:1], partials))
    statuses = {day: {horizon: find_status(day, horizon) for horizon in HORIZONS} for day in LABEL_DAYS}
    erased = {hashlib.sha256(user.encode()).hexdigest(): at for user, at in ERASED_AT.items()}
    # the last day's are not known yet
    later = _select(sessions, {day + n * DAY for day in LABEL_DAYS[:-1] for n in (0, 1)})
    return Evidence(statuses, windows, counts, later, erased)


def find_status(day: date, horizon: str) -> str:
    return "ripe" if horizon == AT_ONCE else rewards.status(day, window_days(horizon), THROUGH, THROUGH)


def _fold(plays: World, group: FeatureGroup, tiles: Iterable[Tile]) -> Iterator[Row]:
    """The partials that are read, of the tiles that have plays."""
    of_days: dict[date, list[Tile]] = {}
    found: dict[tuple[tuple[str, ...], Tile], list[Row]] = {}
    for tile in tiles:
        for n in range(tile.span):
            of_days.setdefault(tile.ds - n * DAY, []).append(tile)
    for play in plays:
        entity = tuple(play[key] for key in group.keys)
        for tile in of_days.get(play["ds"], ()) if None not in entity else ():
            found.setdefault((entity, tile), []).append(play)
    for (entity, tile), of_tile in found.items():
        yield {
            **key_columns(entity, tile.ds, group),
            "span": tile.span,
            **dict(fold_parts(of_tile, group, *tile)),
        }


def _select(events: DataFrame, days: Iterable[date]) -> DataFrame:
    return events.where(events["ds"].isin(list(days)))


def check_outcomes(spark: SparkSession, seed: int, cases: int) -> int:
    """How many values there are: outcomes as defined; and of listeners whose plays are others from the end of the
    label's horizon on, the same outcomes, of those whose plays are others within it, the same features."""
    rng, plays, labels = Random(seed), World(), []
    for number in range(cases):
        of_case, t, horizon, own = outcome_cases.draw_case(rng)
        for twin, begin, end in (
            ("", timedelta.max, timedelta.max),
            ("beyond ", outcomes.days(horizon), timedelta.max),
            ("within ", timedelta(0), outcomes.days(horizon)),
        ):
            user = f"{twin}{number}"
            for play in of_case:
                other = _OTHERS if begin <= play["played_at"] - t < end else {}
                plays.append(play | other | {"user_id": user, "play_id": f"{user} {play['play_id']}"})
            labels.append({"user_id": user, "at": t, "play_id": own and f"{user} {own}", "horizon": horizon})
    ahead, back = _look_both_ways(spark, plays, labels)
    plays_by_user, values = _by_user(plays), 0
    for label in labels:
        twin, _, number = label["user_id"].rpartition(" ")
        one, own = ahead[label["user_id"]], plays_by_user.get(label["user_id"], [])
        for feature, horizon in outcome_cases.GROUP.feature_windows:
            name = f"next_features__{feature.name(f'next_{horizon}')}"
            expected = outcomes.outcome(own, feature, horizon, label["at"], label["play_id"])
            assert same(expected, one[name]) or is_near(expected, one[name], 4e-12), (name, label, own)
            is_over = window_days(reach(feature, horizon)) <= window_days(label["horizon"])
            assert twin != "beyond" or not is_over or one[name] == ahead[number][name], (name, label, own)
            values += 1
        if twin == "within":
            assert _features_of(back[label["user_id"]]) == _features_of(back[number]), (label, own)
    return values


# Instants stay, as changes of these would be other windows.
_OTHERS = {"ms_played": 77, "track_id": "z", "skipped": True, "completion": 0.123}


def _features_of(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("user_id", "play_id")}


def _look_both_ways(
    spark: SparkSession, plays: World, labels: list[Row]
) -> tuple[dict[str, Row], dict[str, Row]]:
    """By listener, outcomes of the label and features at its instant."""
    group, declared = outcome_cases.GROUP, outcome_cases.DECLARED
    days = tuple(sorted({label["at"].date() for label in labels}))
    sessions = frame(spark, plays, SESSIONS).localCheckpoint()
    partials = partial_rows(
        sessions, declared, calendar(plays, [days[-1] + 45 * DAY]), None
    ).localCheckpoint()
    rows = spark.createDataFrame(pa.Table.from_pylist(labels, outcome_cases.LABELS))
    windows = [(f, w) for f, w in declared.feature_windows if f.op not in NOT_AT_LABEL_TIME]
    requests = (
        LabelTimeFeatures(group, tuple(f.name(w) for f, w in group.feature_windows), days, ahead=True),
        LabelTimeFeatures(declared, tuple(f.name(w) for f, w in windows), days),
    )
    ahead, back = (
        label_time_features(rows, partials, sessions, each, "at").toArrow().to_pylist() for each in requests
    )
    return {row["user_id"]: row for row in ahead}, {row["user_id"]: row for row in back}
