"""Ranking sets against loops: no request is cut, none has a label that is not known, and the order is of the rows."""

from __future__ import annotations

import json
import math
import os
import random
import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import ranking_sets as definition
from reference.laid_impressions import RULE, attributions_table, impressions_table, lay, sessions_table
from schemas.operations import OPERATIONS
from schemas.outcomes import Outcome
from segue import SegueError, UsageError, build_ranking_set, read_ranking_set
from segue.impressions import KEY, status_name
from segue.instants import INSTANT, to_micros
from segue.splits import SPLITS, split_by_share
from segue.taken import Observation

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, DAY, US = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
LABELS = ("taken", "saved")
SCHEMA = pa.schema(
    [
        ("impression_id", pa.string()),
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("shown_at", INSTANT),
        ("position", pa.int32()),
        ("propensity", pa.float64()),
        ("seen", pa.bool_()),
        ("plays", pa.int64()),
        ("warm", pa.bool_()),
        ("taken", pa.bool_()),
        ("taken_status", pa.string()),
        ("saved", pa.float64()),
    ]
)


def row(request="r1", n=1, **values):
    base = {"impression_id": f"{request} {n}", "request_id": request, "user_id": "u1", "shown_at": NOON}
    known = {"position": n, "propensity": 0.5, "seen": True, "plays": n, "warm": True}
    return base | known | {"taken": False, "taken_status": "ripe", "saved": 0.0} | values


def table(rows, chunks=1):
    """Of rows in their order, in so many pieces."""
    whole = pa.Table.from_pylist(list(rows), SCHEMA)
    size = max(1, -(-len(whole) // chunks))
    return pa.concat_tables([whole.slice(n, size) for n in range(0, max(len(whole), 1), size)])


@st.composite
def worlds(draw):
    """Rows of requests of one to four, shuffled; instants, positions and reasons meet."""
    rows = []
    instants = st.sampled_from([NOON, NOON + US, NOON + HOUR, NOON - DAY])
    for number in range(draw(st.integers(0, 6))):
        user = draw(st.sampled_from(["u1", "u2", "ü"]))
        for n in range(draw(st.integers(1, 4))):
            is_known = draw(st.integers(0, 7))
            values = {
                "user_id": user,
                "shown_at": draw(instants),
                "position": draw(st.sampled_from([1, 1, 2, None])),
                "taken": None if is_known <= 2 else draw(st.booleans()),
                "taken_status": ("unripe", "censored", None)[is_known] if is_known <= 2 else "ripe",
                "saved": draw(st.sampled_from([0.0, 1.0, 2.0, 1.0, 0.0, None, math.nan]))
                if is_known == 7
                else 1.0,
            }
            rows.append(row(f"r{number}", n, **values))
    return draw(st.permutations(rows))


def ids(ranking):
    return ranking.rows["impression_id"].to_pylist()


@settings(max_examples=80, deadline=None)
@given(rows=worlds(), chunks=st.integers(1, 5), seed=st.integers(0, 99))
def test_requests_are_whole_in_order_and_known(rows, chunks, seed):
    ranking = build_ranking_set(table(rows, chunks), ["plays"], LABELS)
    kept, left_out = definition.requests(rows, LABELS)
    assert ids(ranking) == [each["impression_id"] for request in kept for each in request]
    assert ranking.sizes.tolist() == [len(request) for request in kept]
    assert ranking.sizes.sum() == ranking.rows.num_rows == len(ranking.x) == len(ranking.y("saved"))
    assert ranking.left_out == left_out
    assert len(kept) + sum(left_out.values()) == len({each["request_id"] for each in rows})
    others = random.Random(seed).sample(rows, len(rows))
    assert build_ranking_set(table(others), ["plays"], LABELS).rows.equals(ranking.rows)


@settings(max_examples=60, deadline=None)
@given(
    rows=worlds(),
    instants=st.lists(
        st.sampled_from([NOON - DAY, NOON, NOON + US, NOON + 2 * US]), min_size=1, max_size=2, unique=True
    ).map(sorted),
    shares=st.sampled_from([(), (0.5, 0.5), (0.4, 0.3, 0.3), (1.0, 0.0)]),
)
def test_no_split_cuts_a_request(rows, instants, shares):
    ranking = build_ranking_set(table(rows), [], ["plays"])
    sets = ranking.split(instants, shares, salt="s")
    in_splits = [each for part in sets.values() for each in ids(part)]
    assert sorted(in_splits) == sorted(each["impression_id"] for each in rows)
    of_listener = {}
    for name, part in sets.items():
        assert part.sizes.sum() == part.rows.num_rows
        for request in definition.requests(part.rows.to_pylist(), [])[0]:
            by_time, id_ = definition.split(request, instants), request[0]["request_id"]
            assert len(request) == sum(each["request_id"] == id_ for each in rows)
            if not shares:
                assert name == by_time
            elif by_time == "train":
                assert of_listener.setdefault(request[0]["user_id"], name) == name
            else:
                assert SPLITS.index(name) >= SPLITS.index(by_time)


def test_matrix_label_and_what_is_beside():
    rows = [row(n=2, plays=None, propensity=None, seen=None), row(n=1, warm=False, taken=True)]
    ranking = build_ranking_set(table(rows), ["plays", "warm"], ["taken"])
    np.testing.assert_array_equal(ranking.x, [[1, 0], [np.nan, 1]])
    assert ranking.y().tolist() == ranking.y("taken").tolist() == [1, 0]
    assert ranking.position.tolist() == [1, 2]
    np.testing.assert_array_equal(ranking.propensity, [0.5, np.nan])
    np.testing.assert_array_equal(ranking.seen, [1, np.nan])
    assert ranking.sizes.dtype == np.int32 and ranking.x.dtype == np.float64
    more = ranking.with_features(ranking.rows.append_column("twice", pa.array([2.0, 4.0])), ["twice"])
    assert more.x.tolist() == [[2.0], [4.0]] and more.y().tolist() == [1, 0]


def test_nothing_at_all_and_single_rows():
    empty = build_ranking_set(table([]), ["plays"], ["taken"])
    assert empty.x.shape == (0, 1) and empty.sizes.tolist() == [] and empty.left_out == {}
    assert {name: len(part.sizes) for name, part in empty.split([NOON]).items()} == {"train": 0, "test": 0}
    alone = build_ranking_set(table([row("b"), row("a")]), ["plays"], ["taken"])
    assert alone.sizes.tolist() == [1, 1] and ids(alone) == ["a 1", "b 1"]


def test_a_status_of_an_outcome_counts_whatever_stands_beside_it():
    outcome, status = "user_features__plays_count_next_7d", "user_features__status_next_7d"
    rows = table([row("a"), row("b"), row("b", 2), row("c"), row("d")])
    rows = rows.append_column(outcome, pa.array([3, 0, 4, 0, None], pa.int64()))
    statuses = pa.array(["ripe", "unripe", "ripe", "censored", "ripe"])
    ranking = build_ranking_set(rows.append_column(status, statuses), [], [outcome])
    assert ids(ranking) == ["a 1"] and ranking.y().tolist() == [3]
    assert ranking.left_out == {"unripe": 1, "censored": 1, "null": 1}


def test_a_set_in_the_home_folder_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "set").mkdir()
    pq.write_table(table([row()]), tmp_path / "set" / "rows.parquet")
    manifest = {"request": {"groups": "request_id", "at": "shown_at"}, "nulls": {"plays": 0.0}}
    (tmp_path / "set" / "_manifest.json").write_text(json.dumps(manifest))
    assert read_ranking_set("~/set", ["taken"]).x.tolist() == [[1]]
    os.truncate(tmp_path / "set" / "rows.parquet", 100)
    with pytest.raises(SegueError, match=r"~/set cannot be read: .* Hint: replay its manifest"):
        read_ranking_set("~/set", ["taken"])


def test_a_trend_is_known_after_twice_its_horizon():
    outcome, names = (
        "user_features__plays_trend_next_7d",
        [f"user_features__status_next_{n}d" for n in (7, 14)],
    )
    rows = table([row("a"), row("b"), row("c")]).append_column(outcome, pa.array([0.5, None, None]))
    for name, statuses in zip(names, (["ripe"] * 3, ["ripe", "unripe", "censored"]), strict=True):
        rows = rows.append_column(name, pa.array(statuses))
    assert build_ranking_set(rows, [], [outcome]).left_out == {"unripe": 1, "censored": 1}


@pytest.mark.parametrize("op", OPERATIONS)
def test_the_status_of_an_outcome_is_of_the_time_that_its_operation_looks_ahead(op):
    reach = Outcome(f"user_features:plays_{op}", "7d").reach
    assert status_name(f"user_features__plays_{op}_next_7d") == f"user_features__status_next_{reach}"


def test_a_set_that_lightgbm_takes():
    import lightgbm

    rows = [row(f"r{r}", n, taken=n == 1 + r % 3, plays=n * (r % 7)) for r in range(60) for n in (1, 2, 3)]
    ranking = build_ranking_set(table(rows), ["plays"], ["taken"])
    data = lightgbm.Dataset(ranking.x, ranking.y(), group=ranking.sizes).construct()
    assert data.get_group().tolist() == [3] * 60 and data.num_data() == 180


def test_the_column_of_splits_is_taken_where_nothing_else_is_said():
    rows = table([row("a"), row("b"), row("b", 2)])
    rows = rows.append_column("split", pa.array(["test", "train", "train"]))
    sets = build_ranking_set(rows, [], ["taken"]).split()
    assert {name: ids(part) for name, part in sets.items()} == {"train": ["b 1", "b 2"], "test": ["a 1"]}


@pytest.mark.parametrize("name", [None, "holdout"])
def test_a_column_of_splits_with_anything_else_is_refused(name):
    rows = table([row("a"), row("b")]).append_column("split", pa.array(["train", name]))
    with pytest.raises(UsageError, match=f"split has {name!r}; expected train, validation, test alone"):
        build_ranking_set(rows, [], ["taken"]).split()


def test_what_can_be_gone_through_once_is_as_good_as_a_list(world):
    rows = table([row("a"), row("b", shown_at=NOON + DAY, user_id="u2")])
    listed = build_ranking_set(rows, ["plays", "warm"], ["taken", "saved"])
    once = build_ranking_set(rows, iter(["plays", "warm"]), iter(["taken", "saved"]))
    assert (once.features, once.labels) == (listed.features, listed.labels)
    assert once.with_features(once.rows, iter(["warm"])).x.tolist() == [[1], [1]]
    assert {name: ids(part) for name, part in once.split(iter([NOON + HOUR])).items()} == {
        "train": ["a 1"],
        "test": ["b 1"],
    }
    shares = ([0.5, 0.5], iter([0.5, 0.5]), np.array([0.5, 0.5]))
    first, *others = ({n: ids(part) for n, part in listed.split(shares=each).items()} for each in shares)
    assert others == [first, first]
    of_store = world[0].ranking_set(iter(["plays"]), iter(["saved"]), rows)
    assert (of_store.features, of_store.labels) == (("plays",), ("saved",))


@pytest.mark.parametrize(
    ("rows", "features", "labels", "problem"),
    [
        (
            [row(), row()],
            [],
            ["taken"],
            "1 of 2 rows have request, position and impression_id of another row",
        ),
        ([row(), row(n=2, user_id="u2")], [], ["taken"], "several user_id"),
        ([row(request_id=None)], [], ["taken"], "1 of 1 rows have no 'request_id'"),
        ([row(shown_at=None)], [], ["taken"], "1 of 1 rows have no 'shown_at'"),
        ([row()], ["position"], ["taken"], "position can be no feature"),
        ([row()], ["plays", "propensity"], ["taken"], "propensity can be no feature"),
        ([row()], ["taken"], ["taken"], "taken can be no feature"),
        ([row()], ["play"], ["taken"], "column 'play' is unknown"),
        ([row()], [], ["take"], "column 'take' is unknown"),
        ([row()], [], [], "needs a label"),
        ([row()], "plays", ["taken"], "features must be a list"),
        ([row()], [], ["taken_status"], "taken_status is string; a matrix takes numbers"),
    ],
)
def test_what_makes_no_ranking_set_is_one_line(rows, features, labels, problem):
    with pytest.raises(SegueError, match=problem):
        build_ranking_set(table(rows), features, labels)


def replace_column(rows, name, values):
    return rows.set_column(rows.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("shown_at", pa.array([NOON.isoformat()] * 2), "'shown_at' as timestamps; got string"),
        ("shown_at", pa.array([NOON.date()] * 2), "'shown_at' as timestamps; got date32"),
        ("shown_at", pa.array([1, 2]), "'shown_at' as timestamps; got int64"),
        ("shown_at", pc.run_end_encode(pa.array([1, 1])), "'shown_at' as timestamps; got int64"),
        (
            "shown_at",
            pa.DictionaryArray.from_arrays([0, 1], pa.array([NOON, None])),
            "1 of 2 rows have no 'shown",
        ),
        (
            "request_id",
            pa.DictionaryArray.from_arrays([0, 1], pa.array(["r1", None])),
            "1 of 2 rows have no 'req",
        ),
        (
            "request_id",
            pa.DictionaryArray.from_arrays([None, 1], pa.array(["r", None])),
            "2 of 2 rows have no",
        ),
        ("shown_at", pa.nulls(2), "2 of 2 rows have no 'shown_at'"),
        ("shown_at", pa.array([NOON, None], INSTANT), "1 of 2 rows have no 'shown_at'"),
        ("position", pa.array(["9", "10"]), "order of 'position', a number; got string"),
        ("position", pa.array(["9", "10"]).dictionary_encode(), "'position', a number; got dictionary"),
        ("position", pa.array([True, False]), "order of 'position', a number; got bool"),
    ],
)
def test_what_rows_cannot_be_ordered_by_is_one_line_before_anything_is_read(world, name, values, problem):
    rows = replace_column(table([row(), row(n=2)]), name, values)
    with pytest.raises(UsageError, match=problem):
        build_ranking_set(rows, [], ["taken"])
    shown = rows.drop_columns(["taken", "taken_status"])
    with pytest.raises(UsageError, match=problem):
        world[0].ranking_set(impressions=shown, taken_within=HOUR, rule=RULE)


@pytest.mark.parametrize("type_", [pa.uint8(), pa.float32(), pa.decimal128(12, 1)])
def test_positions_of_any_number_are_in_their_order(type_):
    rows = table([row(n=10), row(n=9)])
    ranking = build_ranking_set(replace_column(rows, "position", rows["position"].cast(type_)), [], ["taken"])
    assert ids(ranking) == ["r1 9", "r1 10"] and ranking.position.tolist() == [9, 10]


def test_texts_as_views_are_ordered_and_joined_as_others(world):
    rows = table([row(n=2), row(n=1), row("r0", n=3)]).append_column("words", pa.array([["a"], None, ["b"]]))
    lent = rows
    for name in ("request_id", "user_id", "impression_id", "taken_status"):
        lent = replace_column(lent, name, lent[name].cast(pa.string_view()))
    lent = replace_column(lent, "words", lent["words"].cast(pa.list_(pa.string_view())))
    one, other = (build_ranking_set(each, ["plays"], ["taken"]) for each in (rows, lent))
    assert one.rows.to_pylist() == other.rows.to_pylist(), "views are in another order than texts"
    more = other.rows.append_column("x", pa.array([1, 2, 3])).append_column(
        "note", pa.array(list("abc"), pa.string_view())
    )
    split = other.with_features(more, ["x"]).split([NOON + HOUR])
    assert split["train"].rows["note"].to_pylist() == ["a", "b", "c"]
    shown = impressions_table(world[1])
    views = replace_column(shown, "request_id", shown["request_id"].cast(pa.string_view()))
    by_text, by_view = (
        world[0].ranking_set([], ["taken"], each, None, HOUR, RULE) for each in (shown, views)
    )
    assert by_view.rows.to_pylist() == by_text.rows.to_pylist() and by_view.left_out == by_text.left_out


@pytest.mark.parametrize("name", SCHEMA.names)
def test_columns_of_runs_are_taken_as_others(name):
    rows = table([row("r1", n=2), row("r0", n=3), row("r1", n=1)])
    in_runs = pc.run_end_encode(rows[name].combine_chunks())
    ranking = build_ranking_set(replace_column(rows, name, in_runs), ["plays"], ["taken"])
    expected = build_ranking_set(rows, ["plays"], ["taken"])
    assert ranking.rows.to_pylist() == expected.rows.to_pylist()
    more = replace_column(expected.rows, name, pc.run_end_encode(expected.rows[name].combine_chunks()))
    assert expected.with_features(more, ["plays"]).rows.to_pylist() == expected.rows.to_pylist()


@pytest.mark.parametrize(
    "values",
    [
        pa.array([bytes([n]) * 16 for n in (2, 1)], pa.uuid()),
        pa.array([2, 1]).dictionary_encode(),
        pa.array([True, False]),
        pa.array([b"\xff", b"\xfe"]),
        pa.array([2.5, 1]),
    ],
    ids=lambda values: str(values.type),
)
def test_ids_of_any_kind_order_rows_that_tie(values):
    rows = replace_column(table([row(n=2, position=1), row(n=1, position=1)]), "impression_id", values)
    in_order = build_ranking_set(rows, ["plays"], ["taken"])
    assert in_order.x.ravel().tolist() == [1, 2], f"ids of {values.type} are not in their order"


def test_rows_are_a_table_of_arrow_and_statuses_are_texts():
    rows = table([row(), row("r2")])
    ranking = build_ranking_set(rows, [], ["taken"])
    others = {"DataFrame": rows.to_pandas(), "RecordBatch": rows.to_batches()[0], "NoneType": None}
    for kind, other in others.items():
        problem = f"rows must be a pyarrow.Table; got {kind}. Hint: pyarrow.Table.from_pandas makes one"
        with pytest.raises(UsageError, match=problem):
            build_ranking_set(other, [], ["taken"])
        with pytest.raises(UsageError, match=problem):
            ranking.with_features(other, [])
    with pytest.raises(UsageError, match="these are not the rows of the set"):
        ranking.with_features(rows.drop_columns(["request_id"]), [])
    for values in (pa.nulls(2), pa.nulls(2).dictionary_encode(), pa.nulls(2, pa.string())):
        nobody_knows = replace_column(rows, "taken_status", values)
        assert build_ranking_set(nobody_knows, [], ["taken"]).left_out == {"null": 2}, values.type
    for values in (pa.array([True, True]), pa.array([0, 1]), pa.array([["ripe"]] * 2)):
        problem = rf"taken_status says whether a label is known, .*; got {re.escape(str(values.type))}"
        with pytest.raises(UsageError, match=problem):
            build_ranking_set(replace_column(rows, "taken_status", values), [], ["taken"])


def test_a_position_of_nan_is_none_so_that_no_row_is_there_twice():
    rows = table([row(n=1), row(n=2), row(n=2)])
    with_nan = replace_column(rows, "position", pa.array([math.nan, 1.0, 2.0]))
    assert ids(build_ranking_set(with_nan, [], ["taken"])) == ["r1 2", "r1 2", "r1 1"]
    twice = replace_column(rows, "position", pa.array([1.0, math.nan, math.nan]))
    with pytest.raises(SegueError, match="1 of 3 rows have request, position and impression_id of another"):
        build_ranking_set(twice, [], ["taken"])


def test_rows_without_a_position_are_in_the_order_of_ids_that_may_be_categories():
    rows = replace_column(table([row(n=n) for n in (3, 1, 2)]), "position", pa.nulls(3))
    rows = replace_column(rows, "impression_id", rows["impression_id"].dictionary_encode())
    assert ids(build_ranking_set(rows, [], ["taken"])) == ["r1 1", "r1 2", "r1 3"]


def test_rows_that_tie_stay_in_the_order_in_which_they_came():
    rows = [row(n=1, position=1, plays=n) for n in (3, 1, 2)] + [
        row("r0", position=None, plays=n) for n in (5, 4)
    ]
    for columns in (["impression_id"], ["impression_id", "position"]):
        ranking = build_ranking_set(table(rows).drop_columns(columns), ["plays"], ["taken"])
        assert ranking.x.ravel().tolist() == [5, 4, 3, 1, 2]


def test_items_without_ids_or_types_of_text_have_no_keys(tmp_path):
    day = {"feature_at": [midnight(2)], "ds": [date(2026, 3, 1)]}
    tables = {"track_features": pa.table({"track_id": ["t1"], "n": [1.0], **day})}
    store = lay(tmp_path / "root", impressions=impressions_table([row()]), **tables)
    for items in ({"item_type": ["track"]}, {"item_type": [3], "item_id": ["t1"]}):
        rows = table([row()])
        for name, values in items.items():
            rows = rows.append_column(name, pa.array(values))
        with pytest.raises(UsageError, match="column 'track_id' is unknown in the labels"):
            store.ranking_set(["track_features"], ["taken"], rows)


def test_questions_without_an_answer_are_one_line():
    rows = table([row(), row(n=2, plays=9)]).append_column("listed", pa.array([[1], [1]]))
    ranking = build_ranking_set(rows, ["impression_text"][:0], LABELS)
    for call, problem in (
        (lambda: ranking.y(), "several labels"),
        (lambda: ranking.y("plays"), "label 'plays' is unknown"),
        (lambda: ranking.split([NOON, NOON - DAY]), "in order"),
        (lambda: ranking.split(["2026-03-11"]), r"list of datetime.datetime; got \['2026-03-11'\]"),
        (lambda: ranking.split([NOON.date()]), "list of datetime.datetime; got"),
        (lambda: ranking.split(NOON), "list of datetime.datetime; got"),
        (lambda: ranking.split("2026-03-11"), "list of datetime.datetime; got '2026-03-11'"),
        (lambda: ranking.split(shares=[0.5, 0.6]), "add up to 1"),
        (lambda: ranking.split(shares=[math.nan, 0.5]), r"add up to 1; got \[nan, 0.5\]"),
        (lambda: ranking.split(shares=["0.5", "0.5"]), r"add up to 1; got \['0.5', '0.5'\]"),
        (lambda: ranking.split(shares=0.5), r"add up to 1; got \[0.5\]"),
        (lambda: ranking.split(shares=[0.5, 0.5], by="listed"), "cannot be split by listed, which is list"),
        (lambda: ranking.split(shares=[0.5, 0.5], by="plays"), "several plays"),
        (lambda: ranking.split(), "column 'split' is unknown"),
        (lambda: ranking.with_features(ranking.rows.slice(1), []), "not the rows of the set"),
    ):
        with pytest.raises(SegueError, match=problem):
            call()


# --- of a release

BEGIN, THROUGH = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 5, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Impressions from before the first play on to after what was delivered, and plays at the ends of their times."""
    rng = random.Random(3)
    shown, led = [], []
    around = [BEGIN, THROUGH - HOUR, THROUGH - DAY, datetime(2026, 3, 4, tzinfo=UTC), NOON]
    for number in range(300):
        at = rng.choice(around) + rng.choice([-2, -1, 0, 1, 5_000_000]) * US
        for n in range(rng.randint(1, 3)):
            each = {"item_type": rng.choice(["track", "artist"]), "item_id": f"i{n}", "position": n + 1}
            instant = at + n * rng.choice([0, 0, 1]) * HOUR
            id_ = {"impression_id": f"{number} {n}", "request_id": f"r{number}", "user_id": f"u{number % 9}"}
            shown.append(id_ | each | {"shown_at": instant})
            for rule in rng.sample([RULE, "other"], rng.choice([0, 1, 1, 2])):
                delay = rng.choice([HOUR, DAY]) + rng.choice([-1, 0, 1]) * timedelta(milliseconds=1)
                if instant + delay < THROUGH:
                    played = {"played_at": instant + delay, "delay_ms": delay // timedelta(milliseconds=1)}
                    led.append({"impression_id": id_["impression_id"], "rule_id": rule, **played})
    days = [date(2026, 3, day) for day in (2, 3, 4, 5)]
    led.append({"impression_id": "gone", "played_at": THROUGH - US, "delay_ms": 5})
    store = lay(
        tmp_path_factory.mktemp("world") / "root",
        THROUGH,
        impressions=impressions_table(shown),
        attributions=attributions_table(led),
        sessions=sessions_table(days),
    )
    return store, shown, led


@pytest.mark.parametrize(("within", "rule"), [(HOUR, RULE), (DAY, "other"), (DAY + 2 * HOUR, RULE)])
def test_taken_is_what_led_to_a_play_in_time_and_only_what_is_known(world, within, rule):
    store, shown, led = world
    ranking = store.ranking_set(taken_within=within, rule=rule)
    end = datetime(2026, 3, 6, tzinfo=UTC)
    rows = []
    for impression in shown:
        is_taken, status = definition.taken(impression, led, within, rule, BEGIN, end, THROUGH)
        rows.append(impression | {"taken": is_taken, "taken_status": status})
    kept, left_out = definition.requests(rows, ["taken"])
    assert [(r["impression_id"], r["taken"]) for r in ranking.rows.to_pylist()] == [
        (r["impression_id"], r["taken"]) for request in kept for r in request
    ]
    assert ranking.left_out == left_out and left_out.keys() == {"unripe", "censored"}
    assert 0 < ranking.y().sum() < len(ranking.y())


def midnight(day):
    return datetime(2026, 3, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("led_days", "through", "expected"),
    [
        # the night before has the day that is over, and a part of the next
        ((2, 3), midnight(4) + 6 * HOUR, midnight(4) + 6 * HOUR),
        # nothing is known but what there is
        ((2, 3), None, midnight(4)),
        # attributions that are behind, whatever was delivered
        ((2,), midnight(4), midnight(3)),
        ((2, 3), midnight(30), midnight(30)),
    ],
)
def test_plays_are_known_as_far_as_they_are_and_were_attributed(led_days, through, expected):
    plays = [date(2026, 3, 2), date(2026, 3, 3)]
    observation = Observation.of(plays, [date(2026, 3, day) for day in led_days], through)
    instants = (to_micros(each) for each in (midnight(2), midnight(4), expected))
    assert observation == Observation(*instants)


def test_a_history_that_ended_long_ago_is_known_to_its_last_midnight(tmp_path):
    shown = [
        {
            "impression_id": str(n),
            "request_id": str(n),
            "user_id": "u",
            "shown_at": midnight(4) - HOUR + n * US,
        }
        for n in (-1, 0, 1)
    ]
    led = [{"impression_id": "0", "played_at": midnight(4) - US, "delay_ms": 3_599_999}]
    days = sessions_table([date(2026, 3, 2), date(2026, 3, 3)])
    tables = {
        "impressions": impressions_table(shown),
        "attributions": attributions_table(led),
        "sessions": days,
    }
    ranking = lay(tmp_path / "root", midnight(30), **tables).ranking_set(taken_within=HOUR)
    assert dict(zip(ids(ranking), ranking.y().tolist(), strict=True)) == {"-1": 0, "0": 1}
    assert ranking.left_out == {"censored": 1}
    assert {name: part.left_out for name, part in ranking.split([NOON]).items()} == {"train": {}, "test": {}}


def test_days_take_requests_by_their_first_instant(world):
    store, shown, _ = world
    ranking = store.ranking_set(labels=["position"], days=("2026-03-02", date(2026, 3, 3)))
    kept, _ = definition.requests(shown, ["position"])
    of_days = [r for r in kept if date(2026, 3, 2) <= definition.begin(r).date() <= date(2026, 3, 3)]
    assert ids(ranking) == [row["impression_id"] for request in of_days for row in request]
    assert any(row["shown_at"].date() == date(2026, 3, 4) for request in of_days for row in request)
    before = [r for r in kept if definition.begin(r).date() < date(2026, 3, 2)]
    assert any(row["shown_at"].date() == date(2026, 3, 2) for request in before for row in request)


@pytest.mark.parametrize(
    ("features", "columns"),
    [
        (["track_features:b", "user_embeddings:m", "own"], "tb um own"),
        (["user_embeddings:m", "track_features", "own", "user_embeddings:n"], "um tb ta own un"),
        (
            ["own", "user_embeddings", "track_features:a", "user_embeddings:m", "track_features"],
            "own un um ta tb",
        ),
        (["own", "track_features:a", "own"], "own ta"),
    ],
)
def test_columns_are_in_the_order_of_the_features_that_were_requested(tmp_path, features, columns):
    frame = {"feature_at": [midnight(2)], "ds": [date(2026, 3, 1)]}
    store = lay(
        tmp_path / "root",
        impressions=impressions_table([row(item_type="track", item_id="t1")]),
        track_features=pa.table({"track_id": ["t1"], "b": [2.0], "a": [1.0], **frame}),
        user_embeddings=pa.table({"user_id": ["u1"], "n": [4.0], "m": [5.0], **frame}),
    )
    rows = store.ranking_set(labels=["position"]).rows.append_column("own", pa.array([6.0]))
    ranking = store.ranking_set(features, ["position"], rows)
    known = {
        "tb": ("track_features__b", 2),
        "ta": ("track_features__a", 1),
        "un": ("user_embeddings__n", 4),
        "um": ("user_embeddings__m", 5),
        "own": ("own", 6),
    }
    names, values = zip(*(known[each] for each in columns.split()), strict=True)
    assert ranking.features == names
    assert ranking.x.tolist() == [list(values)]


def test_rows_of_ones_own_that_the_release_does_not_have_are_censored(world):
    store, shown, _ = world
    new = {"impression_id": "new", "request_id": "r-new", "user_id": "u1", "shown_at": NOON, "position": 1}
    of_release = store.ranking_set(taken_within=HOUR, rule=RULE)
    ranking = store.ranking_set(impressions=impressions_table([*shown, new]), taken_within=HOUR, rule=RULE)
    assert ids(ranking) == ids(of_release) and ranking.y().tolist() == of_release.y().tolist()
    left_out = of_release.left_out
    assert ranking.left_out == left_out | {"censored": left_out["censored"] + 1}


def test_a_request_of_a_release_says_what_it_lacks(world):
    store, *_ = world
    for arguments, problem in (
        ({}, "taken_within is a datetime.timedelta"),
        ({"taken_within": 3600}, "taken_within is a datetime.timedelta"),
        ({"taken_within": HOUR}, f"several rules \\({RULE}, other\\)"),
        (
            {"impressions": table([row()]), "taken_within": HOUR},
            "taken_within: of the label 'taken' as it is made",
        ),
        (
            {"impressions": table([row()]), "taken_within": HOUR, "rule": RULE},
            "taken_within and rule: of the label 'taken' .* or rows have it as a column",
        ),
        ({"labels": ["position"], "rule": RULE}, "rule: of the label 'taken' .* no label"),
        ({"taken_within": HOUR, "rule": "last"}, "rule 'last' is unknown"),
        ({"impressions": "sessions"}, "table sessions has no request_id, shown_at"),
        ({"impressions": table([row()]).drop_columns("shown_at")}, "the given table has no shown_at"),
        ({"impressions": [1]}, "got list"),
        ({"impressions": table([row()]).drop_columns([KEY, "taken"])}, f"column '{KEY}' is unknown"),
        ({"features": "track_features"}, "features must be a list"),
        ({"days": "2026-03-04", "labels": ["position"]}, "days are the first and the last"),
        ({"days": ("2026-03-04", "2026-03-03"), "labels": ["position"]}, "days are the first and the last"),
        ({"impressions": table([row()]), "days": ("2026-03-03",) * 2}, "days are of a table of the release"),
        ({"features": ["track_features"], "labels": ["position"]}, "table 'track_features' is unknown"),
    ):
        with pytest.raises(UsageError, match=problem):
            store.ranking_set(**arguments)
    with pytest.raises(UsageError, match=r"made by Spark.*segue training-set"):
        store.training_set(table([row()]), [], outcomes=["user_features:plays_count_7d"])


# each of rows at noon of these days of March; and of which days a request would be cut unseen
LONG_REQUESTS = {
    "a session of a day": ([2, 2.5, 3], [2, 3]),
    "two days apart": ([2, 4], [2, 3, 4]),
    "an id that is used again each day": ([1, 2, 3, 4, 5, 6, 7, 8], [1, 4, 8]),
}


@pytest.mark.parametrize(("at", "days"), LONG_REQUESTS.values(), ids=LONG_REQUESTS)
def test_a_request_of_more_than_a_day_is_refused(tmp_path, at, days):
    shown = [row("long", n, shown_at=midnight(1) + (day - 0.5) * DAY) for n, day in enumerate(at)]
    others = [row(f"of {day}", 1, shown_at=midnight(day)) for day in (1, 8)]
    store = lay(tmp_path / "root", impressions=impressions_table([*shown, *others]))
    for each in [None, *((date(2026, 3, day),) * 2 for day in days)]:
        with pytest.raises(SegueError, match=r"request 'long' lasts from 2026-03-0\d 12.*no later slate"):
            store.ranking_set(labels=["position"], days=each)
            pytest.fail(f"days={each}: a request that lasts for days was cut or taken as one slate")


def test_a_long_request_of_other_days_is_no_concern_of_these(tmp_path):
    shown = [row("long", n, shown_at=midnight(day)) for n, day in enumerate((2, 4))]
    shown += [row("of 5", 1, shown_at=midnight(5)), row("of 1", 1, shown_at=midnight(2) - US)]
    store = lay(tmp_path / "root", impressions=impressions_table(shown))
    for days, expected in (
        (("2026-03-05", "2026-03-05"), ["of 5 1"]),
        (("2026-03-01", date(2026, 3, 1)), ["of 1 1"]),
        (("2026-03-05", date.max), ["of 5 1"]),
        ((date.min, "2026-03-01"), ["of 1 1"]),
    ):
        assert ids(store.ranking_set(labels=["position"], days=days)) == expected


def test_rules_are_those_of_the_table_and_not_of_the_days_alone(tmp_path):
    shown = [row("a", 1, shown_at=midnight(2)), row("b", 1, shown_at=midnight(3))]
    led = [
        {"impression_id": f"{id_} 1", "rule_id": rule, "played_at": midnight(day) + US, "delay_ms": 5}
        for id_, rule, day in (("a", "artist", 2), ("b", "track", 3), ("of no slate", "track", 5))
    ]
    days = sessions_table([date(2026, 3, day) for day in (2, 3, 4, 5)])
    tables = {"impressions": impressions_table(shown), "attributions": attributions_table(led)}
    store = lay(tmp_path / "root", THROUGH, **tables, sessions=days)
    second = {"days": ("2026-03-02", "2026-03-02"), "taken_within": HOUR}
    assert store.ranking_set(**second, rule="artist").y().tolist() == [1]
    assert store.ranking_set(**second, rule="track").y().tolist() == [0], "a rule without rows on these days"
    for rule, problem in (
        (None, r"several rules \(artist, track\)"),
        ("nope", "rule 'nope' is unknown in table attributions; known: artist, track"),
    ):
        for rows in ({}, second, {"days": ("2026-03-04", "2026-03-04")}):
            with pytest.raises(UsageError, match=problem):
                store.ranking_set(**{**second, "days": None, **rows}, rule=rule)
                pytest.fail(f"{rows}: labels were made by rule={rule!r}")


def test_statuses_of_rewards_say_why_they_are_null():
    statuses = [("unripe", "unripe"), ("ripe", "censored"), ("ripe", "ripe")]
    rows = table([row(f"r{n}", saved=None) for n in range(3)]).drop_columns(["plays", "taken_status"])
    for name, values in (
        ("plays", [None, 0, 2]),
        ("returns_7d", [None, None, True]),
        ("completed", [None, True, None]),
        ("status_0d", [each for each, _ in statuses]),
        ("status_7d", [each for _, each in statuses]),
    ):
        rows = rows.append_column(name, pa.array(values))
    for label, left_out in (
        ("plays", {"unripe": 1}),
        ("returns_7d", {"unripe": 1, "censored": 1}),
        ("completed", {"unripe": 1, "null": 1}),
        ("saved", {"null": 2, "unripe": 1}),
        # known with the impression, whatever comes of it
        ("position", {}),
    ):
        assert build_ranking_set(rows, [], [label]).left_out == left_out, label


def of_type(name, values, type_=None):
    return replace_column(table([row(n=1), row(n=2)]), name, pa.array(values, type_))


WRONG_UNIT = pa.array([1_772_625_600_000_000] * 2, pa.timestamp("s", "UTC"))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            of_type("shown_at", WRONG_UNIT),
            "'shown_at' go up to the year .*microseconds that are taken for sec",
        ),
        (of_type("request_id", [b"\xff" * 16] * 2, pa.binary(16)), "'request_id' of the rows cannot be read"),
        (
            of_type("request_id", [b"\xff", b"\xfe"]),
            "'request_id' of the rows cannot be read as text: Invalid",
        ),
        (of_type("request_id", [[1], [2]]), "'request_id' of the rows cannot be read as text: Unsupported"),
        (of_type("user_id", [b"\xff", b"\xff"]), "'user_id' of the rows cannot be read as text"),
        (
            of_type("position", [1, 1])
            .drop_columns("impression_id")
            .append_column("impression_id", pa.array([[1], [2]])),
            "'impression_id' of the rows cannot be read as text",
        ),
        (
            table([row()]).append_column("plays", pa.array([1])),
            "rows have several columns named plays; expected",
        ),
    ],
)
def test_rows_that_cannot_be_read_are_refused_in_one_line(world, rows, problem):
    with pytest.raises(UsageError, match=problem):
        build_ranking_set(rows, [], ["taken"])
    with pytest.raises(UsageError, match=problem):
        world[0].ranking_set([], ["taken"], rows)
    without = rows.drop_columns(["taken", "taken_status"])
    with pytest.raises(UsageError, match=problem):
        world[0].ranking_set([], ["taken"], without, taken_within=HOUR, rule=RULE)


def test_ids_of_impressions_that_are_no_text_were_never_shown(world):
    rows = of_type("impression_id", [b"\xff", b"\xfe"]).drop_columns(["taken", "taken_status"])
    with pytest.raises(UsageError, match="'impression_id' of the rows cannot be read as text"):
        world[0].ranking_set([], ["taken"], rows, taken_within=HOUR, rule=RULE)


@pytest.mark.parametrize("within", [timedelta(days=10**7), timedelta.max - timedelta(microseconds=999_999)])
def test_a_time_that_no_calendar_has_is_not_over(world, within):
    left_out = world[0].ranking_set(taken_within=within, rule=RULE).left_out
    assert left_out.keys() == {"unripe", "censored"} and left_out["unripe"]


def test_listeners_stay_in_their_split_and_another_salt_moves_them():
    key = pa.chunked_array([[f"u{n}" for n in range(4000)]])
    one, other = (split_by_share(key, (0.7, 0.2, 0.1), salt) for salt in ("a", "b"))
    assert np.bincount(one) / 4000 == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    assert np.mean((one == 2) & (other == 2)) == pytest.approx(0.01, abs=0.006)
    larger = pa.chunked_array([[f"u{n}" for n in range(3999, -1, -1)]])
    assert split_by_share(larger, (0.7, 0.2, 0.1), "a").tolist() == one.tolist()[::-1]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (pa.array([[1], [2]]), "texts, numbers of 64 bits with a sign, days or instants; got list<"),
        (pa.array([1, 2], pa.uint64()), "numbers of 64 bits with a sign, days or instants; got uint64"),
        (pa.array([1, 2], pa.decimal128(9, 2)), "got decimal128"),
        (pa.array([1, 2], pa.timestamp("ns")), "not hashed as Spark does: Casting from timestamp"),
    ],
)
def test_what_spark_hashes_otherwise_is_no_key_of_a_split(keys, problem):
    with pytest.raises(UsageError, match=problem):
        split_by_share(pa.chunked_array([keys]), (0.5, 0.5))
