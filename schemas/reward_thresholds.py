"""Thresholds of rewards by group of listeners and content: what is good for a song is not what is good for a podcast.

THRESHOLDS = RewardThresholds(REWARDS, (Threshold("lasting", "sticky_59d", {"genre": "get(genres, 0)"}),))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.column_problems import find_name_problems
from schemas.common import AVAILABLE_AT, DS
from schemas.contract import Column, Contract
from schemas.mistakes import note_place, refuse
from schemas.rewards import Reward, Rewards
from schemas.sql import find_syntax_problems, list_columns

# How rows are made: another number makes the newest day anew.
VERSION = 2

REWARD_THRESHOLDS = Contract(
    name="reward_thresholds",
    meaning="One row per threshold and group of plays, with a quantile of a reward over the newest known days.",
    columns=(
        Column("threshold", "string", "name of the declaration", nullable=False),
        Column("reward", "string", "column of play_rewards", nullable=False),
        Column("quantile", "double", "share of the group's plays that are not over it", "0..1", False),
        Column("by", "array<string>", "what groups are of, the coarsest first", nullable=False),
        Column("level", "int", "of how many of these the group is; 0 is all plays", "", False, ">= 0"),
        Column(
            "group_values",
            "string",
            "values of these as a JSON object, null included; {} is all plays",
            nullable=False,
        ),
        Column("plays", "bigint", "plays of the group with a reward, none by bots", "plays", False, ">= 0"),
        Column("listeners", "bigint", "whose plays these are", "listeners", False, ">= 0"),
        Column(
            "own_value", "double", "the quantile of the group; null where it has too few plays or listeners"
        ),
        Column(
            "value", "double", "that of the group, else of its nearest parent that has enough; null for none"
        ),
        Column("value_level", "int", "the level of the group that value is of", check=">= 0"),
        Column("first_day", "date", "of the plays", nullable=False),
        Column("last_day", "date", "of the plays", nullable=False),
        AVAILABLE_AT,
        DS,
    ),
    key=("threshold", "level", "group_values", "ds"),
)


@dataclass(frozen=True)
class Threshold:
    """The quantile of a reward in each group of plays, over the last days on which it is known.

    Args:
        by: SQL over the play and its track by name, the coarsest first: a group of few plays takes the threshold of
            the group without its last value, and at last that of all.
        days: of plays, up to the newest whose horizon is over.
        min_plays, min_listeners: below either a group is too small.
    """

    name: str
    reward: str
    by: Mapping[str, str] = field(default_factory=dict)
    quantile: float = 0.8
    days: int = 28
    min_plays: int = 1_000
    min_listeners: int = 50

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"threshold {self.name}", list(self._find_problems()))

    @property
    def columns(self) -> tuple[str, ...]:
        """What its SQL reads."""
        return tuple(dict.fromkeys(name for sql in self.by.values() for name in list_columns(sql)))

    @property
    def identity(self) -> list[Any]:
        groups = list(map(list, self.by.items()))
        return [self.name, self.reward, groups, self.quantile, self.days, self.min_plays, self.min_listeners]

    def _find_problems(self) -> Iterator[str]:
        for name in (self.name, *self.by):
            yield from find_name_problems("name", name)
        for name, sql in self.by.items():
            yield from find_syntax_problems(f"by {name}", sql)
        if not 0 < self.quantile < 1:
            yield f"quantile is {self.quantile}, expected one over 0 and under 1"
        for option in ("days", "min_plays", "min_listeners"):
            if getattr(self, option) < 1:
                yield f"{option} is {getattr(self, option)}, expected 1 or more"


@dataclass(frozen=True)
class RewardThresholds:
    """The table `reward_thresholds`: of each night, the thresholds of the newest days."""

    rewards: Rewards
    thresholds: tuple[Threshold, ...]

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"table {self.name}", list(self._find_problems()))

    @property
    def name(self) -> str:
        return REWARD_THRESHOLDS.name

    @property
    def contract(self) -> Contract:
        return REWARD_THRESHOLDS

    @property
    def identity(self) -> list[Any]:
        return [VERSION, [threshold.identity for threshold in self.thresholds]]

    def find_reward(self, threshold: Threshold) -> Reward:
        return next(reward for reward in self.rewards.rewards if reward.name == threshold.reward)

    def find_column_problems(self, plays: Contract, tracks: Contract) -> Iterator[str]:
        """Columns that neither plays nor the catalogue of the project have."""
        for threshold in self.thresholds:
            known = (*plays.names, *tracks.names)
            if unknown := [name for name in threshold.columns if name not in known]:
                yield f"threshold {threshold.name} names {', '.join(unknown)}, which plays and tracks do not have"

    def _find_problems(self) -> Iterator[str]:
        names = [threshold.name for threshold in self.thresholds]
        if not names:
            yield "has no threshold; give one or more Threshold(…)"
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"threshold {', '.join(twice)} is declared twice"
        types = {reward.name: reward.type for reward in self.rewards.rewards}
        for threshold in self.thresholds:
            if threshold.reward not in types:
                yield f"no reward is named {threshold.reward}; there are: {', '.join(types)}"
            elif types[threshold.reward] == "boolean":
                yield f"reward {threshold.reward} is boolean, and has no quantile; expected a number"
