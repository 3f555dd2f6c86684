"""What follows from a declaration: columns, lineage, parts and tables."""

from __future__ import annotations

import json
import re
from copy import copy
from dataclasses import fields, replace

import pytest

from reference.declared import feature, feature_with_input, group
from schemas import CONTRACTS, FEATURE_GROUPS, Column
from schemas.declarations import (
    LIFETIME,
    USER_TRACK,
    Feature,
)
from schemas.operations import OPERATIONS
from schemas.parts import KINDS

TYPES = {
    "count": "bigint",
    "sum": "bigint",
    "mean": "double",
    "min": "bigint",
    "max": "bigint",
    "variance": "double",
    "rate": "double",
    "ratio": "double",
    "first": "string",
    "last": "string",
    "last_k": "array<string>",
    "top_k": "array<string>",
    "distinct": "bigint",
    "approx_distinct": "bigint",
    "percentiles": "array<double>",
    "histogram": "array<bigint>",
    "hours": "array<double>",
    "entropy": "double",
    "trend": "double",
    "decayed": "double",
    "streak": "int",
    "days_since_first": "double",
    "days_since_last": "double",
}
NULL = {
    *("mean", "min", "max", "variance", "rate", "ratio", "first", "last", "percentiles"),
    *("days_since_first", "days_since_last"),
}


# --- what follows


def test_types_covers_every_operation():
    assert TYPES.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("op", OPERATIONS)
def test_columns_have_the_type_unit_and_null_of_their_operation(op):
    (column,) = feature_with_input(op).columns()
    window = LIFETIME if op.startswith("days_since") else "7d"
    assert column.name == f"x_{op}_{window}"
    assert (column.type, column.unit, column.nullable) == (TYPES[op], OPERATIONS[op].unit, op in NULL)


@pytest.mark.parametrize("op", OPERATIONS)
def test_contract_has_the_empty_value_in_its_schema(op):
    metadata = (
        group(feature_with_input(op))
        .contract()
        .struct()[next(feature_with_input(op).columns()).name]
        .metadata
    )
    empty = {"histogram": [0, 0, 0], "hours": [0.0] * 24, "last_k": [], "top_k": []}
    assert (json.loads(metadata["segue.default"]) if "segue.default" in metadata else None) == (
        None if op in NULL else empty.get(op, 0)
    )


@pytest.mark.parametrize(
    ("op", "options", "default"),
    [
        ("mean", {}, -1.0),
        ("last", {}, "nobody"),
        ("percentiles", {"at": (0.1, 0.9)}, (0.0, 1.0)),
        ("rate", {}, 0.0),
    ],
)
def test_default_replaces_null_in_column_and_schema(op, options, default):
    (column,) = feature_with_input(op, default=default, **options).columns()
    assert not column.nullable
    struct = group(feature_with_input(op, default=default, **options)).contract().struct()
    assert not struct[column.name].nullable
    stored_default = json.loads(struct[column.name].metadata["segue.default"])
    assert stored_default == (list(default) if isinstance(default, tuple) else default)


# Every option of a feature that decides its values, with another value than in the test.
OPTIONS = {
    "what": "y",
    "op": "min",
    "input": "position",
    "where": "skipped",
    "type": "int",
    "default": 1,
    "per": "position",
    "k": 2,
    "at": (0.5,),
    "edges": (1.0,),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_identity_changes_with_each_option_that_decides_values(option):
    before = Feature("x", "max", "ms_played", "meaning", ("7d",))
    after = copy(before)
    # past the checks: some would be refused, and yet must not share an identity
    object.__setattr__(after, option, OPTIONS[option])
    assert after.identity("7d") != before.identity("7d")


def test_identity_leaves_out_prose_and_the_other_windows():
    before = Feature("x", "max", "ms_played", "meaning", ("7d", "30d"))
    assert before.identity("7d") == replace(before, meaning="m", owner="o", windows=("7d",)).identity("7d")
    assert before.identity("7d") != before.identity("30d")
    unlisted = {field.name for field in fields(Feature)} - OPTIONS.keys()
    unlisted -= {"meaning", "owner", "windows", "deprecated", "row"}
    assert not unlisted, (
        "say of each new option whether it decides values: in OPTIONS here, or in _NOT_COMPUTED"
    )


def test_columns_of_a_feature_are_one_per_window():
    assert list(Feature("ms_played", "sum", "ms_played", "listening time", ("1d", "90d")).columns()) == [
        Column("ms_played_sum_1d", "bigint", "listening time, 1d", nullable=False, default=0),
        Column("ms_played_sum_90d", "bigint", "listening time, 90d", nullable=False, default=0),
    ]


@pytest.mark.parametrize(
    ("op", "input_", "type_", "expected"),
    [
        ("sum", "position", "", "bigint"),
        ("sum", "completion", "", "double"),
        ("max", "position", "", "int"),
        ("min", "completion - 0.5d", "double", "double"),
        ("last", "skipped", "", "boolean"),
        ("first", "upper(artist_id)", "string", "string"),
        ("last_k", "ms_played", "", "array<bigint>"),
        ("last_k", "played_at", "", "array<timestamp>"),
    ],
)
def test_columns_have_the_type_of_the_input(op, input_, type_, expected):
    assert next(feature(op, input=input_, type=type_).columns()).type == expected


@pytest.mark.parametrize(
    ("options", "lineage"),
    [
        ({"input": "track_id"}, ["track_id", "played_at"]),
        (
            {"input": "track_id", "where": "skipped and ms_played > 1"},
            ["track_id", "played_at", "ms_played", "skipped"],
        ),
        ({"input": "if(saved, 'skipped', `artist_id`)"}, ["artist_id", "played_at", "saved"]),
        ({"input": "cast(position as string)", "where": "not is_bot"}, ["played_at", "position", "is_bot"]),
        ({"input": "filter(array(ms_played), x -> x > 0)"}, ["played_at", "ms_played"]),
        ({"input": "date_diff(current_date, ds)", "where": "'saved' <> \"skipped\""}, ["played_at", "ds"]),
    ],
)
def test_lineage_lists_every_column_that_is_read(options, lineage):
    assert list(feature("count", **options).lineage) == lineage


def test_lineage_of_a_ratio_includes_its_divisor():
    assert feature("ratio", input="ms_played", per="track_ms").lineage == (
        "played_at",
        "ms_played",
        "track_ms",
    )


def test_contract_of_a_group_frames_its_features():
    contract = group(feature("count", windows=("2d", "1d")), keys=USER_TRACK).contract()
    assert (
        " ".join(contract.names) == "user_id track_id feature_at x_count_2d x_count_1d bucket available_at ds"
    )
    assert (contract.key, contract.entity, contract.event_time) == (
        ("user_id", "track_id", "ds"),
        "user_id",
        "feature_at",
    )


def test_partials_contract_has_a_row_per_entity_day_and_span():
    contract = group(feature("count", windows=("2d", "1d")), keys=USER_TRACK).partials_contract()
    assert contract.name == "g_partials"
    assert " ".join(contract.names) == "user_id track_id span count_track_id bucket available_at ds"
    assert (contract.key, contract.entity) == (("user_id", "track_id", "span", "ds"), "user_id")


# --- parts


@pytest.mark.parametrize("declared_group", FEATURE_GROUPS, ids=lambda declared_group: declared_group.table)
def test_parts_of_a_group_have_unique_identifiers(declared_group):
    names = [part.name for part in declared_group.parts]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names), names


def test_parts_are_shared_by_features_of_one_kind_input_and_filter():
    parts = group(
        feature("mean", input="ms_played"),
        feature("sum", input="ms_played"),
        feature("variance", input="ms_played", windows=("1d", LIFETIME)),
        feature("count", input="ms_played"),
    ).parts
    assert [part.kind for part in parts] == ["sum", "count", "squares"]


@pytest.mark.parametrize(
    ("op", "one", "other"),
    [
        ("count", {"where": "skipped"}, {"where": "saved"}),
        ("count", {"where": "ms_played > 1"}, {"where": "ms_played < 1"}),
        ("count", {"where": "ms_played >= 1"}, {"where": "ms_played > 1"}),
        ("count", {"input": "if(artist_id = 'ü', 1, 0)"}, {"input": "if(artist_id = 'u', 1, 0)"}),
        ("count", {"input": "if(artist_id = 'A', 1, 0)"}, {"input": "if(artist_id = 'a', 1, 0)"}),
        ("decayed", {"input": "played_at", "windows": ("1d",)}, {"input": "played_at", "windows": ("2d",)}),
        ("last_k", {"k": 1}, {"k": 2}),
        ("histogram", {"input": "ms_played", "edges": (1, 2)}, {"input": "ms_played", "edges": (12,)}),
        (
            "histogram",
            {"input": "ms_played", "edges": (1234567,)},
            {"input": "ms_played", "edges": (1234568,)},
        ),
        (
            "histogram",
            {"input": "completion", "edges": (1 / 3,)},
            {"input": "completion", "edges": (0.333333,)},
        ),
        ("histogram", {"input": "completion", "edges": (0.1,)}, {"input": "completion", "edges": (-0.1,)}),
    ],
)
def test_parts_that_differ_have_names_that_differ(op, one, other):
    parts = group(feature(op, what="one", **one), feature(op, what="other", **other)).parts
    assert len(parts) == 2
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", part.name) for part in parts), parts


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op != "distinct"])
def test_parts_are_of_known_kinds_and_have_the_types_of_their_inputs(op):
    for part in group(feature_with_input(op)).parts:
        assert part.kind in KINDS
        assert "{" not in part.type
    fields = group(feature_with_input(op)).partials_contract().struct()
    assert all(
        fields[part.name].dataType.simpleString() == part.type for part in group(feature_with_input(op)).parts
    )


def test_deterministic_is_false_for_a_group_with_sketches():
    assert group(feature_with_input("count"), feature_with_input("entropy")).deterministic
    assert not group(feature_with_input("count"), feature_with_input("approx_distinct")).deterministic
    assert not group(feature_with_input("percentiles")).deterministic


def test_feature_groups_have_their_tables_and_columns():
    for one in FEATURE_GROUPS:
        assert one.partials_table in CONTRACTS
        assert (one.table in CONTRACTS) == one.daily
    user = set(CONTRACTS["user_features"].names)
    assert {"plays_count_7d", "ms_played_sum_30d", "artists_distinct_1d", "bot_plays_rate_30d"} <= user
    track = set(CONTRACTS["track_features"].names)
    assert {"plays_trend_1d", "first_positions_rate_30d", "plays_days_since_last_lifetime"} <= track
    assert "first_positions_rate_7d" not in track
