"""What each table holds: one module per table family, one contract per table."""

from __future__ import annotations

from schemas.attributions import Attributions
from schemas.candidates import CANDIDATES
from schemas.contract import Column, Contract, ContractError, conform
from schemas.declarations import FeatureGroup
from schemas.discovery_traces import DiscoveryTraces
from schemas.embedding_versions import EMBEDDING_VERSIONS
from schemas.event_tables import EventTable
from schemas.feature_profiles import FEATURE_PROFILES
from schemas.impression_rewards import ImpressionRewards
from schemas.input_files import INPUT_FILES
from schemas.plays import LATE_PLAYS, PLAYS, REJECTED_PLAYS
from schemas.project_declarations import VARIABLE, find_project_paths, load_declarations
from schemas.quality_results import QUALITY_RESULTS
from schemas.releases import RELEASES
from schemas.reward_thresholds import RewardThresholds
from schemas.rewards import Rewards
from schemas.run_costs import RUN_COSTS
from schemas.sessions import SESSIONS
from schemas.similar_tracks import SIMILAR_TRACKS
from schemas.track_embeddings import TRACK_EMBEDDINGS
from schemas.track_semantic_ids import SEMANTIC_CODEBOOKS, TRACK_SEMANTIC_IDS
from schemas.tracks import REJECTED_TRACKS, TRACK_CHANGES, TRACKS
from schemas.user_embeddings import USER_EMBEDDINGS

_OF_PLAYS = (PLAYS, LATE_PLAYS, REJECTED_PLAYS, TRACKS, REJECTED_TRACKS, TRACK_CHANGES, SESSIONS)
_OF_EMBEDDINGS = (
    EMBEDDING_VERSIONS,
    TRACK_EMBEDDINGS,
    USER_EMBEDDINGS,
    SIMILAR_TRACKS,
    CANDIDATES,
    SEMANTIC_CODEBOOKS,
    TRACK_SEMANTIC_IDS,
)
_RECORDS = (RELEASES, QUALITY_RESULTS, FEATURE_PROFILES, INPUT_FILES, RUN_COSTS)

_DECLARED = load_declarations(
    find_project_paths(VARIABLE, "declarations"),
    [contract.name for contract in (*_OF_PLAYS, *_OF_EMBEDDINGS, *_RECORDS)],
)
FEATURE_GROUPS: tuple[FeatureGroup, ...] = _DECLARED.groups
EVENT_TABLES: tuple[EventTable, ...] = _DECLARED.event_tables
# one at most, as there is one table of that name
ATTRIBUTION_TABLES: tuple[Attributions, ...] = _DECLARED.attributions
REWARD_TABLES: tuple[Rewards, ...] = _DECLARED.rewards
IMPRESSION_REWARD_TABLES: tuple[ImpressionRewards, ...] = _DECLARED.impression_rewards
TRACE_TABLES: tuple[DiscoveryTraces, ...] = _DECLARED.traces
THRESHOLD_TABLES: tuple[RewardThresholds, ...] = _DECLARED.thresholds

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        *map(_DECLARED.extend, _OF_PLAYS),
        *(contract for table in EVENT_TABLES for contract in (table.contract, table.rejects)),
        *(table.contract for table in ATTRIBUTION_TABLES),
        *(table.contract for table in REWARD_TABLES),
        *(table.contract for table in IMPRESSION_REWARD_TABLES),
        *(table.contract for table in TRACE_TABLES),
        *(table.contract for table in THRESHOLD_TABLES),
        *(group.partials_contract() for group in FEATURE_GROUPS),
        *(group.contract() for group in FEATURE_GROUPS if group.daily),
        *_OF_EMBEDDINGS,
        *_RECORDS,
    )
}

__all__ = [
    "ATTRIBUTION_TABLES",
    "CONTRACTS",
    "EVENT_TABLES",
    "FEATURE_GROUPS",
    "IMPRESSION_REWARD_TABLES",
    "REWARD_TABLES",
    "THRESHOLD_TABLES",
    "TRACE_TABLES",
    "Attributions",
    "Column",
    "Contract",
    "ContractError",
    "DiscoveryTraces",
    "EventTable",
    "FeatureGroup",
    "ImpressionRewards",
    "RewardThresholds",
    "Rewards",
    "conform",
]
