"""What an impression was worth: the rewards of the play that it led to, by each rule of attribution.

IMPRESSION_REWARDS = ImpressionRewards(REWARDS, ATTRIBUTIONS)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from schemas.attributions import OF_IMPRESSION, Attributions
from schemas.common import AVAILABLE_AT, BUCKETS, bucket
from schemas.contract import Column, Contract
from schemas.impressions import IMPRESSIONS
from schemas.mistakes import note_place
from schemas.rewards import AT_ONCE, Reward, Rewards, make_status_columns, status_name

# How rows are made: another number makes every published day stale.
VERSION = 1


@dataclass(frozen=True)
class ImpressionRewards:
    """The table `impression_rewards`: a row for each impression and each rule by which it can lead to a play."""

    rewards: Rewards
    attributions: Attributions

    def __post_init__(self) -> None:
        note_place(self)

    @property
    def name(self) -> str:
        return "impression_rewards"

    @property
    def horizons(self) -> tuple[str, ...]:
        """Of rewards; that of an impression is longer by the days in which it can lead to a play."""
        return (AT_ONCE, *self.rewards.horizons)

    def status_of(self, reward: Reward) -> str:
        return status_name(reward.horizon)

    @property
    def known(self) -> dict[str, tuple[int, str]]:
        """As of `Rewards`, after the impression: the play can come as late as rules let it."""
        before = self.attributions.days_before
        led_to = dict.fromkeys(("plays", "delay_ms"), (before, status_name(AT_ONCE)))
        return led_to | {r.name: (before + r.days, self.status_of(r)) for r in self.rewards.rewards}

    @property
    def identity(self) -> list[Any]:
        rules = [rule.identity for rule in self.attributions.rules]
        return [VERSION, rules, [[reward.name, reward.type] for reward in self.rewards.rewards]]

    @cached_property
    def contract(self) -> Contract:
        play = self.rewards.contract
        return Contract(
            name=self.name,
            meaning="One row per impression and rule, with the rewards of the first play that it led to.",
            columns=(
                *(IMPRESSIONS.contract.column(name) for name in OF_IMPRESSION),
                IMPRESSIONS.contract.column("user_id"),
                Column("rule_id", "string", "the rule by which it led to plays", nullable=False),
                Column(
                    "plays", "bigint", "plays that it led to; null until none can come any more", check=">= 0"
                ),
                Column("play_id", "string", "the first of them", profile=False),
                Column("delay_ms", "bigint", "from the impression to that play", "ms", check=">= 0"),
                *(replace(play.column(reward.name), nullable=True) for reward in self.rewards.rewards),
                *make_status_columns(self.horizons, " of the play"),
                bucket("user_id"),
                AVAILABLE_AT,
                Column("ds", "date", "day of the impression in UTC", nullable=False, profile=False),
            ),
            key=("impression_id", "rule_id"),
            entity="user_id",
            event_time="shown_at",
            buckets=BUCKETS,
            statistics=("bucket", "shown_at"),
            declared=True,
        )
