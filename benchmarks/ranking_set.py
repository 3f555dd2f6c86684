"""What a ranking set costs beside the plain join of the same impressions as labels, in the client, without Spark.

    python benchmarks/ranking_set.py                          # a minute or two
    python benchmarks/ranking_set.py --impressions 50000 --rounds 1

Both have the same features of the same release, and the label is in the rows already. Before anything is timed, the
values of both are compared. Rounds take turns, the first of which warms up. The bound is a ratio of 1.2. Printed beside
it, in no ratio: the matrix that a library takes, and the label `taken` made of attributions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from stopwatch import Times, stopwatch

import segue
from segue.buckets import bucket
from segue.releases import TableVersion, append_release

FIRST, DAYS, SLATE = date(2026, 3, 1), 14, 10
USERS, TRACKS, FEATURES = 50_000, 20_000, 10
BUCKETS, BOUND = 64, 1.2
INSTANT = pa.timestamp("us", "UTC")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--impressions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numpy", "deltalake"))
    print(f"{args.impressions:,} impressions, {2 * FEATURES} features, {os.cpu_count()} cores, {packages}")
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(1)
        store, rows = _lay(Path(folder) / "root", rng, args.impressions)
        _check_same(store, rows)
        _compare(store, rows, args.rounds)


def _lay(root: Path, rng: np.random.Generator, count: int) -> tuple[segue.Store, pa.Table]:
    rows = _draw_impressions(rng, count)
    led = rows.filter(rows["taken"])
    attributions = led.select(["impression_id", "user_id", "ds"]).append_column(
        "rule_id", pa.array(["last_touch_1h"] * len(led))
    )
    attributions = attributions.append_column("delay_ms", pa.array([1000] * len(led), pa.int64()))
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    plays = pa.table({"play_id": [str(day) for day in days], "user_id": ["u"] * DAYS, "ds": days})
    tables = {
        "impressions": (rows.drop_columns("taken"), "impression_id", "user_id"),
        "attributions": (attributions, "impression_id", "user_id"),
        "sessions": (plays, "play_id", "user_id"),
        "user_features": (_draw_features(rng, "user_id", "u", USERS, days), "user_id,ds", "user_id"),
        "track_features": (_draw_features(rng, "track_id", "t", TRACKS, days), "track_id,ds", "track_id"),
    }
    versions = {name: _publish(root, name, *table) for name, table in tables.items()}
    append_release(root, days[-1], versions)
    return segue.open(root), rows.drop_columns("ds")


def _draw_impressions(rng: np.random.Generator, count: int) -> pa.Table:
    """In slates of ten, in no order, with the keys of both tables."""
    request, place = np.divmod(rng.permutation(count), SLATE)
    at = rng.integers(DAYS * 86_400, size=request.max() + 1)[request] * 1_000_000
    shown_at = pa.array(at + (FIRST - date(1970, 1, 1)).days * 86_400_000_000).cast(INSTANT)
    return pa.table(
        {
            "impression_id": _name("i", rng.permutation(count)),
            "request_id": _name("r", request),
            "user_id": _name("u", rng.integers(USERS, size=request.max() + 1)[request]),
            "track_id": _name("t", rng.integers(TRACKS, size=count)),
            "shown_at": shown_at,
            "position": pa.array(place + 1, pa.int32()),
            "propensity": rng.random(count),
            "taken": rng.random(count) < 0.2,
            "ds": shown_at.cast(pa.date32()),
        }
    )


def _draw_features(rng: np.random.Generator, key: str, letter: str, count: int, days: list[date]) -> pa.Table:
    ids, total = _name(letter, np.arange(count)), count * len(days)
    ends = np.repeat([datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days], count)
    values = {f"f{n}": rng.random(total) for n in range(FEATURES)}
    feature_at = pa.array(ends + timedelta(days=1), INSTANT)
    return pa.table(
        {
            key: pa.chunked_array([ids] * len(days)),
            "feature_at": feature_at,
            **values,
            "ds": np.repeat(days, count),
        }
    )


def _name(letter: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")


def _publish(root: Path, name: str, rows: pa.Table, key: str, entity: str) -> TableVersion:
    buckets = {each: bucket(each, BUCKETS) for each in rows[entity].unique().to_pylist()}
    place = pa.array([buckets[each] for each in rows[entity].to_pylist()], pa.int32())
    rows = rows.append_column("bucket", place).sort_by([("ds", "ascending"), ("bucket", "ascending")])
    rows = rows.append_column("available_at", pc.add(rows["ds"].cast(INSTANT), timedelta(days=1)))
    settings = {"segue.key": key, "segue.entity": entity, "segue.buckets": str(BUCKETS)}
    log = DeltaTable.create(
        root / "tables" / name,
        rows.schema,
        partition_by=["ds", "available_at"],
        configuration=settings,
        raise_if_key_not_exists=False,
    )
    write_deltalake(log, rows, mode="append")
    return TableVersion(log.version(), rows.num_rows, name)


def _join(store: segue.Store, rows: pa.Table) -> pa.Table:
    return store.training_set(rows, ["user_features", "track_features"], "shown_at")


def _rank(store: segue.Store, rows: pa.Table) -> segue.RankingSet:
    return store.ranking_set(["user_features", "track_features"], ["taken"], rows)


def _check_same(store: segue.Store, rows: pa.Table) -> None:
    joined = _join(store, rows).sort_by("impression_id")
    ranking = _rank(store, rows)
    assert ranking.sizes.sum() == len(joined) and len(ranking.features) == 2 * FEATURES
    assert ranking.rows.sort_by("impression_id").select(joined.column_names).equals(joined)
    print(f"  the rows of both are the same: {len(ranking.sizes):,} requests, {len(joined):,} rows")


def _compare(store: segue.Store, rows: pa.Table, rounds: int) -> None:
    times: Times = {}
    for turn in range(-1, rounds):  # the first warms up, and does not count
        of_turn = times if turn >= 0 else {}
        with stopwatch(of_turn, "labels"):
            _join(store, rows)
        with stopwatch(of_turn, "ranking"):
            ranking = _rank(store, rows)
        with stopwatch(of_turn, "matrix"):
            assert ranking.x.shape == (len(rows), 2 * FEATURES)
        with stopwatch(of_turn, "taken"):
            store.ranking_set(taken_within=timedelta(hours=1))
    ratio = median(times["ranking"]) / median(times["labels"])
    verdict = "" if ratio <= BOUND else f": more than {BOUND}"
    print(f"  ranking set against plain label join: {ratio:.2f}{verdict}")
    for label, of_label in times.items():
        print(f"  {label:8} {' '.join(f'{each:.2f}' for each in of_label)} s")


if __name__ == "__main__":
    main()
