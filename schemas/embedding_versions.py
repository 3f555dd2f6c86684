"""Embedding versions: every training, its inputs and settings, its metrics, and whether the gate accepted it."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, DS, SPACE_ID
from schemas.contract import Column, Contract

STARTS = ("cold", "warm")

EMBEDDING_VERSIONS = Contract(
    name="embedding_versions",
    meaning="One row per training, those that the gate refused included.",
    columns=(
        Column("version_id", "string", "day of training and a hash of its inputs", nullable=False),
        SPACE_ID,
        Column(
            "parent",
            "string",
            "the version it started from, or was rotated to; null for the first",
            profile=False,
        ),
        Column("start", "string", "cold: in a new space; warm: continued in the parent's", nullable=False),
        Column("status", "string", "accepted, or rejected: its vectors were never published", nullable=False),
        Column("reasons", "array<string>", "why the gate rejected it", nullable=False),
        Column("parameters", "string", "the settings, as JSON", nullable=False, profile=False),
        Column("seed", "bigint", "of the settings", nullable=False, profile=False),
        Column("inputs", "string", "tables and their versions, as JSON", nullable=False, profile=False),
        Column(
            "metrics",
            "array<struct<name:string,of:string,segment:string,value:double>>",
            "what was measured, of this version, the one before and the baselines",
            nullable=False,
        ),
        Column(
            "trials",
            "array<struct<window:int,backward:double,learning_rate:double,dimensions:int,epochs:int,rung:int,"
            "pairs:bigint,score:double>>",
            "short trainings that the settings were chosen by; null where nothing was searched",
        ),
        Column(
            "search",
            "string",
            "how the settings were chosen and what that cost, as JSON; null if warm",
            profile=False,
        ),
        Column("tracks", "bigint", "tracks learned", "tracks", False, ">= 0"),
        Column("plays", "bigint", "plays learned from", "plays", False, ">= 0"),
        Column("seconds", "double", "of training alone", "s", False, ">= 0"),
        Column("peak_bytes", "bigint", "most memory that the task had", "bytes", False, ">= 0"),
        AVAILABLE_AT,
        DS,
    ),
    key=("version_id", "ds"),
)
