"""Rewards: what a play was worth, by what it was and by what came after it, as a project declares it.

from schemas.reward_set import PLAY_REWARDS
from schemas.rewards import Reward, Rewards

REWARDS = Rewards((*PLAY_REWARDS, Reward("long", "ms_played > 60000", "over a minute was played")))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from schemas.column_problems import find_name_problems
from schemas.common import AVAILABLE_AT, BUCKETS, DS, bucket
from schemas.contract import Column, Contract
from schemas.declarations import FeatureGroup
from schemas.mistakes import note_place, refuse
from schemas.operations import DeclarationError, window_days
from schemas.outcomes import Outcome, outcome_groups
from schemas.play_columns import extend_plays, find_play_columns
from schemas.reward_terms import SESSION_GROUP, Term, TermWindow, list_next_columns, name_next
from schemas.sessions import SESSIONS
from schemas.sql import find_syntax_problems, list_columns

# How rewards are computed: another number makes every published day stale.
VERSION = 1
TYPES = ("boolean", "int", "bigint", "double")
# The horizon of what a play is by itself: known with the play.
AT_ONCE = "0d"
STATUSES = ("ripe", "unripe", "censored")
# Of a column with one of them, as SQL after its name.
STATUS_CHECK = f"in ({', '.join(map(repr, STATUSES))})"
OF_PLAY = ("play_id", "user_id", "track_id", "artist_id", "played_at", "session_id", "is_bot")


@dataclass(frozen=True)
class Reward:
    """A column of `play_rewards`: `value` is SQL over the play, a row of `sessions`, and `Term`s.

    `horizon` says when the value is known: a play at t is worth nothing by what is at t + horizon or later. With a
    `discount`, the value is that of the play, and the reward its return: the sum over this and later plays of the
    session, each weighing `discount` times the one before it.
    """

    name: str
    value: str
    meaning: str
    horizon: str = AT_ONCE
    type: str = "boolean"
    discount: float | None = None
    owner: str = ""

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"reward {self.name}", list(self._find_problems()))

    @property
    def days(self) -> int:
        return count_days(self.horizon)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        return tuple(term for name in list_columns(self.value) if (term := Term.parse(name)))

    @cached_property
    def next_columns(self) -> tuple[str, ...]:
        """The columns of the session's next play that the SQL names."""
        return list_next_columns(list_columns(self.value))

    @property
    def column(self) -> Column:
        when = (
            "" if self.horizon == AT_ONCE else f", within {self.horizon}; null until then, see {self.status}"
        )
        return Column(self.name, self.type, f"{self.meaning}{when}")

    @property
    def status(self) -> str:
        """The column that says whether it is known; empty where it always is."""
        return "" if self.horizon == AT_ONCE else status_name(self.horizon)

    def _find_problems(self) -> Iterator[str]:
        yield from find_name_problems("name", self.name)
        if self.type not in TYPES:
            yield f"type is {self.type!r}, expected one of {', '.join(TYPES)}"
        try:
            yield from self._find_horizon_problems() if self.days >= 0 else ()
        except DeclarationError as problem:
            yield str(problem)

    def _find_horizon_problems(self) -> Iterator[str]:
        if syntax := list(find_syntax_problems("value", self.value)):
            yield from syntax
            return
        if late := [t.column for t in self.terms if t.ahead and window_days(t.outcome.reach) > self.days]:
            yield f"value names {', '.join(late)}, which is not known after a horizon of {self.horizon}"
        row = extend_plays(SESSIONS, find_play_columns(())).names
        named = (*row, *map(name_next, row))
        if unknown := [n for n in list_columns(self.value) if Term.parse(n) is None and n not in named]:
            yield f"value names {', '.join(unknown)}, which sessions does not have ({', '.join(row)})"
        if self.days < 1 and self.next_columns:
            yield "value names the session's next play; give a horizon of 1d or more: none is known before"
        if self.discount is not None:
            yield from self._find_discount_problems()

    def _find_discount_problems(self) -> Iterator[str]:
        if not 0 < (self.discount or 0) < 1:
            yield f"discount is {self.discount}, expected one over 0 and under 1"
        if self.type != "double":
            yield f"type is {self.type!r}; a sum with a discount is 'double'"
        if self.horizon == AT_ONCE:
            yield "with a discount, give a horizon: up to when later plays of the session count"
        if self.terms or self.next_columns:
            yield "with a discount, value is of the play alone; of later plays the same is taken"


def count_days(horizon: str) -> int:
    return 0 if horizon == AT_ONCE else window_days(horizon)


def status_name(horizon: str) -> str:
    return f"status_{horizon}"


def make_status_columns(horizons: Iterable[str], of: str = "") -> Iterator[Column]:
    """One for each horizon, which is `of` something else than the row."""
    for horizon in horizons:
        meaning = f"whether rewards within {horizon}{of} are known: yes, not yet, or never"
        yield Column(status_name(horizon), "string", meaning, nullable=False, check=STATUS_CHECK)


@dataclass(frozen=True)
class Rewards:
    """The table `play_rewards`: a row for each play, under its day."""

    rewards: tuple[Reward, ...]

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"table {self.name}", list(self._find_problems()))

    @property
    def name(self) -> str:
        return "play_rewards"

    @cached_property
    def horizons(self) -> tuple[str, ...]:
        """Those after which a reward is known, the shortest first."""
        later = {reward.horizon: reward.days for reward in self.rewards if reward.days}
        return tuple(sorted(later, key=later.__getitem__))

    @cached_property
    def contract(self) -> Contract:
        return Contract(
            name=self.name,
            meaning="One row per play, with its rewards; null is not known, or not applicable.",
            columns=(
                *(SESSIONS.column(name) for name in OF_PLAY),
                *(reward.column for reward in self.rewards),
                *make_status_columns(self.horizons),
                bucket("user_id"),
                AVAILABLE_AT,
                DS,
            ),
            key=("play_id",),
            entity="user_id",
            event_time="played_at",
            buckets=BUCKETS,
            statistics=("bucket", "played_at"),
            declared=True,
        )

    @cached_property
    def terms(self) -> dict[Term, str]:
        """What the SQL of all rewards names, and the shortest horizon after which it is needed."""
        found: dict[Term, str] = {}
        for reward in sorted(self.rewards, key=lambda each: each.days):
            for term in reward.terms:
                # an outcome is there after its own window, whatever else a reward waits for
                found.setdefault(term, term.outcome.reach if term.ahead else reward.horizon)
        return found

    @property
    def known(self) -> dict[str, tuple[int, str]]:
        """Of each reward, the days after which it is known, and the column that says whether it is; empty for none."""
        return {reward.name: (reward.days, reward.status) for reward in self.rewards}

    @property
    def next_columns(self) -> tuple[str, ...]:
        """The columns of the session's next play that rewards name."""
        return tuple(dict.fromkeys(name for reward in self.rewards for name in reward.next_columns))

    def list_windows(self, groups: Iterable[FeatureGroup]) -> list[TermWindow]:
        """All but active days; raises DeclarationError where no group has such a feature."""
        requests: dict[tuple[bool, str, str], list[Outcome]] = {}
        for term, horizon in self.terms.items():
            if not term.counts_days:
                requests.setdefault((term.ahead, term.outcome.horizon, horizon), []).append(term.outcome)
        known = (*groups, SESSION_GROUP)
        return [
            TermWindow(group, ahead, horizon)
            for (ahead, _, horizon), outcomes in requests.items()
            for group in outcome_groups(outcomes, known, ahead)
        ]

    def list_day_counts(self, groups: Sequence[FeatureGroup]) -> list[tuple[Term, FeatureGroup]]:
        """The active days that rewards read, and their groups; raises DeclarationError as above."""
        by_table = {group.table: group for group in groups}
        terms = [term for term in self.terms if term.counts_days]
        for term in terms:
            if term.outcome.table not in by_table:
                raise DeclarationError(
                    f"{term.column}: no features are declared of {term.outcome.table!r}; there are: "
                    f"{', '.join(by_table)}"
                )
        return [(term, by_table[term.outcome.table]) for term in terms]

    def list_partials(self, groups: Sequence[FeatureGroup]) -> list[str]:
        """The tables of partials that are read."""
        of_windows = [window.group for window in self.list_windows(groups)]
        others = [group for _, group in self.list_day_counts(groups)]
        tables = (
            group.partials_table for group in (*of_windows, *others) if group.table != SESSION_GROUP.table
        )
        return list(dict.fromkeys(tables))

    def identify(self, groups: Sequence[FeatureGroup]) -> list[Any]:
        """What decides the rows, but for the plays."""
        rewards = [[r.name, r.value, r.horizon, r.type, r.discount] for r in self.rewards]
        windows = [
            [w.group.table, w.ahead, w.group.keys, w.group.where, w.group.rows_identity, w.group.identities]
            for w in self.list_windows(groups)
        ]
        counts = [[t.column, g.keys, g.where, g.rows_identity] for t, g in self.list_day_counts(groups)]
        return [VERSION, rewards, windows, counts]

    def find_group_problems(self, groups: Sequence[FeatureGroup]) -> Iterator[str]:
        """What is wrong with it beside these groups."""
        try:
            read = [w.group for w in self.list_windows(groups)]
            read += [group for _, group in self.list_day_counts(groups)]
        except DeclarationError as problem:
            yield str(problem)
            return
        for group in read:
            if group.events.name != SESSIONS.name:
                yield f"{group.table} is over {group.events.name}, and rewards are of sessions; take a group over these"
                continue
            # with what the project adds to plays, which a row of sessions has as well
            if missing := [key for key in group.keys if key not in group.events.names]:
                yield f"plays have no {', '.join(missing)} to be joined to {group.table} by"
            if group.catalogue_columns:
                yield f"{group.table} is made of the catalogue, and rewards of plays alone"

    def _find_problems(self) -> Iterator[str]:
        names = [reward.name for reward in self.rewards]
        if not names:
            yield "has no reward; give one or more Reward(…)"
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"reward {', '.join(twice)} is declared twice"
        taken = (*OF_PLAY, *map(status_name, self.horizons), "bucket", "available_at", "ds")
        if own := [name for name in names if name in taken]:
            yield f"reward {', '.join(own)} has the name of another column; give it another one"
