"""What each table holds: one module per table family, one contract per table."""

from __future__ import annotations

from schemas.contract import Column, Contract, ContractError, conform
from schemas.plays import PLAYS, REJECTED_PLAYS
from schemas.quality_results import QUALITY_RESULTS
from schemas.releases import RELEASES
from schemas.sessions import SESSIONS
from schemas.track_embeddings import TRACK_EMBEDDINGS
from schemas.track_features import TRACK_FEATURES
from schemas.tracks import TRACKS
from schemas.user_features import USER_FEATURES

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        PLAYS,
        REJECTED_PLAYS,
        TRACKS,
        SESSIONS,
        USER_FEATURES,
        TRACK_FEATURES,
        TRACK_EMBEDDINGS,
        RELEASES,
        QUALITY_RESULTS,
    )
}

__all__ = ["CONTRACTS", "Column", "Contract", "ContractError", "conform"]
