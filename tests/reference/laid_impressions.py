"""A root with impressions, what they led to, and daily features, as Delta tables made without Spark.

The world is that of `features/synthetic/impressions.py` by other means: each place of a slate has candidates of its
own, the policy draws one and logs the chance, a listener looks at a place by its position and takes what is looked at,
likelier where it is of the session's cluster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

import segue
from features.synthetic.impressions import (
    CANDIDATES,
    OF_CLUSTER_SHARE,
    PREFERENCE,
    TAKE_CHANCE,
    TAKE_CHANCE_OFF_TASTE,
    examination_chance,
)
from reference.rows import midnight_after
from segue.buckets import bucket
from segue.releases import TableVersion, append_release

FIRST = date(2026, 3, 1)
RULE = "last_touch_1h"
KEYS = {
    "impressions": ("impression_id", "user_id"),
    "attributions": ("attribution_id", "user_id"),
    "sessions": ("play_id", "user_id"),
    "track_features": ("track_id,ds", "track_id"),
    "user_embeddings": ("user_id,ds", "user_id"),
    "track_embeddings": ("track_id,ds", "track_id"),
}
BUCKETS = 64


def lay(root: Path, through: datetime | None = None, **tables: pa.Table) -> segue.Store:
    """Publishes rows with `ds`, one release of all; `through` is up to when each table is complete."""
    versions = {name: _lay_table(root, name, rows, through) for name, rows in tables.items()}
    append_release(root, max(max(rows["ds"].to_pylist()) for rows in tables.values()), versions)
    return segue.open(root)


def _lay_table(root: Path, name: str, rows: pa.Table, through: datetime | None) -> TableVersion:
    key, entity = KEYS[name]
    buckets = {value: bucket(value, BUCKETS) for value in rows[entity].unique().to_pylist()}
    rows = rows.append_column("bucket", pa.array([buckets[v] for v in rows[entity].to_pylist()], pa.int32()))
    published = pa.array([midnight_after(ds) for ds in rows["ds"].to_pylist()], pa.timestamp("us", "UTC"))
    rows = rows.append_column("available_at", published)
    path = root / "tables" / name
    properties = {"segue.key": key, "segue.entity": entity, "segue.buckets": str(BUCKETS)}
    log = DeltaTable.create(
        path,
        rows.schema,
        partition_by=["ds", "available_at"],
        configuration=properties,
        raise_if_key_not_exists=False,
    )
    write_deltalake(log, rows, mode="append")
    return TableVersion(log.version(), rows.num_rows, f"hash {name}", complete_through=through)


def impressions_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Of rows with any of these columns, those without are null."""
    schema = {
        "impression_id": pa.string(),
        "request_id": pa.string(),
        "user_id": pa.string(),
        "shown_at": pa.timestamp("us", "UTC"),
        "position": pa.int32(),
        "item_type": pa.string(),
        "item_id": pa.string(),
        "propensity": pa.float64(),
        "seen": pa.bool_(),
        "ds": pa.date32(),
    }
    days = [{"ds": row["shown_at"].date(), **row} for row in rows]
    return pa.Table.from_pylist(days, pa.schema(list(schema.items())))


def attributions_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Of impression_id, played_at and delay_ms, and of `rule_id` where it is another."""
    fields = ("attribution_id", "rule_id", "impression_id", "user_id", "delay_ms", "ds")
    types = (pa.string(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.date32())
    full = [
        {
            "attribution_id": f"{row['impression_id']} {n}",
            "rule_id": RULE,
            "user_id": "u",
            "ds": row["played_at"].date(),
            **row,
        }
        for n, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, pa.schema(list(zip(fields, types, strict=True))))


def sessions_table(days: Sequence[date]) -> pa.Table:
    return pa.table(
        {"play_id": [f"p{n}" for n in range(len(days))], "user_id": ["u"] * len(days), "ds": list(days)}
    )


# --- a generated world


def lay_world(
    root: Path,
    listeners: int = 300,
    tracks: int = 200,
    clusters: int = 8,
    days: int = 14,
    slate: int = 5,
    seed: int = 1,
) -> segue.Store:
    """Slates of listeners with a taste of one cluster, mostly; what was taken; and what is published of each day.

    The truth, whether each item was of the session's cluster, is in `root`/truth.json, by impression."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(clusters, size=listeners)
    slates = _draw_slates(rng, taste, clusters, tracks, days, slate)
    shown = _name_slates(slates)
    taken = slates["taken"]
    counts = np.zeros((days, tracks), np.int64)
    np.add.at(counts, (slates["day"][taken], slates["track"][taken]), 1)
    published = [FIRST + timedelta(days=n) for n in range(days)]
    through = midnight_after(published[-1])
    root.mkdir()
    truth = {row["impression_id"]: row["in_taste"] for row in shown}
    (root / "truth.json").write_text(json.dumps(truth))
    return lay(
        root,
        through,
        impressions=impressions_table(shown),
        attributions=attributions_table(
            [
                {**row, "played_at": row["shown_at"] + timedelta(minutes=5), "delay_ms": 300_000}
                for row, is_taken in zip(shown, taken, strict=True)
                if is_taken
            ]
        ),
        sessions=sessions_table(published),
        track_features=_daily_features(published, counts),
        user_embeddings=_daily_vectors(rng, "user_id", "u", taste, clusters, published),
        track_embeddings=_daily_vectors(
            rng, "track_id", "t", np.arange(tracks) % clusters, clusters, published
        ),
    )


def _draw_slates(
    rng: np.random.Generator, taste: np.ndarray, clusters: int, tracks: int, days: int, slate: int
) -> dict[str, np.ndarray]:
    """One row per place; `in_taste` is the truth that no log has."""
    day, listener = (each.ravel() for each in np.meshgrid(range(days), range(len(taste)), indexing="ij"))
    usual = rng.random(len(day)) < 0.8
    session = np.where(usual, taste[listener], rng.integers(clusters, size=len(day)))
    minute = rng.integers(24 * 60, size=len(day))
    shape = (len(day), slate, CANDIDATES)
    of_session = rng.random(shape) < OF_CLUSTER_SHARE
    cluster = np.where(of_session, session[:, None, None], rng.integers(clusters, size=shape))
    # the first tracks of a cluster are its popular ones
    rank = (rng.random(shape) ** 2 * (tracks // clusters)).astype(int)
    weight = np.where(cluster == session[:, None, None], PREFERENCE, 1.0)
    chance = weight / weight.sum(axis=2, keepdims=True)
    drawn = (rng.random(shape[:2])[..., None] >= chance.cumsum(axis=2)).sum(axis=2).clip(max=CANDIDATES - 1)
    choose = lambda values: np.take_along_axis(values, drawn[..., None], 2)[..., 0].ravel()  # noqa: E731
    in_taste = choose(cluster) == np.repeat(session, slate)
    position = np.tile(np.arange(1, slate + 1), len(day))
    looked = (
        rng.random(len(position))
        < np.array([examination_chance(n) for n in range(1, slate + 1)])[position - 1]
    )
    likes = rng.random(len(position)) < np.where(in_taste, TAKE_CHANCE, TAKE_CHANCE_OFF_TASTE)
    return {
        "day": np.repeat(day, slate),
        "listener": np.repeat(listener, slate),
        "minute": np.repeat(minute, slate),
        "position": position,
        "track": choose(cluster + rank * clusters),
        "propensity": choose(chance),
        "in_taste": in_taste,
        "seen": looked,
        "taken": looked & likes,
    }


def _name_slates(slates: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    midnight = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    rows = []
    for n in range(len(slates["day"])):
        day, listener, position = (int(slates[name][n]) for name in ("day", "listener", "position"))
        request = f"u{listener}-{day}"
        rows.append(
            {
                "impression_id": f"{request}-{position}",
                "request_id": request,
                "user_id": f"u{listener}",
                "shown_at": midnight + timedelta(days=day, minutes=int(slates["minute"][n])),
                "position": position,
                "item_type": "track",
                "item_id": f"t{slates['track'][n]}",
                "propensity": float(slates["propensity"][n]),
                "seen": bool(slates["seen"][n]),
                "in_taste": bool(slates["in_taste"][n]),
            }
        )
    return rows


def _daily_features(days: Sequence[date], counts: np.ndarray) -> pa.Table:
    """What was taken of each track in the seven days before the end of each day."""
    weeks = [counts[max(0, n - 6) : n + 1].sum(axis=0) for n in range(len(days))]
    tracks = [f"t{n}" for n in range(counts.shape[1])]
    return _of_days(days, "track_id", tracks, "plays_count_7d", [pa.array(week) for week in weeks])


def _daily_vectors(
    rng: np.random.Generator, key: str, letter: str, cluster: np.ndarray, clusters: int, days: Sequence[date]
) -> pa.Table:
    """Near the axis of the cluster, with noise; as in any release, of one space."""
    vectors = np.eye(clusters)[cluster] + rng.normal(0, 0.2, (len(cluster), clusters))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column = pa.array(vectors.tolist(), pa.list_(pa.float32()))
    names = [f"{letter}{n}" for n in range(len(cluster))]
    rows = _of_days(days, key, names, "vector", [column] * len(days))
    return rows.append_column("space_id", pa.array(["s1"] * rows.num_rows))


def _of_days(
    days: Sequence[date], key: str, names: Sequence[str], column: str, values: Sequence[pa.Array]
) -> pa.Table:
    ends = [midnight_after(ds) for ds in days for _ in names]
    return pa.table(
        {
            key: list(names) * len(days),
            "feature_at": pa.array(ends, pa.timestamp("us", "UTC")),
            column: pa.chunked_array(values),
            "ds": [ds for ds in days for _ in names],
        }
    )
