"""Checks a training set against the definition: some of its rows, computed again from plays in plain Python loops."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from features.joins.feature_table import FEATURE_AT, output_name
from features.joins.ripeness import RIPE, status_name
from features.joins.serving import to_micros
from features.windows.definitions import Play, inputs, outcome, value
from features.windows.events import plays_of_group
from features.windows.label_time import outcome_name
from features.windows.operations import AT, ID
from jobs.errors import JobError
from jobs.group_events import find_events
from jobs.job import Job
from jobs.training.manifest import NAME, Manifest, load
from jobs.training.request import (
    Request,
    daily_columns,
    label_time_columns,
    outcome_groups_of,
    split_refs,
)
from jobs.training.requests import read_rows
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.common import quote_name
from schemas.declarations import Feature
from schemas.outcomes import reach
from segue import show
from segue.publications import Publications

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
    # of the plays that the set was made of, whatever came since
    job.pin(manifest.versions)
    rows = _read_sample(job, path.removesuffix(f"/{NAME}"), sample)
    requested = list(_requested_tables(job, manifest))
    if not requested:
        raise JobError(
            f"{path}: none of its features is made of plays by declaration, so none can be made again"
        )
    differences: list[Difference] = []
    compared = 0
    for table in requested:
        plays = _read_plays(job, table.group, rows)
        of_these_plays = select_newest(job, manifest.request, table, rows)
        differences += [
            d for row in of_these_plays for d in _differences(manifest.request, table, row, plays)
        ]
        compared += len(of_these_plays) * len(table.features)
    if differences:
        print(show.format_table(("feature", "label", "by definition", "in the set"), differences[:SHOWN]))
    result = f"{len(differences):,} differ" if differences else "all are what the definition says"
    print(f"{path}: {len(rows):,} rows, {compared:,} values made again from plays; {result}")
    return int(bool(differences))


@dataclass(frozen=True)
class RequestedTable:
    """Features of one table; `at_label_time`: their windows end at the label's own instant; `ahead`: begin at it."""

    group: FeatureGroup
    features: list[tuple[Feature, str]]
    at_label_time: bool
    ahead: bool = False


def _requested_tables(job: Job, manifest: Manifest) -> Iterator[RequestedTable]:
    """What is declared as it was when the set was made; the rest is named and left out."""
    daily, label_time = split_refs(manifest.request.with_columns(tuple(manifest.nulls)))
    groups = {group.table: group for group in FEATURE_GROUPS}
    # a table may be requested both ways; vectors are in no group, and have no definition by plays
    for columns, at_label_time in (
        (label_time_columns(label_time), True),
        (daily_columns(daily, manifest.tables, job.snapshot), False),
    ):
        of_groups = columns.keys() & groups.keys()
        unchanged = _list_unchanged(
            job, manifest, [f"{name}:{column}" for name in of_groups for column in columns[name]]
        )
        for group in _list_of_events(job, [groups[name] for name in of_groups]):
            windows = group.feature_windows
            features = [(f, w) for f, w in windows if f"{group.table}:{f.name(w)}" in unchanged]
            yield RequestedTable(group, _list_exact(features), at_label_time)
    outcomes = outcome_groups_of(_list_unchanged(job, manifest, manifest.request.outcomes))
    for group in _list_of_events(job, outcomes):
        yield RequestedTable(group, _list_exact(group.feature_windows), at_label_time=True, ahead=True)


def _list_unchanged(job: Job, manifest: Manifest, refs: Sequence[str]) -> list[str]:
    if changed := manifest.changed_features(refs):
        job.say(f"left out, declared otherwise by now or no more: {', '.join(changed)}")
    return [ref for ref in refs if ref not in changed]


def _list_of_events(job: Job, groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    """Those that events alone decide."""
    of_catalogue = [group.table for group in groups if group.catalogue_columns]
    if of_catalogue:  # each day has the columns of the catalogue of then, which the release does not hold
        job.say(f"left out, made of the catalogue as it was day by day: {', '.join(of_catalogue)}")
    return [group for group in groups if not group.catalogue_columns]


def _list_exact(features: Sequence[tuple[Feature, str]]) -> list[tuple[Feature, str]]:
    return [(feature, window) for feature, window in features if feature.op not in APPROXIMATE]


def _read_sample(job: Job, path: str, count: int) -> list[Row]:
    """The same rows each time, and not the first ones."""
    from pyspark.sql import functions as F

    rows = read_rows(job.spark, path)
    # Spark hashes no maps and no variants; the other columns tell rows apart as well
    hashable = [f.name for f in rows.schema if f.dataType.typeName() not in ("map", "variant")]
    # not `sample`, which depends on partitions and gives about so many rows
    order = F.xxhash64(*[F.col(quote_name(name)) for name in hashable])
    sample: list[Row] = rows.orderBy(order).limit(count).toArrow().to_pylist()
    return sample


def select_newest(job: Job, request: Request, table: RequestedTable, rows: list[Row]) -> list[Row]:
    """Without rows as published that have a day as it was before: which plays it was made of is not known any more."""
    if table.at_label_time or not request.as_published:
        return rows
    publications = Publications(job.snapshot(table.group.table), as_published=True)
    places = publications.find(np.array([to_micros(row[request.at]) for row in rows], np.int64)).tolist()
    newest = [n for n, place in enumerate(places) if place < 0 or publications.is_newest(place)]
    if len(newest) < len(rows):
        count = len(rows) - len(newest)
        job.say(f"left out, of days that were published again since: {table.group.table} in {count:,} rows")
    return [rows[n] for n in newest]


def _read_plays(job: Job, group: FeatureGroup, rows: list[Row]) -> dict[tuple[str, ...], list[Play]]:
    """All plays of the sampled entities; each carries the inputs that the declarations name, by their SQL."""
    from pyspark.sql import functions as F

    keys = {tuple(row[name] for name in group.keys) for row in rows}
    entity_keys = sorted(key for key in keys if None not in key)
    if not entity_keys:
        return {}
    entities = job.spark.createDataFrame(entity_keys, ", ".join(f"{key} string" for key in group.keys))
    # all plays there ever were, since a lifetime has no first day; of few entities, so without a shuffle
    sessions = plays_of_group(find_events(job, group).rows(), group).join(
        F.broadcast(entities), [*group.keys]
    )
    # inputs come from the declarations' own SQL, by Spark; what is done with them is Python's alone
    sqls = {sql for f in group.features for sql in inputs(f)}
    # names with a space: an input may be a column of the same name
    columns = [
        *(F.col(key).alias(f"key {key}") for key in group.keys),
        *(F.expr(sql).alias(sql) for sql in sqls),
        *(F.col(name).alias(f"of {name}") for name in (AT, ID)),
    ]
    plays: dict[tuple[str, ...], list[Play]] = {}
    for row in sessions.select(*columns).toArrow().to_pylist():
        play = Play(row[f"of {AT}"], row[f"of {ID}"], row)
        plays.setdefault(tuple(row[f"key {key}"] for key in group.keys), []).append(play)
    return plays


def _differences(
    request: Request, table: RequestedTable, row: Row, plays: Mapping[tuple[str, ...], list[Play]]
) -> Iterator[Difference]:
    keys = tuple(row[key] for key in table.group.keys)
    of_entity = plays.get(keys, [])
    for feature, window in table.features:
        if table.ahead:
            name, expected = _outcome(request, table.group, row, of_entity, feature, window)
        else:
            name, t = output_name(table.group.table, feature.name(window)), _as_of(request, table, row)
            expected = None if t is None else value(of_entity, feature, window, t)
        expected = None if None in keys else expected
        if not same_value(expected, row[name]):
            yield name, f"{', '.join(map(str, keys))} at {row[request.at]}", str(expected), str(row[name])


def _outcome(
    request: Request, group: FeatureGroup, row: Row, plays: list[Play], feature: Feature, horizon: str
) -> tuple[str, Any]:
    """Its column, and the value by definition; the set's own word for whether that is known."""
    name = outcome_name(group.table, feature, horizon)
    if row[status_name(group.table, reach(feature, horizon))] != RIPE:
        return name, None
    return name, outcome(plays, feature, horizon, row[request.at], row.get(group.events.key[0]))


def _as_of(request: Request, table: RequestedTable, row: Row) -> datetime | None:
    """What the values of a row describe everything before; None where they are unknown or too old."""
    label, limit = row[request.at], request.age_limit
    if table.at_label_time:
        return label
    # the set's own word for which day a label got: checked is what that day was worth
    t = row[output_name(table.group.table, FEATURE_AT)]
    return None if t is None or (limit is not None and label - t > limit) else t


def same_value(expected: Any, actual: Any) -> bool:
    """Whether a value is the one expected."""
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(same_value, expected, actual))
    if isinstance(expected, float) or isinstance(actual, float):
        # nine digits, or twelve decimals: engine and definition add in different orders
        return None not in (expected, actual) and math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-12)
    return bool(expected == actual)
