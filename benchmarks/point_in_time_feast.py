"""What `benchmarks/point_in_time.py` runs in a Python that has Feast and DuckDB: orders in, seconds out, a line each.

An order is JSON with `what` (feast, duckdb), `rows` and `labels` (folders of Parquet), `columns` and
`check` (whether to answer with a checksum instead).
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

TTL_DAYS = 10_000  # days: longer than any history here, so that neither side drops a row for its age


def main() -> None:
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    print(
        json.dumps({name: _version(name) for name in ("feast", "pyspark", "duckdb")}),
        file=answers,
        flush=True,
    )
    for line in sys.stdin:
        order = json.loads(line)
        run = {"feast": _feast, "duckdb": _duckdb}[order["what"]]
        start = time.perf_counter()
        result = run(folder, settings, order)
        print(
            json.dumps({"seconds": time.perf_counter() - start, "result": result}), file=answers, flush=True
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except ImportError:
        return None


def _feast(folder: Path, settings: dict[str, str], order: dict[str, Any]) -> list[float] | None:
    from pyspark.sql import functions as F

    labels = _session(settings).read.parquet(order["labels"])
    labels = labels.withColumnRenamed("label_at", "event_timestamp")
    names = [f"user_daily:{column}" for column in order["columns"]]
    job = _store(folder, settings, order).get_historical_features(entity_df=labels, features=names)
    if not order["check"]:
        job.to_spark_df().write.format("noop").mode("overwrite").save()
        return None
    sums = [F.expr(text) for text in order["check"]]
    return [float(value) for value in job.to_spark_df().agg(*sums).first()]


def _session(settings: dict[str, str]) -> Any:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("feast")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _store(folder: Path, settings: dict[str, str], order: dict[str, Any]) -> Any:
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.types import Float64

    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "spark", "spark_conf": settings},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = SparkSource(name="rows", path=order["rows"], file_format="parquet", timestamp_field="feature_at")
    view = FeatureView(
        name="user_daily",
        entities=[user],
        ttl=timedelta(days=TTL_DAYS),
        schema=[Field(name=column, dtype=Float64) for column in order["columns"]],
        online=False,
        source=source,
    )
    store = FeatureStore(config=config)
    store.apply([user, view])
    return store


def _duckdb(folder: Path, settings: dict[str, str], order: dict[str, Any]) -> list[float] | None:
    import duckdb

    base = duckdb.connect(config={"threads": 2})
    base.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"r.{column}" for column in order["columns"])
    query = (
        f"SELECT l.*, {columns} FROM read_parquet('{order['labels']}/*.parquet') l "
        f"ASOF LEFT JOIN read_parquet('{order['rows']}/*.parquet') r "
        "ON l.user_id = r.user_id AND l.label_at >= r.feature_at"
    )
    if order["check"]:
        return [
            float(value)
            for value in base.execute(f"SELECT {', '.join(order['check'])} FROM ({query})").fetchone()
        ]
    base.execute(f"CREATE TEMP TABLE joined AS {query}")
    return None


if __name__ == "__main__":
    main()
