"""What follows from declared rewards, and what is refused, where."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import FLOW, list_rewards
from jobs.command import REWARDS
from schemas import CONTRACTS
from schemas.operations import DeclarationError
from schemas.project_declarations import load_declarations
from schemas.reward_set import PLAY_REWARDS
from schemas.reward_terms import Term
from schemas.rewards import Reward, Rewards

TRACED = "T = DiscoveryTraces(Rewards((TRACK_DISCOVERED,))"
MS_AFTER = "*(reward for reward in PLAY_REWARDS if reward.name in ('completed', 'ms_after')),"
LIMITED = f"T = RewardThresholds(Rewards(({MS_AFTER})), (Threshold('t'"
PLAYS = "features=USER_FEATURE_GROUP.features[:1]"
OVER_PLAYS = f"G = replace(USER_FEATURE_GROUP, table='g_features', source='plays', {PLAYS})\n"
ROOT = Path(__file__).parents[2]
IMPORTS = """
from dataclasses import replace
from schemas.contract import Column
from schemas.discovery_traces import DiscoveryTraces
from schemas.play_columns import PlayColumns
from schemas.reward_set import ARTIST_DISCOVERED, PLAY_REWARDS, SESSION_STARTS, TRACK_DISCOVERED, make_context_left
from schemas.reward_thresholds import RewardThresholds, Threshold
from schemas.rewards import Reward, Rewards
from schemas.starting_set import *
"""
# Prints the step and the tables of a process that loads these declarations.
STEPS = """
from expectations.release import REFERENCES
from jobs import FLOW, NIGHTLY, TABLES
from jobs.catalogue.lineage import Lineage
from jobs.receipts import AGGREGATES
names = ("build-play-rewards", "build-discovery-traces", "build-reward-thresholds")
step, traces, thresholds = [step for step in FLOW if step.name in names]
print(step.needs, step.makes, "play_rewards" in NIGHTLY, "play_rewards" in TABLES, "play_rewards" in AGGREGATES)
print(traces.needs, traces.makes, "discovery_traces" in AGGREGATES)
print(thresholds.needs, thresholds.uses, "reward_thresholds" in AGGREGATES)
print(*[each.name for each in REFERENCES[-2:]])
inputs = Lineage().inputs["play_rewards", "returns_7d"]
print(sorted((each.column, each.use) for each in inputs))
inputs = Lineage().inputs["discovery_traces", "trace"]
print(sorted((each.table, each.column, each.use) for each in inputs))
inputs = Lineage().inputs["reward_thresholds", "value"]
print(sorted((each.table, each.column, each.use) for each in inputs))
"""
# What the page adds to the example of `Rewards`.
TRACES = "\nTRACES = DiscoveryTraces(REWARDS)\n"
LIMITS = "LIMITS = RewardThresholds(REWARDS, (Threshold('t', 'sticky_59d', {'genre': 'genres[0]'}),))\n"


def read_example():
    """What the page of the docs declares."""
    page = ROOT / "docs" / "rewards.md"
    return page.read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]


def load(tmp_path, text):
    (tmp_path / "a.py").write_text(IMPORTS + text)
    return load_declarations([str(tmp_path / "a.py")], ["plays", "sessions"])


def test_the_example_of_the_docs_loads_and_makes_a_step(tmp_path):
    (rewards,) = load(tmp_path, read_example()).rewards
    assert rewards.rewards[: len(PLAY_REWARDS)] == PLAY_REWARDS and len(rewards.rewards) > len(PLAY_REWARDS)
    text = IMPORTS + read_example().replace("*PLAY_REWARDS,", "*PLAY_REWARDS,\n        TRACK_DISCOVERED,")
    (tmp_path / "b.py").write_text(text + TRACES + LIMITS)
    environment = {"SEGUE_DECLARATIONS": str(tmp_path / "b.py"), "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert printed.splitlines() == [
        "('plays', 'sessions', 'user_track_partials', 'user_partials', 'user_artist_partials') ('play_rewards',) "
        "True True False",
        "('plays', 'sessions', 'play_rewards', 'user_track_partials') ('discovery_traces',) False",
        "('play_rewards', 'sessions') ('tracks',) True",
        "expect_play_id_of_play_rewards_to_be_in_plays expect_play_id_of_discovery_traces_to_be_in_plays",
        "[('play_id', 'value'), ('played_at', 'value'), ('played_at', 'window'), ('position', 'value'), "
        "('user_id', 'key')]",
        "[('play_rewards', 'discovered', 'filter'), ('user_track_partials', 'ds', 'value')]",
        "[('play_rewards', 'sticky_59d', 'value'), ('tracks', 'genres', 'key')]",
    ]


def test_impressions_are_rewarded_where_a_project_declares_it(tmp_path):
    text = (
        "from schemas.attributions import AttributionRule, Attributions\n"
        "from schemas.impression_rewards import ImpressionRewards\n"
        "USERS = USER_FEATURE_GROUP.extend(SESSION_STARTS)\n"
        "I = ImpressionRewards(Rewards(PLAY_REWARDS), Attributions((AttributionRule('r', '1d'),)))\n"
    )
    declared = load(tmp_path, text)
    # what it is made of is declared with it, bound to a name or not
    names = [names for _, names in declared.tables]
    assert names[-4:] == [
        ["impressions", "rejected_impressions"], ["attributions"], ["play_rewards"], ["impression_rewards"],
    ]  # fmt: skip
    contract = declared.impression_rewards[0].contract
    assert contract.key == ("impression_id", "rule_id") and contract.personal
    assert contract.column("status_0d").check and contract.column("sticky_59d").type == "bigint"


def test_without_declarations_nothing_knows_of_rewards(capsys):
    assert (
        not {"play_rewards", "impression_rewards", "discovery_traces", "reward_thresholds"} & CONTRACTS.keys()
    )
    assert not [step for step in FLOW if "reward" in step.name or "traces" in step.name]
    assert list_rewards.run(parse()) == 0
    assert "no reward is declared" in capsys.readouterr().out


def parse(*arguments):
    from segue.parser import CommandParser

    parser = CommandParser()
    REWARDS.configure(parser)
    return parser.parse_args(arguments)


def test_segue_rewards_lists_them(capsys, monkeypatch):
    monkeypatch.setattr(list_rewards, "REWARD_TABLES", (Rewards(PLAY_REWARDS),))
    assert REWARDS.run(parse()) == 0
    printed = capsys.readouterr().out
    for reward in PLAY_REWARDS:
        assert re.search(rf"^\|? *{reward.name} ", printed, re.MULTILINE), printed
    assert list_rewards.run(parse("--json")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PLAY_REWARDS)
    assert '"ripe": "60d after the day of the play, see status_60d"' in lines[7]


def test_contract_has_a_column_for_each_reward_and_a_status_for_each_horizon():
    contract = Rewards(PLAY_REWARDS).contract
    assert contract.names[7:18] == tuple(reward.name for reward in PLAY_REWARDS)
    assert contract.names[18:22] == ("status_1d", "status_7d", "status_30d", "status_60d")
    assert contract.personal and contract.by_day and not contract.daily
    assert contract.constraints["status_7d_range"] == "status_7d in ('ripe', 'unripe', 'censored')"
    assert all(contract.column(reward.name).nullable for reward in PLAY_REWARDS)


def test_terms_are_named_as_columns_of_training_sets():
    for name, ahead in (
        ("user_features__plays_count_next_7d", True),
        ("user_track_features__plays_count_90d", False),
    ):
        term = Term.parse(name)
        assert term is not None and term.column == name and term.ahead is ahead
    assert Term.parse("ms_played") is None


def test_a_term_is_read_once_its_own_window_is_over():
    count = "user_features__plays_count"
    declared = Rewards(
        (
            Reward("a", f"{count}_next_1d > 0", "m", "7d"),
            Reward("b", f"{count}_30d > 0 and {count}_next_1d > 0", "m", "1d"),
        )
    )
    assert {term.column: horizon for term, horizon in declared.terms.items()} == {
        f"{count}_30d": "1d",
        f"{count}_next_1d": "1d",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("R = Reward('Long', 'saved', 'm')", "reward Long: its name 'Long' is none"),
        ("R = Reward('r', 'saved', 'm', '1 day')", "window '1 day' is none"),
        ("R = Reward('r', 'saved', 'm', type='text')", "type is 'text', expected one of boolean"),
        ("R = Reward('r', 'saved and', 'm')", "value 'saved and' is no SQL expression"),
        ("R = Reward('r', 'loved', 'm')", "value names loved, which sessions does not have"),
        (
            "R = Reward('r', 'user_features__plays_count_next_7d > 0', 'm', '1d')",
            "next_7d, which is not known after a horizon of 1d",
        ),
        (
            # of 7 days against the 7 after
            "R = Reward('r', 'user_features__plays_trend_next_7d > 0', 'm', '13d')",
            "plays_trend_next_7d, which is not known after a horizon of 13d",
        ),
        ("R = Reward('r', 'user_features__plays_count_next_x > 0', 'm')", "its horizon 'x' is none"),
        ("R = Reward('r', 'saved', 'm', '1d', 'double', 1.0)", "discount is 1.0, expected one over 0"),
        ("R = Reward('r', 'saved', 'm', '1d', discount=0.5)", "a sum with a discount is 'double'"),
        ("R = Reward('r', 'saved', 'm', type='double', discount=0.5)", "give a horizon: up to when"),
        (
            "R = Reward('r', 'user_features__plays_count_7d', 'm', '1d', 'double', 0.5)",
            "value is of the play alone",
        ),
        ("R = Rewards(())", "table play_rewards: has no reward"),
        ("R = Rewards((PLAY_REWARDS[0],) * 2)", "reward completed is declared twice"),
        ("R = Rewards((Reward('is_bot', 'saved', 'm'),))", "reward is_bot has the name of another column"),
        ("A = Rewards(PLAY_REWARDS[:1])\nB = Rewards(PLAY_REWARDS[:2])", "play_rewards is declared twice"),
        ("R = Rewards(PLAY_REWARDS)", "no features 'starts_count' of user_features can look ahead"),
        (f"{TRACED}, ('saved',))", "no reward is named saved; there are: discovered"),
        (f"{TRACED}, ())", "has no discovery; name a reward"),
        (f"{TRACED}, days=63)", "days is 63, expected 1 to 62"),
        (f"{TRACED}, steps=(0, 60))", "steps has 0, 60, expected days from 1 to 59"),
        (
            "T = DiscoveryTraces(Rewards((Reward('loved', 'saved', 'm', type='int'),)), ('loved',))",
            "reward loved is int within 0d, expected boolean, known at once; reward loved names features of 0",
        ),
        (
            "T = DiscoveryTraces(Rewards((Reward('u', 'user_features__plays_count_7d = 0', 'm'),)), ('u',))",
            "reward u is of user_id; expected features of a listener and one item",
        ),
        (f"{LIMITED}, 'completed'),))", "reward completed is boolean, and has no quantile"),
        (f"{LIMITED}, 'loved'),))", "no reward is named loved; there are: completed"),
        (
            f"{LIMITED}, 'ms_after', {{'g': 'mood'}}),))",
            "threshold t names mood, which plays and tracks do not have",
        ),
        (f"{LIMITED}, 'ms_after', {{'g': 'mood and'}}),))", "by g 'mood and' is no SQL expression"),
        (f"{LIMITED}, 'ms_after', quantile=1),))", "quantile is 1, expected one over 0 and under 1"),
        (f"{LIMITED}, 'ms_after', min_plays=0),))", "min_plays is 0, expected 1 or more"),
        (f"{LIMITED}, 'ms_after'),) * 2)", "threshold t is declared twice"),
        (
            "R = make_context_left('playlist_id')",
            "value names playlist_id, next_play__playlist_id, which sessions",
        ),
        ("R = Reward('r', 'next_play__play_id is null', 'm')", "give a horizon of 1d or more"),
        (
            "R = Reward('r', 'next_play__ms_played', 'm', '1d', 'double', 0.5)",
            "value is of the play alone",
        ),
        (
            "R = Rewards((Reward('r', 'other_features__active_days_next_7d', 'm', '7d', 'int'),))",
            "no features are declared of 'other_features'",
        ),
        (
            f"{OVER_PLAYS}R = Rewards((Reward('r', 'g_features__plays_count_next_1d > 0', 'm', '1d'),))",
            "g_features is over plays, and rewards are of sessions",
        ),
        (
            f"{OVER_PLAYS}R = Rewards((Reward('r', 'g_features__active_days_next_7d', 'm', '7d', 'int'),))",
            "g_features is over plays, and rewards are of sessions",
        ),
        (
            "R = Rewards((Reward('r', 'session_features__plays_count_next_2d > 0', 'm', '2d'),))",
            "a horizon of 2d",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(DeclarationError, match=message) as refused:
        load(tmp_path, text)
    assert str(refused.value).splitlines()[1].startswith(f"{tmp_path / 'a.py'}:")


def test_rewards_can_be_of_columns_that_the_project_adds_to_plays(tmp_path):
    text = "P = PlayColumns((Column('device', 'string', 'd'),))\nR = Rewards((Reward('tv', \"device = 'tv'\", 'm'),))"
    assert load(tmp_path, text).rewards[0].rewards[0].name == "tv"


BY_DEVICE = """
P = PlayColumns((Column('device', 'string', 'd'),))
G = replace(USER_FEATURE_GROUP, table='g_features', keys=('user_id', 'device'))
"""


def test_rewards_can_be_of_groups_by_such_columns(tmp_path):
    rewards = "R = Rewards((Reward('r', 'g_features__plays_count_next_1d > 0', 'm', '1d'),))"
    declared = load(tmp_path, BY_DEVICE + rewards)
    (window,) = declared.rewards[0].list_windows(declared.groups)
    assert window.group.keys == ("user_id", "device")
    derived = BY_DEVICE.replace("'device'))", "'os'), derived_keys={'os': 'lower(device)'})")
    with pytest.raises(DeclarationError, match="plays have no os to be joined to g_features by"):
        load(tmp_path, derived + rewards)


def test_leaving_a_context_is_a_reward_where_plays_have_one(tmp_path):
    text = (
        "P = PlayColumns((Column('playlist_id', 'string', 'd'),))\n"
        "R = Rewards((*PLAY_REWARDS[:1], make_context_left('playlist_id')))"
    )
    (declared,) = load(tmp_path, text).rewards
    assert declared.next_columns == ("play_id", "playlist_id") and declared.horizons == ("1d",)
    assert not declared.terms, "it needs no window"


def test_traces_are_of_the_items_of_their_rewards(tmp_path):
    text = "T = DiscoveryTraces(Rewards((TRACK_DISCOVERED, ARTIST_DISCOVERED)), ('discovered', 'artist_discovered'))"
    declared = load(tmp_path, text)
    (traces,) = declared.traces
    items = [(item.type, item.column, item.group.table) for item in traces.list_items(declared.groups)]
    assert items == [
        ("track", "track_id", "user_track_features"), ("artist", "artist_id", "user_artist_features"),
    ]  # fmt: skip
    assert declared.rewards == (traces.rewards,) and traces.contract.personal and not traces.contract.daily
