"""Logged features against releases: what a loop over the rows finds, for any values, days and releases."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segue
from segue import skew
from segue.command import main
from segue.errors import UsageError
from segue.show_skew import find_columns
from segue.skew import EXAMPLES, Comparison, compare

DAY, DAY_BEFORE = date(2026, 11, 20), date(2026, 11, 19)
TOLERANCE = 1e-3


# --- values


def is_near(a, b):
    """By the definition, of two numbers."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or (math.isfinite(a) and math.isfinite(b) and abs(a - b) <= TOLERANCE * max(abs(a), abs(b)))


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 1.0005, 1.001, 1.002, math.inf, math.nan])
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS) | NUMBERS.map(lambda x: (x, x)), max_size=8)


@settings(deadline=None)
@given(PAIRS)
def test_numbers_are_equal_within_the_tolerance(pairs):
    # as the narrower of the two was logged
    pairs = [(float(np.float32(a)), b) for a, b in pairs]
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    equal, distances = compare(pa.array(left, pa.float32()), pa.array(right, pa.float64()), TOLERANCE)
    assert equal.tolist() == [is_near(a, b) for a, b in pairs]
    for a, b, distance in zip(left, right, distances.tolist(), strict=True):
        same = a == b or (math.isnan(a) and math.isnan(b))
        expected = 0.0 if same else abs(a - b)
        assert distance == (math.inf if math.isnan(expected) else expected)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.lists(NUMBERS, max_size=3)] * 2) | st.lists(NUMBERS).map(lambda x: (x, x))))
def test_vectors_are_equal_where_all_of_their_numbers_are(pairs):
    type_ = pa.list_(pa.float64())
    left, right = (pa.array([pair[side] for pair in pairs], type_) for side in (0, 1))
    equal, distances = compare(left, right, TOLERANCE)
    expected = [len(a) == len(b) and all(is_near(x, y) for x, y in zip(a, b, strict=True)) for a, b in pairs]
    assert equal.tolist() == expected
    assert [distance == 0 or not math.isnan(distance) for distance in distances.tolist()] == [True] * len(
        pairs
    )


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        # as floats they would be one
        (pa.array([2**60, 2**60]), pa.array([2**60, 2**60 + 1]), [True, False]),
        (pa.array([True, False]), pa.array([1, 1]), [True, False]),
        (pa.array(["a", "b"]), pa.array(["a", "c"]), [True, False]),
        (pa.array(["2026-11-20", "2026-11-21"]), pa.array([DAY, DAY]), [True, False]),
        (pa.array([["a"], ["b"]]), pa.array([["a"], ["c"]]), [True, False]),
        (pa.array([[1, 2], [1]]), pa.array([[1.0, 2.0], [1.0, 2.0]]), [True, False]),
    ],
)
def test_values_of_other_types_are_compared_as_what_they_are(left, right, expected):
    assert compare(left, right, 0.0)[0].tolist() == expected


def test_values_that_cannot_be_compared_are_wrong_usage():
    with pytest.raises(UsageError, match="type string cannot be compared with date32"):
        compare(pa.array(["soon"]), pa.array([DAY]), 0.0)


# --- rows against releases


@pytest.fixture
def releases(lake, make_user):
    """Two releases: in the second, counts of the newest day are ten more."""
    users = [f"u{n}" for n in range(40)]

    def rows(more):
        return [
            make_user(user, day, plays_count_7d=1000 * day.day + n + (more if day == DAY else 0))
            for day in (DAY_BEFORE, DAY)
            for n, user in enumerate(users)
        ]

    first = lake.release(user_features=lake.publish("user_features", rows(0)))
    second = lake.release(user_features=lake.publish("user_features", rows(10)))
    return first, second


def count(user, day, more):
    n = int(user[1:])
    return 1000 * day.day + n + (more if day == DAY else 0) if n < 40 else None


def add_up(root, rows, at=None, release=None):
    table = pa.Table.from_pylist(rows)
    columns = find_columns(segue.open(root), table.schema, "user_features", at, release)
    comparison = Comparison(root, columns, 0.0)
    for start in range(0, len(table), 7):
        comparison.add(table.slice(start, 7))
    return comparison.skew


LOGGED = st.lists(
    st.tuples(
        st.integers(0, 45),
        st.sampled_from([DAY, DAY_BEFORE, None]),
        st.sampled_from([0, 1, None]),
        st.sampled_from([0, 0, 0, 3, None]),
    ),
    min_size=1,
    max_size=30,
)


def test_each_row_is_held_to_the_release_and_the_day_that_it_names(lake, releases):
    @settings(deadline=None, max_examples=40)
    @given(LOGGED)
    def check(choices):
        rows, expected = [], []
        for n, day, number, off in choices:
            user = f"u{n}"
            # the newest release, where none is named, is none at all in the column
            release = None if number is None else releases[number].release_id
            released = count(user, day or DAY, 10 * (number or 0))
            logged = None if off is None else (released or 0) + off
            rows.append({"user_id": user, "ds": day, "release_id": release, "plays_count_7d": logged})
            if number is not None:
                expected.append((logged, released))
        rows.append(
            {"user_id": "u0", "ds": DAY, "release_id": releases[0].release_id, "plays_count_7d": 20_000}
        )
        expected.append((20_000, 20_000))
        table = pa.schema(
            [
                ("user_id", pa.string()),
                ("ds", pa.date32()),
                ("release_id", pa.string()),
                ("plays_count_7d", pa.int64()),
            ]
        )
        columns = find_columns(segue.open(lake.root), table, "user_features", None, None)
        comparison = Comparison(lake.root, columns, 0.0)
        comparison.add(pa.Table.from_pylist(rows, schema=table))
        (found,) = comparison.skew.differences
        both = [(a, b) for a, b in expected if a is not None and b is not None]
        assert found.rows == len(expected)
        assert found.equal == sum(a == b for a, b in expected)
        assert found.null_logged == sum(a is None and b is not None for a, b in expected)
        assert found.null_released == sum(a is not None and b is None for a, b in expected)
        assert found.largest == max(abs(a - b) for a, b in both)
        assert comparison.skew.skipped == (
            {"they name no release": len(choices) + 1 - len(expected)}
            if len(expected) <= len(choices)
            else {}
        )

    check()


def test_without_a_release_that_of_the_instant_is_meant(lake, releases):
    first, second = (each.released_at for each in releases)
    moments = [first - timedelta(seconds=1), first, second - timedelta(microseconds=1), second]
    rows = [{"user_id": "u1", "at": at, "plays_count_7d": 20_001} for at in moments]
    result = add_up(lake.root, rows, at="at")
    (found,) = result.differences
    # before the first there was nothing to be served
    assert result.skipped == {"no release was made by their instant": 1}
    assert (found.rows, found.equal, found.largest) == (3, 2, 10)
    assert [(each.logged, each.released) for each in found.examples] == [(20_001, 20_011)]
    (of_first,) = add_up(lake.root, rows, release=releases[0].release_id).differences
    assert (of_first.rows, of_first.equal) == (4, 4)


def test_rows_without_a_release_day_or_table_are_counted(lake, releases):
    known = {"user_id": "u1", "plays_count_7d": 20_011, "ds": DAY, "release_id": releases[1].release_id}
    others = [known | {"release_id": "2026-01-01.1"}, known | {"ds": date(2026, 1, 1)}]
    result = add_up(lake.root, [known, *others])
    assert result.rows == 3 and [each.rows for each in result.differences] == [1]
    reasons = sorted(result.skipped)
    assert (
        reasons[0].startswith("day '2026-01-01' is unknown")
        and reasons[1] == "there is no release 2026-01-01.1"
    )


def forget_column(monkeypatch, release, column):
    """As in a release of before a feature was declared."""
    real = skew.Store.columns

    def columns(self, table):
        return [name for name in real(self, table) if self.release != release or name != column]

    monkeypatch.setattr(skew.Store, "columns", columns)


def test_a_column_that_an_older_release_has_not_is_skipped_and_no_other(monkeypatch, lake, releases):
    first, second = (each.release_id for each in releases)
    row = {"user_id": "u1", "plays_count_7d": 20_011, "completion_mean_7d": -1.0}
    rows = [row | {"release_id": first, "plays_count_7d": 7}, row | {"release_id": second}]
    forget_column(monkeypatch, first, "completion_mean_7d")
    result = add_up(lake.root, rows)
    found = {each.feature.column: (each.rows, each.equal) for each in result.differences}
    assert found["plays_count_7d"] == (2, 1), (
        "the one that both releases have differs in the row of the first"
    )
    assert found["completion_mean_7d"][0] == 1
    assert result.skipped == {f"release {first} has no user_features:completion_mean_7d": 1}


def test_a_release_without_any_of_the_columns_is_skipped(monkeypatch, lake, releases):
    first = releases[0].release_id
    rows = [{"user_id": "u1", "plays_count_7d": 20_001, "release_id": each.release_id} for each in releases]
    forget_column(monkeypatch, first, "plays_count_7d")
    result = add_up(lake.root, rows)
    assert [each.rows for each in result.differences] == [1]
    assert result.skipped == {f"release {first} has no user_features:plays_count_7d": 1}


def test_what_a_feature_declares_for_a_key_without_a_row_is_no_skew(monkeypatch, lake, releases):
    monkeypatch.setattr(skew.Store, "defaults", lambda self, table: {"plays_count_7d": 0})
    rows = [
        {"user_id": user, "plays_count_7d": value}
        for user, value in [("nobody", 0), ("none", None), ("x", 5)]
    ]
    (found,) = add_up(lake.root, rows).differences
    assert (found.equal, found.null_released, found.largest) == (2, 0, 5)


def test_examples_are_the_largest_differences(lake, releases):
    rng = np.random.default_rng(1)
    off = rng.permutation(40).tolist()
    rows = [{"user_id": f"u{n}", "plays_count_7d": 20_010 + n + off[n] * 100} for n in range(40)]
    (found,) = add_up(lake.root, rows).differences
    largest = sorted(range(40), key=lambda n: -off[n])[:EXAMPLES]
    assert [each.key for each in found.examples] == [f"u{n}" for n in largest]
    assert asdict(found.examples[0])["difference"] == 3900


# --- the command


@pytest.fixture
def logged(lake, releases, tmp_path):
    """Writes a file; the arguments that compare it."""

    def write(rows):
        path = tmp_path / "served.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
        return ["skew", "--logged", str(path), "--root", str(lake.root)]

    return write


def serve(root, users):
    """What a ranker logs of what it looked up."""
    store = segue.open(root)
    rows = store.lookup("user_features", users).to_pylist()
    kept = ("plays_count_7d", "completion_mean_7d", "plays_hours_30d")
    return [
        {
            "user_id": row["user_id"],
            "release_id": store.release,
            **{f"user_features__{n}": row[n] for n in kept},
        }
        for row in rows
    ]


def test_what_was_served_as_it_was_looked_up_has_no_skew(lake, logged, capsys):
    argv = logged(serve(lake.root, ["u1", "nobody", "u2", "u1"]))
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(
        "none of 3 features differ in more than 0.100% of 4 logged rows"
    )
    assert main([*argv, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["rows"], row["equal"], row["examples"]) for row in rows] == [(4, 4, [])] * 3


def test_when_a_row_was_published_is_no_feature(lake, logged, capsys):
    """Rows as a training set has them, and as a look-up gives them, which are logged with all of their columns."""
    store = segue.open(lake.root)
    labels = pa.table({"user_id": ["u1"], "label_at": [datetime(2026, 11, 21, 12, tzinfo=UTC)]})
    joined = store.training_set(labels, ["user_features"]).to_pylist()
    named = {f"user_features__{name}": None for name in ("feature_at", "available_at", "bucket", "ds")}
    looked_up = store.lookup("user_features", ["u1"]).drop_columns("ds").to_pylist()
    for row, more in ((joined[0] | named, []), (looked_up[0], ["--table", "user_features"])):
        assert main([*logged([row | {"available_at": None}]), *more]) == 0
        assert capsys.readouterr().out.startswith("none of 3 features differ")


def test_a_feature_that_differs_is_named_first_and_keys_are_hashed(lake, logged, capsys):
    rows = serve(lake.root, [f"u{n}" for n in range(40)])
    for row in rows[:2]:
        row["user_features__completion_mean_7d"] = None
    rows[7]["user_features__plays_hours_30d"] = [1 / 24] * 23 + [0.5]
    argv = logged(rows)
    assert main([*argv, "--json"]) == 4
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["feature"], row["differing_share"], row["null_logged"]) for row in found] == [
        ("user_features:completion_mean_7d", 0.05, 2),
        ("user_features:plays_hours_30d", 0.025, 0),
        ("user_features:plays_count_7d", 0, 0),
    ]
    assert main(argv) == 4
    out = capsys.readouterr().out
    assert "u7" not in out and "2 of 3 features differ" in out
    assert main([*argv, "--show-keys"]) == 4
    assert "u7" in capsys.readouterr().out
    assert main([*argv, "--bound", "0.05"]) == 0


def test_what_is_recorded_has_no_key_and_no_value(lake, logged):
    rows = serve(lake.root, ["u11", "u12"])
    rows[0]["user_features__plays_count_7d"] += 77_000
    assert main([*logged(rows), "--record", "ranker"]) == 4
    text = (lake.root / "quality" / "skew" / "ranker.json").read_text()
    content = json.loads(text)
    assert [row["beyond_bound"] for row in content["features"]] == [True, False, False]
    assert [row["not_compared"] for row in content["features"]] == [0, 0, 0]
    rows.append(rows[0] | {"release_id": "2026-01-01.1"})
    assert main([*logged(rows), "--record", "ranker"]) == 4
    content = json.loads((lake.root / "quality" / "skew" / "ranker.json").read_text())
    assert [row["not_compared"] for row in content["features"]] == [1, 1, 1], "there is no such release"
    text = json.dumps(content)
    assert (
        content["bound"] == 0.001
        and content["rows"] == 3
        and datetime.fromisoformat(content["checked_at"]).tzinfo == UTC
    )
    assert "u11" not in text and "97011" not in text and "examples" not in text


ODD_VALUES = [
    Decimal("1.5"),
    timedelta(1),
    datetime(2026, 1, 1, tzinfo=UTC),
    b"\xff",
    {"a": Decimal(1)},
    [[1.0], None],
    "x" * 500,
    2**63 - 1,
    True,
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: type(value).__name__)
def test_logged_values_of_any_type_end_in_a_result_or_in_a_line(logged, capsys, value):
    argv = logged([{"user_id": "nobody", "plays_count_7d": value}])
    for more in ([], ["--json"], ["--show-keys"]):
        assert main([*argv, "--table", "user_features", *more]) in (2, 4)
        streams = capsys.readouterr()
        assert "traceback is in" not in streams.err and bool(streams.out) != bool(streams.err)


USER, OF_TABLE = {"user_id": "u1", "plays_count_7d": 1}, ["--table", "user_features"]


@pytest.mark.parametrize(
    ("row", "more", "said"),
    [
        ({"user_id": "u1"}, [], "no column is a feature; got user_id"),
        ({"user_features__plays_count_7d": 1}, [], "column 'user_id' is unknown in the logged rows"),
        (USER, ["--table", "user_featurs"], "table 'user_featurs' is unknown"),
        (USER, [*OF_TABLE, "--at", "at"], "column 'at' is unknown"),
        (USER | {"plays_count_7d": "many"}, OF_TABLE, "cannot be compared"),
        (USER | {"user_id": 1.5}, OF_TABLE, "keys must be"),
        (USER | {"ds": "soon"}, OF_TABLE, "cannot be read or compared"),
        (USER | {"at": "soon"}, [*OF_TABLE, "--at", "at"], "cannot be read or compared"),
        (
            USER | {"at": 1_577_836_800},
            [*OF_TABLE, "--at", "at"],
            "--at at needs instants, as timestamps, days or text",
        ),
        (USER | {"at": 1.5}, [*OF_TABLE, "--at", "at"], "days or text; got double"),
        (USER, [*OF_TABLE, "--at", ""], "column '' is unknown"),
        (USER, [*OF_TABLE, "--release", ""], "none of 1 logged rows can be compared: there is no release "),
        (USER, [*OF_TABLE, "--release", "x"], "there is no release x"),
        (USER, [*OF_TABLE, "--record", "../x"], "is no name"),
        (USER, ["--bound", "2"], "'2' is no share"),
    ],
)
def test_what_cannot_be_compared_is_one_line(logged, capsys, row, more, said):
    assert main([*logged([row]), *more]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and "traceback is in" not in err
