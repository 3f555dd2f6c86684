"""Of each column the columns that it is computed from, as the declarations have it; no table is read for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import sqlglot

from jobs.catalogue.embedding_lineage import INPUTS, Uses
from jobs.sources import Source
from schemas import (
    ATTRIBUTION_TABLES,
    CONTRACTS,
    FEATURE_GROUPS,
    IMPRESSION_REWARD_TABLES,
    REWARD_TABLES,
    THRESHOLD_TABLES,
    TRACE_TABLES,
    Attributions,
    Contract,
    DiscoveryTraces,
    FeatureGroup,
    ImpressionRewards,
    Rewards,
    RewardThresholds,
)
from schemas.attributions import OF_PLAY
from schemas.declarations import Feature
from schemas.outcomes import outcome_groups
from schemas.parts import Part
from schemas.plays import PLAYS
from schemas.reward_terms import SESSION_GROUP, Term
from schemas.rewards import AT_ONCE, status_name
from schemas.sessions import PLAY_INPUTS, SESSIONS
from schemas.sql import list_columns
from schemas.tracks import TRACKS

# How an input decides a value: it is part of it; it says whose row it is, which plays count, in which window they
# are, or which of two at one instant comes first.
VALUE, KEY, FILTER, WINDOW, ORDER = "value", "key", "filter", "window", "order"
# Parts that keep values of single plays.
_ORDERED = ("earliest", "latest")


@dataclass(frozen=True)
class ColumnInput:
    """A column that another is computed from. Of a source, `table` is `source:<its name>`."""

    table: str
    column: str
    use: str = VALUE


def declare_tables() -> dict[str, Contract]:
    """Every contract by its table, and what is merged for labels alone as if it were a table."""
    return CONTRACTS | {group.table: _declare_merged(group) for group in FEATURE_GROUPS if not group.daily}


def _declare_merged(group: FeatureGroup) -> Contract:
    # neither day nor bucket: no row of it is stored
    names = {*group.keys, *(feature.name(window) for feature, window in group.feature_windows)}
    columns = tuple(column for column in group.contract().columns if column.name in names)
    return replace(group.contract(), columns=columns, key=group.keys, event_time=None)


class Lineage:
    """Of every column that is declared; with a source, back to the columns of its files.

    Args:
        of_events: by table, for tables of events that have a source of their own.
    """

    def __init__(self, source: Source | None = None, of_events: Mapping[str, Source] | None = None) -> None:
        self._source, self._of_events = source, of_events or {}
        self.contracts = declare_tables()

    @cached_property
    def inputs(self) -> dict[tuple[str, str], tuple[ColumnInput, ...]]:
        """By table and column; without those of which nothing is declared, as what a training makes."""
        pairs = ((c.name, column) for c in self.contracts.values() for column in c.names)
        found = {(table, column): tuple(self._list_inputs(table, column)) for table, column in pairs}
        return {key: inputs for key, inputs in found.items() if inputs}

    @cached_property
    def dependents(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """The columns that are computed from a column, each as its table and its name."""
        dependents: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for key, inputs in self.inputs.items():
            for each in dict.fromkeys((each.table, each.column) for each in inputs):
                dependents.setdefault(each, []).append(key)
        return dependents

    def trace(self, table: str, column: str) -> list[ColumnInput]:
        """All that a column is computed from, the nearest first; each once, with its use where it is nearest."""
        nearest: dict[tuple[str, str], ColumnInput] = {}
        level = [(table, column)]
        while level:
            new: dict[tuple[str, str], ColumnInput] = {}
            for each in (each for key in level for each in self.inputs.get(key, ())):
                new.setdefault((each.table, each.column), each)
            level = [key for key in new if key not in nearest]
            nearest |= {key: new[key] for key in level}
        return list(nearest.values())

    def _list_inputs(self, table: str, column: str) -> Iterator[ColumnInput]:
        group, contract = find_group(table), self.contracts[table]
        if column == "bucket" and contract.entity:
            # of its own row's key, in whichever table
            yield ColumnInput(table, contract.entity)
        elif group:
            yield from _list_group_inputs(group, table, column)
        elif table == SESSIONS.name and column != "available_at":
            yield from (ColumnInput(PLAYS.name, name) for name in PLAY_INPUTS.get(column, (column,)))
        elif table in [each.name for each in ATTRIBUTION_TABLES]:
            yield from _list_attribution_inputs(ATTRIBUTION_TABLES[0], column)
        elif table in [each.name for each in REWARD_TABLES]:
            yield from _list_reward_inputs(REWARD_TABLES[0], column)
        elif table in [each.name for each in IMPRESSION_REWARD_TABLES]:
            yield from _list_impression_reward_inputs(IMPRESSION_REWARD_TABLES[0], column)
        elif table in [each.name for each in TRACE_TABLES]:
            yield from _list_trace_inputs(TRACE_TABLES[0], column)
        elif table in [each.name for each in THRESHOLD_TABLES]:
            yield from _list_threshold_inputs(THRESHOLD_TABLES[0], column)
        elif uses := INPUTS.get(table, {}).get(column):
            yield from _list_embedding_inputs(uses)
        elif sql := self.source_sql(table, column):
            source = self._find_source(table)
            assert source is not None
            yield from (ColumnInput(f"source:{source.name}", name) for name in _try_list_columns(sql))

    def _find_source(self, table: str) -> Source | None:
        return self._of_events.get(table, self._source)

    def source_sql(self, table: str, column: str) -> str:
        """The SQL over a source's files that a column is read by; empty where that is not known."""
        source = self._find_source(table)
        return source.section(table).get(column, "") if source else ""


def find_group(table: str) -> FeatureGroup | None:
    """Of a table of features, or of partials."""
    return next((group for group in FEATURE_GROUPS if table in (group.table, group.partials_table)), None)


def _list_embedding_inputs(uses: Uses) -> Iterator[ColumnInput]:
    for use, names in uses.items():
        for name in names:
            table, _, column = name.partition(".")
            yield ColumnInput(table, column, use)


def _list_attribution_inputs(table: Attributions, column: str) -> Iterator[ColumnInput]:
    shown, played = table.impressions.name, SESSIONS.name
    if column == "attribution_id":
        yield ColumnInput(played, "play_id")
    elif column in (*OF_PLAY, "ds"):
        yield ColumnInput(played, column)
    elif column not in ("rule_id", "available_at"):
        # which impression it is decides each of its values
        yield ColumnInput(shown, "shown_at" if column == "delay_ms" else column)
        items = (name for rule in table.rules for name in rule.items.values())
        for name in dict.fromkeys(("user_id", *items)):
            yield ColumnInput("tracks" if name in table.catalogue_columns else played, name, KEY)
        yield from (ColumnInput(shown, name, KEY) for name in ("user_id", "item_type", "item_id"))
        wheres = (name for rule in table.rules for name in list_columns(rule.where))
        yield from (ColumnInput(shown, name, FILTER) for name in dict.fromkeys(wheres))
        yield ColumnInput(played, "played_at", WINDOW)
        order = ("shown_at", "seen", "shelf_position", "position", "impression_id")
        yield from (ColumnInput(shown, name, ORDER) for name in order)


def _list_reward_inputs(rewards: Rewards, column: str) -> Iterator[ColumnInput]:
    reward = next((each for each in rewards.rewards if each.name == column), None)
    if column.startswith("status_"):
        yield ColumnInput(SESSIONS.name, "ds", WINDOW)
    elif reward is None and column != "available_at":
        yield ColumnInput(SESSIONS.name, column)
    elif reward is not None:
        named = dict.fromkeys((*list_columns(reward.value), *reward.next_columns))
        names = [name for name in named if name in CONTRACTS[SESSIONS.name].names]
        yield from (ColumnInput(SESSIONS.name, name) for name in names)
        for term in reward.terms:
            yield from _list_term_inputs(term)
        if reward.days:
            yield ColumnInput(SESSIONS.name, "played_at", WINDOW)


def _list_impression_reward_inputs(declared: ImpressionRewards, column: str) -> Iterator[ColumnInput]:
    plays, attributions = declared.rewards.name, declared.attributions.name
    if column in declared.rewards.contract.names and column not in (
        "user_id",
        "play_id",
        "ds",
        "available_at",
    ):
        yield ColumnInput(plays, column)
        yield ColumnInput(attributions, "play_id", KEY)
    elif column in ("plays", "play_id", "delay_ms"):
        yield ColumnInput(attributions, "play_id" if column == "plays" else column)
        yield ColumnInput(attributions, "impression_id", KEY)
    elif column == "rule_id":
        yield ColumnInput(attributions, column)
    elif column not in ("available_at", status_name(AT_ONCE)):
        yield ColumnInput(declared.attributions.impressions.name, column)


def _list_trace_inputs(declared: DiscoveryTraces, column: str) -> Iterator[ColumnInput]:
    rewards, items = declared.rewards.name, declared.list_items(FEATURE_GROUPS)
    if column == "item_id":
        yield from (ColumnInput(rewards, item.column) for item in items)
    elif column == "trace":
        yield from (ColumnInput(item.group.partials_table, "ds") for item in items)
        yield from (ColumnInput(rewards, item.reward, FILTER) for item in items)
    elif column in ("days_observed", "status"):
        yield ColumnInput(SESSIONS.name, "ds", WINDOW)
    elif column == "discovered_at":
        yield ColumnInput(rewards, "played_at")
    elif column in ("play_id", "user_id", "ds"):
        yield ColumnInput(rewards, column)


def _list_threshold_inputs(declared: RewardThresholds, column: str) -> Iterator[ColumnInput]:
    of_plays = CONTRACTS[SESSIONS.name].names
    grouped = dict.fromkeys(name for each in declared.thresholds for name in each.columns)
    if column in ("value", "own_value"):
        rewards = dict.fromkeys(each.reward for each in declared.thresholds)
        yield from (ColumnInput(declared.rewards.name, name) for name in rewards)
    if column in ("value", "own_value", "value_level", "group_values", "plays", "listeners"):
        tables = {name: SESSIONS.name if name in of_plays else "tracks" for name in grouped}
        yield from (ColumnInput(table, name, KEY) for name, table in tables.items())


def _list_term_inputs(term: Term) -> Iterator[ColumnInput]:
    groups = (*FEATURE_GROUPS, SESSION_GROUP)
    group = next(group for group in groups if group.table == term.outcome.table)
    yield from (ColumnInput(SESSIONS.name, key, KEY) for key in group.keys)
    yield from (ColumnInput(SESSIONS.name, name, FILTER) for name in list_columns(group.where))
    if term.counts_days:
        yield ColumnInput(SESSIONS.name, "ds")
        return
    for feature in outcome_groups([term.outcome], groups, term.ahead)[0].features:
        yield from (ColumnInput(SESSIONS.name, name) for name in feature.lineage)


def _list_group_inputs(group: FeatureGroup, table: str, column: str) -> Iterator[ColumnInput]:
    if column in group.keys:
        yield from _find_columns(group, column, VALUE)
    elif column in ("ds", "feature_at"):
        yield ColumnInput(group.events.name, "ds")
    elif column == "span":
        yield ColumnInput(group.events.name, "ds", WINDOW)
    elif table == group.table:
        features = [feature for feature, window in group.feature_windows if feature.name(window) == column]
        yield from (each for feature in features for each in _list_feature_inputs(group, feature))
    else:
        parts = [part for part in group.parts if part.name == column]
        yield from (each for part in parts for each in _list_part_inputs(group, part))


def _list_feature_inputs(group: FeatureGroup, feature: Feature) -> Iterator[ColumnInput]:
    values = [feature.input, *([feature.per] if feature.per else [])]
    kinds = {part.kind for window in feature.windows for part in feature.parts(window)}
    return _list_play_inputs(group, values, feature.where, not kinds.isdisjoint(_ORDERED))


def _list_part_inputs(group: FeatureGroup, part: Part) -> Iterator[ColumnInput]:
    return _list_play_inputs(group, [part.of], part.where, part.kind in _ORDERED)


def _list_play_inputs(
    group: FeatureGroup, values: Iterable[str], where: str, in_order: bool
) -> Iterator[ColumnInput]:
    uses = [(VALUE, sql) for sql in values] + [(FILTER, where), (FILTER, group.where)]
    found = [(name, use) for use, sql in uses for name in list_columns(sql)]
    found += [(key, KEY) for key in group.keys] + [(group.events.event_time or "", WINDOW)]
    found += [(name, ORDER) for name in group.events.key] if in_order else []
    # one column can be input and filter at once
    inputs = (each for name, use in found for each in _find_columns(group, name, use))
    yield from dict.fromkeys(inputs)


def _find_columns(group: FeatureGroup, name: str, use: str) -> Iterator[ColumnInput]:
    """What a name of the group's SQL stands for: a column of its events, of the catalogue, or a derived key's."""
    if name in group.derived_keys:
        yield from (
            each for own in list_columns(group.derived_keys[name]) for each in _find_columns(group, own, use)
        )
    else:
        yield ColumnInput(group.events.name if name in group.events.names else TRACKS.name, name, use)


def _try_list_columns(sql: str) -> tuple[str, ...]:
    # of a source the SQL is Spark's to check, when files are read: here it is shown, whether it parses or not
    try:
        return list_columns(sql)
    except sqlglot.errors.SqlglotError:
        return ()
