"""Columns of which a row holds many values: a proposal takes none of them, and says how. No Spark."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROW = {"user_id": "u", "track_id": "t", "played_at": "2026-10-01T10:00:00Z"}
REQUIRED = {
    "user_id": ({"$oid": "7"}, "get_json_object(`user_id`, '$.$oid')", "`user_id`.`$oid`"),
    "track_id": ({"name": "T", "id": "7"}, "get_json_object(`track_id`, '$.id')", "`track_id`.`id`"),
    "played_at": ({"#text": "1", "x": "2"}, "get_json_object(`played_at`, '$.#text')", "`played_at`.`#text`"),
}


def write_parquet(row):
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), table)
    return table.getvalue()


@pytest.mark.parametrize(("name", "seen"), REQUIRED.items(), ids=REQUIRED)
def test_a_field_of_an_object_is_for_the_user_to_take(propose, name, seen):
    """Taken as it is the text of the whole object were an id."""
    value, of_json, of_parquet = seen
    row = {**ROW, name: value}
    for content, file, sql in (
        (json.dumps(row), "log.json", of_json),
        (write_parquet(row), "log.parquet", of_parquet),
    ):
        proposal, source = propose(content, file)
        assert name in proposal.missing and name not in source.plays, f"{file}: {name} is an object"
        said = f"# {name} has fields ({', '.join(value)}): take one of them, such as {sql}"
        assert said in proposal.text, proposal.text


@pytest.mark.parametrize("name", ["track_id", "played_at"])
def test_a_row_of_many_plays_is_to_be_split(propose, name):
    row = {**ROW, name: ["a", "b"], "length": [1, 2]}
    for content, file in ((json.dumps(row), "log.json"), (write_parquet(row), "log.parquet")):
        proposal, source = propose(content, file)
        assert name in proposal.missing and "track_ms" not in source.plays, f"{file}: {name} is a list"
        for each in (name, "length"):
            said = f"# {each} is a list: one row holds many plays: write a row a play first"
            assert said in proposal.text, proposal.text


def test_what_a_play_can_do_without_is_left_out_where_it_is_nested(propose):
    row = {**ROW, "artist_id": ["a", "b"], "duration": {"ms": 5}, "title": {"en": "T"}, "plays": [{"a": 1}]}
    proposal, source = propose(write_parquet(row), "log.parquet")
    assert (set(source.plays), source.tracks, proposal.missing) == (set(ROW), {}, ())
    assert "# artist_id is a list: take one of its values, such as get(`artist_id`, 0)" in proposal.text
    assert "# duration has fields (ms): take one of them, such as `duration`.`ms`" in proposal.text
    assert "# plays is a list of objects: where they are plays, write a row a play first" in proposal.text


def test_genres_may_be_a_list(propose):
    row = {**ROW, "title": "T", "genres": ["Pop", "Rock"]}
    assert propose(json.dumps(row), "log.json")[1].tracks["genres"] == "`genres`"
    genres = propose(write_parquet(row), "log.parquet")[1].tracks["genres"]
    assert genres == "to_json(`genres`)", "an array is refused as more than one value"
    rows = [{**row, "genres": [{"id": 1}]}] * 2
    assert "genres" not in propose(json.dumps(rows), "log.json")[1].tracks, "an object is no name of a genre"
