"""Checks a training set against the definition: some of its rows, computed again from plays in plain Python loops."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.joins.feature_table import FEATURE_AT, output_name
from features.windows.definitions import Play, inputs, value
from features.windows.partials import plays_of_group
from jobs.errors import JobError
from jobs.job import Job
from jobs.training.manifest import NAME, Manifest, load
from jobs.training.request import Request, daily_columns, label_time_columns, split_refs
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.declarations import Feature
from segue import show
from segue.storage import is_delta

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Sketches err by a few percent, and a percentile by a rank: they are no matter of equal or not.
APPROXIMATE = ("approx_distinct", "percentiles")

# Differences to print; one fault makes many.
SHOWN = 20

Row = dict[str, Any]
Difference = tuple[str, str, str, str]


def rederive(job: Job, path: str, sample: int) -> int:
    """Prints what differs, and returns the exit code: 1 if anything does.

    Raises:
        JobError: nothing in the set is made of plays.
    """
    manifest = load(path)
    job.pin(manifest.versions)
    rows = _read_sample(job, path.removesuffix(f"/{NAME}"), sample)
    requested = list(_requested_tables(job, manifest))
    if not requested:
        raise JobError(
            f"{path}: none of its features is made of plays by declaration, so none can be made again"
        )
    differences: list[Difference] = []
    for table in requested:
        plays = _read_plays(job, table.group, rows)
        differences += [d for row in rows for d in _differences(manifest.request, table, row, plays)]
    compared = len(rows) * sum(len(table.features) for table in requested)
    _print_differences(path, len(rows), compared, differences)
    return int(bool(differences))


@dataclass(frozen=True)
class RequestedTable:
    """Features of one table; `at_label_time`: their windows end at the label's own instant."""

    group: FeatureGroup
    features: list[tuple[Feature, str]]
    at_label_time: bool


def _requested_tables(job: Job, manifest: Manifest) -> Iterator[RequestedTable]:
    """What is declared as it was when the set was made; the rest is named and left out."""
    daily, label_time = split_refs(manifest.request.with_columns(tuple(manifest.nulls)))
    both = [
        (label_time_columns(label_time), True),
        (daily_columns(daily, manifest.tables, job.snapshot), False),
    ]
    declared = {group.table: group for group in FEATURE_GROUPS}
    for columns_of, at_label_time in both:
        refs = [
            f"{name}:{column}" for name in columns_of.keys() & declared.keys() for column in columns_of[name]
        ]
        changed = manifest.changed_features(refs)
        if changed:
            job.say(f"left out, declared otherwise by now or no more: {', '.join(changed)}")
        for name in columns_of.keys() & declared.keys():
            features = [
                (f, w)
                for f, w in declared[name].feature_windows
                if f.op not in APPROXIMATE and f"{name}:{f.name(w)}" in {*refs} - {*changed}
            ]
            yield RequestedTable(declared[name], features, at_label_time)


def _read_sample(job: Job, path: str, count: int) -> list[Row]:
    """The same rows each time, and not the first ones."""
    from pyspark.sql import functions as F

    format_ = "delta" if is_delta(path) else "parquet"
    rows = job.spark.read.format(format_).load(path)
    # Spark hashes no maps and no variants; the other columns tell rows apart as well.
    plain = [
        F.col(f"`{field.name}`")
        for field in rows.schema
        if field.dataType.typeName() not in ("map", "variant")
    ]
    sample: list[Row] = rows.orderBy(F.xxhash64(*plain)).limit(count).toArrow().to_pylist()
    return sample


def _read_plays(job: Job, group: FeatureGroup, rows: list[Row]) -> dict[tuple[str, ...], list[Play]]:
    """All plays of the sampled entities; each carries the inputs that the declarations name, by their SQL."""
    from pyspark.sql import functions as F

    keys = sorted(
        {tuple(row[key] for key in group.keys) for row in rows if None not in [row[k] for k in group.keys]}
    )
    if not keys:
        return {}
    entities = job.spark.createDataFrame(keys, ", ".join(f"{key} string" for key in group.keys))
    # Inputs come from the declarations' own SQL, by Spark; what is done with them is Python's alone.
    sqls = {sql for f in group.features for sql in inputs(f)}
    found: DataFrame = plays_of_group(job.read("sessions"), group).join(F.broadcast(entities), [*group.keys])
    named = [
        *(F.col(key).alias(f"key {key}") for key in group.keys),
        *(F.expr(sql).alias(sql) for sql in sqls),
    ]
    frame = [F.col(name).alias(f"of {name}") for name in ("played_at", "play_id")]
    plays: dict[tuple[str, ...], list[Play]] = {}
    for row in found.select(*named, *frame).toArrow().to_pylist():
        play = Play(row["of played_at"], row["of play_id"], row)
        plays.setdefault(tuple(row[f"key {key}"] for key in group.keys), []).append(play)
    return plays


def _differences(
    request: Request, table: RequestedTable, row: Row, plays: Mapping[tuple[str, ...], list[Play]]
) -> Iterator[Difference]:
    keys, group = tuple(row[key] for key in table.group.keys), table.group
    for feature, window in table.features:
        name = output_name(group.table, feature.name(window))
        t = _as_of(request, table, row)
        expected = None if t is None or None in keys else value(plays.get(keys, []), feature, window, t)
        if not same_value(expected, row[name]):
            yield name, f"{', '.join(map(str, keys))} at {row[request.at]}", str(expected), str(row[name])


def _as_of(request: Request, table: RequestedTable, row: Row) -> datetime | None:
    """What the values of a row describe everything before; None where they are unknown or too old."""
    label = row[request.at]
    if table.at_label_time:
        return label
    t = row[output_name(table.group.table, FEATURE_AT)]
    return None if t is None or (request.age_limit is not None and label - t > request.age_limit) else t


def same_value(expected: Any, got: Any) -> bool:
    """Doubles to nine digits, or twelve decimals: engine and definition add in different orders."""
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same_value, expected, got))
    if isinstance(expected, float) or isinstance(got, float):
        return None not in (expected, got) and math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-12)
    return bool(expected == got)


def _print_differences(path: str, rows: int, compared: int, differences: list[Difference]) -> None:
    if differences:
        print(show.format_table(("feature", "label", "by definition", "in the set"), differences[:SHOWN]))
    found = f"{len(differences):,} differ" if differences else "all are what the definition says"
    print(f"{path}: {rows:,} rows, {compared:,} values made again from plays; {found}")
