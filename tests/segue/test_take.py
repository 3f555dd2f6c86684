"""Rows at places are the same in one piece and in many; pieces are of 8 items here, as 2^27 take long."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import segue
from segue import take
from segue.take import take_rows, take_values

TEXTS = ["", "é", None, "a long text of more bytes than a piece has", "b"]
LISTS = [[1.5, None], [], None, [2.0] * 7, [3.0]]
COLUMNS = {
    "number": pa.array([1, None, 3, 4, 5]),
    "text": pa.array(TEXTS),
    "bytes": pa.array([text and text.encode() for text in TEXTS], pa.binary()),
    "list": pa.array(LISTS, pa.list_(pa.field("element", pa.float32()))),
    "large": pa.array(LISTS, pa.large_list(pa.float64())),
    "texts": pa.array([["a", None], TEXTS, None, [], ["c"]]),
    "deep": pa.array([[[1], [2, 3]], [], None, [[4] * 5, []], [None]], pa.list_(pa.list_(pa.int8()))),
    "struct": pa.array([{"vector": [True] * 4, "at": "x"}, None, {}, {"vector": []}, {"at": "yy"}]),
    "category": pa.array(TEXTS).dictionary_encode(),
}


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(take, "PIECE", 8)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("places", [[4, 3, None, 3, 0, 1, 2, 4, 4, 3], [2], []], ids=len)
def test_values_are_those_at_the_places_in_any_pieces(small_pieces, name, places):
    values = COLUMNS[name]
    column = pa.chunked_array([values.slice(0, 2), values.slice(2)])
    taken = take_values(column, pa.array(places, pa.int64()))
    taken.validate(full=True)
    assert taken.type == column.type
    assert taken.to_pylist() == [None if place is None else values[place].as_py() for place in places]


def test_no_piece_has_more_items_than_it_may(small_pieces):
    taken = take_values(pa.chunked_array([COLUMNS["list"]]), pa.array([0, 4, 0, 4, 3, 0]))
    assert {len(chunk) for chunk in taken.chunks} == {1}, "of 7 items in the longest list, 8 fit once"
    vectors = pa.chunked_array([pa.array([[1.0, 2.0, 3.0]] * 2)])
    sizes = [len(chunk.flatten()) for chunk in take_values(vectors, pa.array([0, 1] * 3)).chunks]
    assert sizes == [6, 6, 6], "two vectors of three items fit into a piece of 8"


def test_rows_have_the_schema_and_metadata_that_they_had(small_pieces):
    schema = pa.schema([(name, values.type) for name, values in COLUMNS.items()], {"of": "the table"})
    rows = pa.table(list(COLUMNS.values()), schema)
    places = pa.array([1, 0, None, 1])
    taken = take_rows(rows, places)
    assert taken.schema.equals(schema, check_metadata=True)
    assert taken.to_pylist() == rows.take(places).to_pylist()


def test_look_ups_and_training_sets_of_many_items_are_in_pieces(small_pieces, lake, many_users):
    lake.release(user_features=lake.publish("user_features", many_users))
    store = segue.open(lake.root)
    users = [f"u{n % 3}" for n in range(8)]
    hours = store.lookup("user_features", users)["plays_hours_30d"]
    day_end = store.lookup("user_features", users)["feature_at"]
    labels = pa.table({"user_id": users, "label_at": day_end})
    joined = store.training_set(labels, ["user_features"])["user_features__plays_hours_30d"]
    for values in (hours, joined):
        assert values.num_chunks == len(users), "24 hours are more than a piece, so that each row is one"
        assert values.to_pylist() == [[1 / 24] * 24] * len(users)


def test_ranking_sets_of_many_items_are_in_pieces(small_pieces):
    count = 6
    at = pa.array(np.zeros(count, np.int64)).cast(pa.timestamp("us", "UTC"))
    rows = pa.table(
        {
            "request_id": [f"r{n // 3}" for n in range(count)],
            "shown_at": at,
            "position": list(range(count, 0, -1)),
            "y": [0] * count,
            "vector": [[n] * 8 for n in range(count)],
        }
    )
    ranking = segue.build_ranking_set(rows, [], ["y"])
    vectors = ranking.rows["vector"]
    assert vectors.num_chunks == count, "8 items are a piece, so that each row is one"
    assert pc.list_element(vectors, 0).to_pylist() == [2, 1, 0, 5, 4, 3]
