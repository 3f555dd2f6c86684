"""What each table holds: one module per table family, one contract per table."""

from __future__ import annotations

from schemas.artist_features import ARTIST_FEATURE_GROUP
from schemas.candidates import CANDIDATES
from schemas.contract import Column, Contract, ContractError, conform
from schemas.declarations import FeatureGroup
from schemas.embedding_versions import EMBEDDING_VERSIONS
from schemas.pair_features import USER_ARTIST_FEATURE_GROUP, USER_TRACK_FEATURE_GROUP
from schemas.plays import PLAYS, REJECTED_PLAYS
from schemas.quality_results import QUALITY_RESULTS
from schemas.releases import RELEASES
from schemas.sessions import SESSIONS
from schemas.similar_tracks import SIMILAR_TRACKS
from schemas.track_embeddings import TRACK_EMBEDDINGS
from schemas.track_features import TRACK_FEATURE_GROUP
from schemas.track_semantic_ids import SEMANTIC_CODEBOOKS, TRACK_SEMANTIC_IDS
from schemas.tracks import TRACKS
from schemas.user_embeddings import USER_EMBEDDINGS
from schemas.user_features import USER_FEATURE_GROUP

FEATURE_GROUPS: tuple[FeatureGroup, ...] = (
    USER_FEATURE_GROUP,
    TRACK_FEATURE_GROUP,
    ARTIST_FEATURE_GROUP,
    USER_TRACK_FEATURE_GROUP,
    USER_ARTIST_FEATURE_GROUP,
)

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        PLAYS,
        REJECTED_PLAYS,
        TRACKS,
        SESSIONS,
        *(group.partials_contract() for group in FEATURE_GROUPS),
        # pairs have partials alone
        *(group.contract() for group in FEATURE_GROUPS if group.daily),
        EMBEDDING_VERSIONS,
        TRACK_EMBEDDINGS,
        USER_EMBEDDINGS,
        SIMILAR_TRACKS,
        CANDIDATES,
        SEMANTIC_CODEBOOKS,
        TRACK_SEMANTIC_IDS,
        RELEASES,
        QUALITY_RESULTS,
    )
}

__all__ = ["CONTRACTS", "FEATURE_GROUPS", "Column", "Contract", "ContractError", "FeatureGroup", "conform"]
