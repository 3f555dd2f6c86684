"""Attributions: which play an impression led to, by rules that a project declares.

from schemas.attributions import AttributionRule, Attributions
from schemas.impressions import IMPRESSIONS

ATTRIBUTIONS = Attributions((AttributionRule("last_touch_1d", "1d"),), IMPRESSIONS)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from schemas.catalogue_columns import find_catalogue
from schemas.column_problems import find_name_problems
from schemas.common import AVAILABLE_AT, BUCKETS, bucket
from schemas.contract import Column, Contract
from schemas.event_tables import Events, EventTable, declare
from schemas.impressions import IMPRESSIONS, has_slates
from schemas.mistakes import note_place, refuse
from schemas.play_columns import extend_plays, find_play_columns
from schemas.sessions import SESSIONS
from schemas.sql import find_sql_problems
from schemas.tracks import TRACKS

# How rules are carried out: another number makes every published day stale.
VERSION = 1
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

# Copied from the impression, and from the play.
OF_IMPRESSION = (
    "impression_id", "request_id", "shown_at", "surface", "shelf_id", "shelf_position", "position", "item_type",
    "item_id", "policy_id", "propensity", "seen",
)  # fmt: skip
OF_PLAY = (
    "play_id", "user_id", "track_id", "artist_id", "played_at", "session_id", "ms_played", "track_ms", "completion",
    "skipped", "saved", "is_bot",
)  # fmt: skip


def _copy(contract: Contract, names: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(contract.column(name) for name in names)


ATTRIBUTIONS = Contract(
    name="attributions",
    meaning="One row per play that an impression led to, for each rule.",
    columns=(
        Column("attribution_id", "string", "hash of rule_id and play_id", nullable=False),
        Column("rule_id", "string", "the rule by which it is so", nullable=False),
        *_copy(IMPRESSIONS.contract, OF_IMPRESSION),
        *_copy(SESSIONS, OF_PLAY),
        Column("delay_ms", "bigint", "from the impression to the play", "ms", False, ">= 0"),
        bucket("user_id"),
        AVAILABLE_AT,
        # that of the impression would put into a day what nobody knew before the next
        Column("ds", "date", "day of the play in UTC", nullable=False),
    ),
    key=("attribution_id",),
    entity="user_id",
    event_time="played_at",
    buckets=BUCKETS,
    statistics=("bucket", "played_at"),
)


@dataclass(frozen=True)
class AttributionRule:
    """A play is led to by the last impression of its item to its listener, less than `window` before it.

    `window` is minutes, hours or days, as 30m, 6h or 1d. `items` says for a type of items which column names the item:
    of the play, or of its track in the catalogue. Where that is a list, as of the playlists with a track, it names each
    of them. Impressions of other types, and those for which `where`, SQL, is not true, lead to nothing.
    """

    name: str
    window: str
    items: Mapping[str, str] = field(default_factory=lambda: {"track": "track_id"}, hash=False)
    where: str = "true"
    meaning: str = ""
    # of these columns, those of the catalogue; set where files of declarations are loaded
    catalogue_columns: tuple[str, ...] = field(init=False, default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        note_place(self)
        played, catalogue = _find_plays(), find_catalogue(TRACKS)
        own = [
            n for n in dict.fromkeys(self.items.values()) if n not in played.names and n in catalogue.names
        ]
        object.__setattr__(self, "catalogue_columns", tuple(own))
        refuse(self, f"attribution rule {self.name}", list(self._find_problems()))

    @property
    def length(self) -> timedelta:
        """Of the window; zero for what is none."""
        found = re.fullmatch(r"([0-9]{1,4})([mhd])", self.window)
        return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()

    @property
    def days_before(self) -> int:
        """How many days before the day of a play its impression can lie."""
        return -(-self.length // timedelta(days=1))

    @property
    def identity(self) -> list[Any]:
        """What decides its rows."""
        identity = [
            self.name,
            self.length // timedelta(milliseconds=1),
            sorted(self.items.items()),
            self.where,
        ]
        # left out where there is none: by the others, days of before are known
        return [*identity, list(self.catalogue_columns)] if self.catalogue_columns else identity

    def _find_problems(self) -> Iterator[str]:
        yield from find_name_problems("name", self.name)
        if not self.length:
            yield f"window is {self.window!r}, expected a number and m, h or d, as in 6h"
        if not self.items:
            yield "items are empty; say which column of a play names an item, as in {'track': 'track_id'}"
        yield from (problem for name in self.items.values() for problem in _find_item_problems(name))


def _find_item_problems(name: str) -> Iterator[str]:
    played, catalogue = _find_plays(), find_catalogue(TRACKS)
    table = played if name in played.names else catalogue
    if name not in table.names:
        both = (
            f"{played.name} ({', '.join(played.names)}) nor {catalogue.name} ({', '.join(catalogue.names)})"
        )
        yield f"items name {name}, which neither {both} has"
    elif (found := table.column(name).type) not in ("string", "array<string>"):
        yield f"items name {name}, which is {found}, expected string or array<string>"


def _find_plays() -> Contract:
    return extend_plays(SESSIONS, find_play_columns(()))


@dataclass(frozen=True)
class Attributions(Events):
    """The table `attributions`: rows of all these rules, side by side."""

    rules: tuple[AttributionRule, ...]
    impressions: EventTable = IMPRESSIONS

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"table {self.name}", list(self._find_problems()))
        declare(self.impressions.name, self.impressions)
        declare(self.name, self)

    @property
    def name(self) -> str:
        return ATTRIBUTIONS.name

    @property
    def contract(self) -> Contract:
        return ATTRIBUTIONS

    @property
    def catalogue_columns(self) -> tuple[str, ...]:
        """Of the catalogue, those that name an item to a rule; mostly none."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.catalogue_columns))

    @property
    def days_before(self) -> int:
        return max(rule.days_before for rule in self.rules)

    def _find_problems(self) -> Iterator[str]:
        names = [rule.name for rule in self.rules]
        if not names:
            yield "has no rule; give one or more AttributionRule(…)"
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield f"rule {', '.join(twice)} is declared twice; rows of both would be taken for each other's"
        if not has_slates(self.impressions):
            lacks = [c.name for c in IMPRESSIONS.columns if c not in self.impressions.columns]
            yield f"{self.impressions.name} are no impressions: they lack {', '.join(lacks)}, as IMPRESSIONS has them"
        for rule in self.rules:
            yield from find_sql_problems(f"where of {rule.name}", rule.where, self.impressions.contract)
