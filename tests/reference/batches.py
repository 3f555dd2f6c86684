"""A batch of any table that every expectation holds for; tests spoil it in one place."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from reference.rows import Row, bucket
from schemas import Contract

DAY = date(2026, 10, 1)
NEXT_MIDNIGHT = datetime(2026, 10, 2, tzinfo=UTC)
NOON = NEXT_MIDNIGHT - timedelta(hours=12)

BY_TYPE: dict[str, Any] = {
    "bigint": 3,
    "int": 1,
    "double": 0.5,
    "boolean": False,
    "date": DAY,
    "timestamp": NOON,
    "decimal(38,12)": Decimal(1),
    "decimal(38,18)": Decimal(1),
    "array<bigint>": [1] * 24,
    "array<struct<item:string,count:bigint>>": [{"item": "a1", "count": 3}],
    "array<double>": [1 / 24] * 24,
    "array<float>": [0.6, 0.8],
    "array<string>": ["no track_id"],
}
BY_NAME: dict[str, Any] = {
    "feature_at": NEXT_MIDNIGHT,
    "norm": 1.0,
    "in_vector": [0.3, 0.4],
    "out_vector": [0.3, 0.4],
    "codes": [7, 0],
    "trials": [
        {
            "window": 2,
            "backward": 0.3,
            "learning_rate": 0.05,
            "dimensions": 32,
            "epochs": 3,
            "rung": 0,
            "pairs": 100,
            "score": 0.1,
        }
    ],
    "metrics": [{"name": "next.hr@10", "of": "this", "segment": "all", "value": 0.1}],
}
# The same in every row: a batch is of one of them.
SHARED = ("source", "space_id", "version_id", "codebook_id")
BY_TABLE: dict[str, dict[str, Any]] = {
    "tracks": {
        "released": "1994-05",
        "isrc": "QZAAA2600001",
        "recording_mbid": "b1a9c0e9-d987-4042-ae91-78d6a3267d69",
    },
    "track_embeddings": {"source": "learned"},
    "similar_tracks": {"neighbours": ["a", "b"], "scores": [0.9, 0.9], "search": "exact"},
    "candidates": {"track_ids": ["a", "b"], "origins": ["next_track", "similar_to_recent"]},
    "embedding_versions": {"start": "cold", "status": "accepted", "reasons": []},
    "play_rewards": {"status_1d": "ripe"},
    "discovery_traces": {"item_type": "track", "trace": 5, "days_observed": 3, "status": "unripe"},
    "reward_thresholds": {"level": 2, "value_level": 2, "plays": 9, "listeners": 3},
    "impression_rewards": {"status_0d": "ripe", "status_1d": "ripe"},
}


def _by_row(table: str, n: int) -> dict[str, Any]:
    """What follows from other columns, or makes the rows differ."""
    return {
        "track_semantic_ids": {"collision": n, "semantic_id": f"7-0-{n}"},
        "semantic_codebooks": {"code": n},
        "embedding_versions": {"version_id": f"v{n}", "space_id": f"v{n}"},
    }.get(table, {})


def batch(contract: Contract, rows: int = 10, **overrides: Any) -> list[Row]:
    """`rows` rows, all of them with `overrides`; a quarter of plays is skipped."""
    return [_row(contract, n, {"skipped": n % 4 == 0, **overrides}) for n in range(rows)]


def spoil(rows: list[Row], *places: int, **overrides: Any) -> list[Row]:
    """The rows, those at `places` with `overrides`."""
    return [{**row, **overrides} if n in places else row for n, row in enumerate(rows)]


def _row(contract: Contract, n: int, overrides: dict[str, Any]) -> Row:
    row = {column.name: _value(column.name, column.type, n) for column in contract.columns}
    row |= BY_TABLE.get(contract.name, {}) | _by_row(contract.name, n)
    row |= {name: value for name, value in overrides.items() if name in row}
    if contract.buckets and "bucket" not in overrides:
        row["bucket"] = bucket(row[contract.entity])
    return row


def _value(name: str, type_: str, n: int) -> Any:
    if name == "available_at":
        return None
    if type_ == "string":
        return name if name in SHARED else f"{name}-{n}"
    return BY_NAME.get(name, BY_TYPE.get(type_))
