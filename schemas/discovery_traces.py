"""Discovery traces: on which days after a discovery its item was played again, a bit for each day.

What is known of a discovery before its horizon is over, for models that do not wait for the end: McDonald et al.,
"Impatient Bandits: Optimizing Recommendations for the Long-Term Without Delay", KDD 2023.

    REWARDS = Rewards((*PLAY_REWARDS, TRACK_DISCOVERED))
    TRACES = DiscoveryTraces(REWARDS)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.common import AVAILABLE_AT, BUCKETS, bucket
from schemas.contract import Column, Contract
from schemas.declarations import FeatureGroup
from schemas.mistakes import note_place, refuse
from schemas.rewards import AT_ONCE, STATUS_CHECK, Reward, Rewards
from schemas.sessions import SESSIONS

# How rows are made: another number makes every published day stale.
VERSION = 1
# A bit for each in a bigint that is not negative.
MAX_DAYS = 62

DISCOVERY_TRACES = Contract(
    name="discovery_traces",
    meaning="One row per listener, item and discovery, with the days after it on which the item was played.",
    columns=(
        SESSIONS.column("user_id"),
        Column("item_type", "string", "what was discovered: track, artist, …", nullable=False),
        Column("item_id", "string", "which of them", nullable=False, profile=False),
        Column("play_id", "string", "the play that discovered it", nullable=False, profile=False),
        Column("discovered_at", "timestamp", "when that began", "UTC", False),
        Column(
            "trace",
            "bigint",
            "bit n - 1 says whether it was played on the n-th day after ds; null where that is never known",
            check=">= 0",
        ),
        Column(
            "days_observed", "int", "bits that are known: 0 beyond them is no answer", "days", False, ">= 0"
        ),
        Column(
            "status",
            "string",
            "whether all bits are known: yes, not yet, or never",
            nullable=False,
            check=STATUS_CHECK,
        ),
        bucket("user_id"),
        AVAILABLE_AT,
        Column("ds", "date", "day of the discovery in UTC", nullable=False, profile=False),
    ),
    # a play can be the discovery of a track and of its artist
    key=("play_id", "item_type"),
    entity="user_id",
    event_time="discovered_at",
    buckets=BUCKETS,
    statistics=("bucket", "discovered_at"),
)


class TracedItem(NamedTuple):
    """What a reward says is a discovery."""

    reward: str
    # of plays
    column: str
    # whose partials of one day say that it was played
    group: FeatureGroup

    @property
    def type(self) -> str:
        return self.column.removesuffix("_id")


@dataclass(frozen=True)
class DiscoveryTraces:
    """The table `discovery_traces`: a row for each listener, item and discovery, under the day of the discovery.

    Args:
        discoveries: rewards that are known at once and say that a play is one, of the features of a listener and an
            item: their plays count.
        days: bits of a trace.
        steps: days after the discovery at which its trace is made anew; each day where there are none.
    """

    rewards: Rewards
    discoveries: tuple[str, ...] = ("discovered",)
    days: int = 59
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"table {self.name}", list(self._find_problems()))

    @property
    def name(self) -> str:
        return DISCOVERY_TRACES.name

    @property
    def contract(self) -> Contract:
        return DISCOVERY_TRACES

    @property
    def horizon(self) -> str:
        """After which no bit is missing."""
        return f"{self.days}d"

    def count_observed(self, elapsed: int) -> int:
        """The bits that are known once so many days after the discovery are complete."""
        steps = (0, *self.steps, self.days) if self.steps else range(self.days + 1)
        return max(step for step in steps if step <= max(elapsed, 0))

    def list_items(self, groups: Sequence[FeatureGroup]) -> list[TracedItem]:
        """What is traced, by groups that `find_group_problems` has nothing against."""
        by_table = {group.table: group for group in groups}
        found = [(reward, by_table[_list_tables(reward)[0]]) for reward in self._list_rewards()]
        return [TracedItem(reward.name, _list_items(group)[0], group) for reward, group in found]

    def identify(self, groups: Sequence[FeatureGroup]) -> list[Any]:
        """What decides the rows, but for plays and their rewards."""
        items = [[i.reward, i.column, i.group.where, i.group.rows_identity] for i in self.list_items(groups)]
        return [VERSION, self.days, items]

    def find_group_problems(self, groups: Sequence[FeatureGroup]) -> Iterator[str]:
        """What is wrong with it beside groups that its rewards can be had of."""
        by_table = {group.table: group for group in groups}
        for reward in self._list_rewards():
            group = by_table.get(_list_tables(reward)[0])
            if group is None or len(_list_items(group)) != 1 or "user_id" not in group.keys:
                keys = ", ".join(group.keys) if group else "no feature group"
                yield f"reward {reward.name} is of {keys}; expected features of a listener and one item"

    def _list_rewards(self) -> list[Reward]:
        return [reward for reward in self.rewards.rewards if reward.name in self.discoveries]

    def _find_problems(self) -> Iterator[str]:
        if not 1 <= self.days <= MAX_DAYS:
            yield f"days is {self.days}, expected 1 to {MAX_DAYS}"
        if outside := [str(step) for step in self.steps if not 1 <= step <= self.days]:
            yield f"steps has {', '.join(outside)}, expected days from 1 to {self.days}"
        names = [reward.name for reward in self.rewards.rewards]
        if unknown := [name for name in self.discoveries if name not in names]:
            yield f"no reward is named {', '.join(unknown)}; there are: {', '.join(names)}"
        if not self.discoveries:
            yield "has no discovery; name a reward that says which plays are one"
        for reward in self._list_rewards():
            if reward.type != "boolean" or reward.horizon != AT_ONCE:
                yield f"reward {reward.name} is {reward.type} within {reward.horizon}, expected boolean, known at once"
            if len(_list_tables(reward)) != 1:
                yield f"reward {reward.name} names features of {len(_list_tables(reward))} tables, expected one"


def _list_tables(reward: Reward) -> list[str]:
    return list(dict.fromkeys(term.outcome.table for term in reward.terms))


def _list_items(group: FeatureGroup) -> list[str]:
    return [key for key in group.keys if key != "user_id"]
