"""Profiles against their definition in loops: any values, any days, and in any parts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import column_tallies
from expectations.column_profiles import (
    QUANTILES,
    ColumnProfile,
    bin_of,
    edges_of,
    find_quantiles,
    merge_profiles,
)
from expectations.column_tallies import (
    Key,
    list_kinds,
    merge_tallies,
    profile_columns,
    tally_columns,
    to_profile,
)
from expectations.day_groups import hash_ids
from reference import column_profiles as reference
from reference.rows import Row
from schemas import CONTRACTS, Column, Contract
from schemas.common import DS

LEAST = 3
DAYS = (date(2026, 10, 1), date(2026, 10, 2))
EVENTS = Contract(
    name="events",
    meaning="One row per event.",
    columns=(
        Column("event_id", "string", "key", nullable=False),
        Column("user_id", "string", "listener"),
        Column("amount", "double", "any number"),
        Column("plays", "bigint", "any whole number"),
        Column("device", "string", "a text"),
        Column("skipped", "boolean", "true or false"),
        Column("happened_at", "timestamp", "an instant"),
        Column("genres", "array<string>", "a list"),
        Column("note", "string", "what is not looked at", profile=False),
        DS,
    ),
    key=("event_id",),
    entity="user_id",
    partitions=("ds",),
)
# a row per listener: rows and listeners are the same
FEATURES = replace(EVENTS, name="features", columns=EVENTS.columns[1:], key=("user_id", "ds"))
CATALOGUE = replace(
    EVENTS,
    name="catalogue",
    columns=tuple(each for each in EVENTS.columns if each.name not in ("user_id", "ds")),
    entity=None,
    partitions=(),
)
NAMES = ("amount", "plays", "device", "skipped", "happened_at", "genres")
SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "amount": pa.float64(),
        "plays": pa.int64(),
        "device": pa.string(),
        "skipped": pa.bool_(),
        "happened_at": pa.timestamp("us", "UTC"),
        "genres": pa.list_(pa.string()),
        "ds": pa.date32(),
    }
)

SMALLEST = 5e-324
EDGES = [
    1.0,
    -1.0,
    0.0,
    -0.0,
    31.0,
    32.0,
    33.0,
    2.0**-1022,
    SMALLEST,
    1.7976931348623157e308,
    0.1,
    1 - 2**-53,
]
numbers = st.one_of(st.sampled_from(EDGES), st.floats(), st.integers(-5, 40).map(float))
rows_of_events = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(["u1", "u2", "u3", "u4", None]),
            "amount": st.none() | numbers,
            "plays": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3),
            "device": st.none() | st.sampled_from(["car", "phone", "", "Ünïcode"]),
            "skipped": st.none() | st.booleans(),
            "happened_at": st.none() | st.integers(0, 2**31).map(lambda s: datetime.fromtimestamp(s, UTC)),
            "genres": st.none() | st.lists(st.none() | st.just("rock"), max_size=3),
            "ds": st.sampled_from(DAYS),
        }
    ),
    max_size=30,
)  # fmt: skip


def make_table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def assert_equal(found: ColumnProfile, expected: ColumnProfile, personal: bool = True) -> None:
    """Counts exactly; sums of doubles but for rounding, of the size of the values or of a few of the smallest."""
    for name in ("kind", "rows", "nulls", "nans", "bins", "distinct_values", "top_values"):
        assert getattr(found, name) == getattr(expected, name), name
    if expected.mean is None:
        assert (found.mean, found.spread, found.minimum, found.maximum) == (None, None, None, None)
        return
    rounding = max(1e-12 * max(abs(expected.minimum), abs(expected.maximum)), 4 * SMALLEST)
    assert found.mean == pytest.approx(expected.mean, rel=1e-12, abs=rounding)
    assert found.spread == pytest.approx(expected.spread, rel=1e-12, abs=rounding)
    extremes = expected.minimum, expected.maximum
    if personal:
        extremes = edges_of(reference.find_bin(extremes[0]))[0], edges_of(reference.find_bin(extremes[1]))[1]
    assert (found.minimum, found.maximum) == extremes


# --- bins


@given(st.floats(allow_nan=False) | st.sampled_from(EDGES))
def test_bin_of_a_number_is_the_one_that_the_definition_says(value):
    assert bin_of([value]).tolist() == [reference.find_bin(value)]


@given(st.floats(allow_nan=False) | st.sampled_from(EDGES) | st.integers(-100, 100).map(float))
def test_edges_enclose_the_values_of_a_bin_and_lie_a_sixteenth_apart_at_most(value):
    low, high = edges_of(int(bin_of([value])[0]))
    if abs(value) < reference.SMALLEST or math.isinf(value):
        assert low == high == (value if math.isinf(value) else 0)
        return
    assert low < value <= high if value < 0 else low <= value < high
    near, far = sorted((abs(low), abs(high)))
    if not math.isinf(far):
        assert Fraction(1, 32) < (Fraction(far) - Fraction(near)) / Fraction(near) <= Fraction(1, 16)


def test_bins_follow_each_other_without_a_gap_and_sort_as_their_values():
    last = int(bin_of([math.inf])[0])
    edges = [edges_of(bin_) for bin_ in range(1, last)]
    assert all(high == low for (_, high), (low, _) in pairwise(edges))
    values = [-math.inf, -1e300, -1.5, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1.5, 1e300, math.inf]
    assert bin_of(values).tolist() == sorted(bin_of(values).tolist())


def test_whole_numbers_below_32_have_a_bin_each_that_gives_them_back():
    numbers = np.arange(-31, 32)
    assert [edges_of(bin_)[bin_ < 0] for bin_ in bin_of(numbers).tolist()] == numbers.tolist()


def test_bins_are_the_same_for_ever():
    """What is recorded in tables of users is compared with what is counted next year."""
    values = [0.001, 0.5, 1, 7, 23, 32, 1_000, 86_400_000, 1e12, -3.25]
    assert bin_of(values).tolist() == [16193, 16337, 16353, 16397, 16424, 16433, 16512, 16773, 16990, -16379]


@given(st.lists(numbers.filter(lambda number: not math.isnan(number)), min_size=1, max_size=50))
def test_quantiles_lie_in_the_bin_of_the_value_of_that_rank(values):
    in_order = sorted(values)
    found = find_quantiles(Counter(bin_of(values).tolist()), QUANTILES)
    for share, quantile in zip(QUANTILES, found, strict=True):
        value = in_order[max(math.ceil(Fraction(str(share)) * len(values)), 1) - 1]
        low, high = edges_of(reference.find_bin(value))
        assert low <= quantile <= high
    assert found == sorted(found)


@given(st.lists(st.integers(-31, 31), min_size=1, max_size=50))
def test_quantiles_of_small_whole_numbers_are_these(values):
    found = find_quantiles(Counter(bin_of(values).tolist()), QUANTILES)
    assert found == [
        sorted(values)[max(math.ceil(Fraction(str(share)) * len(values)), 1) - 1] for share in QUANTILES
    ]


# --- profiles


@pytest.mark.parametrize("contract", [EVENTS, FEATURES, CATALOGUE], ids=lambda each: each.name)
@settings(max_examples=60, deadline=None)
@given(rows=rows_of_events)
def test_profile_of_each_day_and_column_is_the_one_of_the_definition(contract, rows):
    found = profile_columns(make_table(rows), contract, LEAST)
    days = sorted({row["ds"] for row in rows}) if contract.by_day else [None] * bool(rows)
    listeners = {(day, "user_id") for day in days} if contract is EVENTS else set()
    assert set(found) - listeners == {(day, name) for day in days for name in NAMES}
    for day, name in set(found) - listeners:
        assert_equal(found[day, name], reference.profile(rows, contract, day, name, LEAST), contract.personal)
    for day, name in listeners:
        of_day = [row["user_id"] for row in rows if row["ds"] == day]
        known = {*of_day} - {None}
        assert found[day, name] == ColumnProfile(
            "text", len(of_day), of_day.count(None), distinct_values=len(known)
        ), "how many listeners there are, and never who"


@settings(max_examples=60, deadline=None)
@given(rows=rows_of_events, cuts=st.lists(st.integers(0, 30), max_size=4), seed=st.randoms())
def test_tallies_of_parts_merge_to_the_tally_of_all_in_any_grouping(rows, cuts, seed):
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [tally_columns(make_table(rows[a:b]), EVENTS, LEAST) for a, b in pairwise(bounds)]
    while len(parts) > 1:  # neighbours or not: rows have no order
        a, b = parts.pop(seed.randrange(len(parts))), parts.pop(seed.randrange(len(parts)))
        parts.append({key: merge_one(a, b, key) for key in {*a, *b}})
    expected = tally_columns(make_table(rows), EVENTS, LEAST)
    assert set(parts[0]) == set(expected)
    for key, tally in expected.items():
        found = parts[0][key]
        assert replace(found, counts=tally.counts) == tally
        assert_equal(found.counts, tally.counts, personal=False)
        assert_equal(*(replace(to_profile(each, EVENTS, LEAST)) for each in (found, tally)), personal=False)


def merge_one(a: dict, b: dict, key: Key) -> column_tallies.ColumnTally:
    return reduce(lambda x, y: merge_tallies(x, y, LEAST), [part[key] for part in (a, b) if key in part])


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, max_size=20), st.lists(numbers, max_size=20), st.lists(numbers, max_size=20))
def test_recorded_profiles_merge_to_the_profile_of_all_rows(a, b, c):
    """As the batches of a day do, in a table that is appended to."""
    parts = [profile_amounts(values) for values in (a, b, c)]
    expected = profile_amounts(a + b + c)
    left = merge_profiles(merge_profiles(parts[0], parts[1]), parts[2])
    for found in (left, merge_profiles(parts[0], merge_profiles(parts[2], parts[1]))):
        assert_equal(found, expected, personal=False)


def test_mean_of_the_smallest_numbers_lies_between_those_of_both_parts():
    """Half of the smallest double rounds to zero."""
    parts = [profile_amounts([value]) for value in (SMALLEST, SMALLEST)]
    assert merge_profiles(profile_amounts([]), merge_profiles(*parts)).mean == SMALLEST
    assert merge_profiles(*parts).mean == SMALLEST


def profile_amounts(values: Sequence[float]) -> ColumnProfile:
    table = make_table([{"amount": value} for value in values])
    return profile_columns(table, CATALOGUE).get((None, "amount"), ColumnProfile("number", 0))


def test_values_of_great_and_of_tiny_numbers_have_a_mean_and_a_spread():
    for scale in (1e308, 1e-300, 1.0):
        found = profile_amounts([scale, scale / 2, -scale, math.inf, math.nan])
        assert found.mean == pytest.approx(scale / 6, rel=1e-12)
        assert found.spread == pytest.approx(
            scale * math.sqrt(((5 / 6) ** 2 + (1 / 3) ** 2 + (7 / 6) ** 2) / 3)
        )
        assert (found.minimum, found.maximum, found.nans) == (-scale, scale, 1)
        assert found.bins[int(bin_of([math.inf])[0])] == 1


def test_equal_values_have_no_spread():
    found = profile_amounts([0.1] * 1_000)
    assert (found.mean, found.spread) == (0.1, 0.0)


# --- what a profile does not say


def test_a_value_of_too_few_listeners_is_never_named_however_often_it_is_there():
    rows = [{"user_id": f"u{n % 3}", "device": "car", "ds": DAYS[0]} for n in range(30)]
    rows += [{"user_id": "u1", "device": "u1's own phone", "ds": DAYS[0]} for _ in range(100)]
    rows += [{"user_id": None, "device": "unknown", "ds": DAYS[0]} for _ in range(100)]
    found = profile_columns(make_table(rows), EVENTS, 3)[DAYS[0], "device"]
    assert found.top_values == {"car": 30}
    assert found.distinct_values == 3


def test_a_day_of_too_few_listeners_has_counts_alone():
    rows = [{"user_id": f"u{n % 2}", "amount": float(n), "ds": DAYS[0]} for n in range(30)]
    assert profile_columns(make_table(rows), EVENTS, 3)[DAYS[0], "amount"] == ColumnProfile("number", 30)
    rows.append({"user_id": "u2", "amount": None, "ds": DAYS[0]})
    found = profile_columns(make_table(rows), EVENTS, 3)[DAYS[0], "amount"]
    assert found == ColumnProfile("number", 31, 1), "who has no value is none of those"


def test_texts_of_many_values_are_counted_and_not_listed():
    many = column_tallies.MOST_VALUES + 1
    rows = [{"device": f"device {n}", "ds": DAYS[n % 2]} for n in range(many)] * 3
    profiles = profile_columns(make_table(rows), CATALOGUE, 1)
    assert profiles[None, "device"].top_values is None
    assert profiles[None, "device"].distinct_values == many
    by_day = profile_columns(make_table(rows), FEATURES, 1)
    assert [len(by_day[day, "device"].top_values) for day in DAYS] == [20, 20], "each day has half of them"


def test_a_long_text_is_no_value_that_is_listed():
    rows = [{"device": "a" * 201}] * 50 + [{"device": "car"}] * 50
    found = profile_columns(make_table(rows), CATALOGUE)[None, "device"]
    assert (found.top_values, found.distinct_values) == (None, 2)


def test_number_of_many_listeners_is_estimated_within_five_standard_errors():
    count = 50_000
    rows = pa.table({"user_id": [f"u{n}" for n in range(count)], "ds": pa.array([DAYS[0]] * count)})
    rows = pa.Table.from_pydict(
        {**{n: pa.nulls(count, SCHEMA.field(n).type) for n in NAMES}, **rows.to_pydict()}
    )
    found = profile_columns(rows.cast(pa.schema([SCHEMA.field(n) for n in rows.column_names])), EVENTS)
    assert found[DAYS[0], "user_id"].distinct_values == pytest.approx(count, rel=5 / 64)


def test_hashes_of_ids_are_as_good_as_the_ids():
    """As Spark hands them over."""
    rows = [{"user_id": f"u{n % 5}", "device": "car", "amount": n, "ds": DAYS[0]} for n in range(20)]
    table = make_table(rows)
    hashed = table.set_column(0, "user_id", pa.array(hash_ids(table["user_id"]), pa.int64()))
    assert profile_columns(hashed, EVENTS, 5) == profile_columns(table, EVENTS, 5)


@pytest.mark.parametrize("name", CONTRACTS)
def test_no_key_vector_or_id_of_a_listener_is_profiled(name):
    contract = CONTRACTS[name]
    kinds = list_kinds(contract)
    assert not {*contract.key, contract.entity, "user_id", "bucket", "ds", "available_at"} & {*kinds}
    assert not [
        each for each in kinds if contract.column(each).type in ("array<float>", "array<double>", "binary")
    ]


def test_what_is_profiled_of_plays_and_of_the_starting_features():
    assert list_kinds(CONTRACTS["plays"]) == {
        "played_at": "instant",
        "ms_played": "number",
        "track_ms": "number",
        "skipped": "text",
        "saved": "text",
        "source": "text",
    }
    features = list_kinds(CONTRACTS["user_features"])
    assert features["plays_count_7d"] == "number" and features["artists_top_k_30d"] == "length"
    assert not list_kinds(CONTRACTS["user_partials"])
