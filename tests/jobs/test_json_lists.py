"""Where the records of a JSON document lie, and what is said where that is in doubt. No Spark."""

from __future__ import annotations

import json

import pytest

from jobs.file_heads import read_file_head
from jobs.json_lists import find_record_lists
from jobs.propose_source import propose_extension
from jobs.recognise_source import find_base, recognise

PLAY = {"user_id": "u", "track_id": "t", "played_at": 1700000000}
ARTISTS = {"artists": [{"id": "a1", "name": "X"}, {"id": "a2", "name": "Y"}]}
PATHS = {
    "a play": (PLAY | ARTISTS, ""),
    "a play of a title": ({"title": "x", "played_at": 1} | ARTISTS, ""),
    "a play with an object": (PLAY | {"album": ARTISTS}, ""),
    "plays of a day": ({"date": "2026-10-01", "plays": [{"song": "s", "user": "u"}]}, "plays[]"),
    "plays of a listener": ({"user": "ada", "since": 1, "plays": [PLAY | ARTISTS]}, "plays[]"),
    "an answer": ({"payload": {"count": 1, "listens": [PLAY | ARTISTS]}}, "payload.listens[]"),
    "deep": ({"v": 1, "users": [{"name": "x", "plays": [PLAY | ARTISTS]}]}, "users[].plays[]"),
}


@pytest.mark.parametrize(("document", "path"), PATHS.values(), ids=PATHS)
def test_records_are_where_plays_are(document, path):
    assert find_record_lists(document).path == path


def test_a_file_of_one_record_is_of_that(propose):
    for text in (json.dumps(PLAY | ARTISTS), json.dumps([PLAY | ARTISTS]), json.dumps([{"x": 1} | ARTISTS])):
        assert propose(text, "log.json")[1].records == "", "its artists are no rows"


def test_lists_that_are_not_read_are_named(propose):
    text = json.dumps({"plays": [PLAY], "users": [{"user": "u", "age": 7}], "of": {"tags": [{"x": 1}]}})
    proposal, source = propose(text, "log.json")
    assert source.records == "plays[]"
    assert "# the document has other lists, which are not read: users, of.tags" in proposal.text


@pytest.mark.parametrize("wrap", [lambda lists: lists, lambda lists: {"of": lists}])
def test_lists_of_one_kind_under_several_names_are_not_read_by_halves(tmp_path, wrap):
    """All but the first were lost without a word."""
    path = tmp_path / "log.json"
    path.write_text(json.dumps(wrap({name: [PLAY] for name in ("ada", "bob")}), indent=1))
    head = read_file_head(str(path))
    assert not head.columns, "it would be proposed"
    assert "2 lists of one kind: " in head.describe() and "bob (write a record a line" in head.describe()


def test_rows_of_a_known_source_that_lie_elsewhere_are_no_files_of_it(tmp_path):
    """The source would find no row in them; one that extends it does."""
    listen = {"listened_at": 1700000000, "track_metadata": {"track_name": "x"}, "user_name": "rob"}
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"payload": {"count": 1, "listens": [listen, listen]}}))
    head = read_file_head(str(path))
    assert (recognise(head), find_base(head)) == (None, "listenbrainz")
    assert propose_extension(head, "listenbrainz").text.splitlines() == [
        'extends = "listenbrainz"',
        'name = "answer"',
        'format = "json"',
        'records = "payload.listens[]"',
    ]
    path.write_text(json.dumps(listen | {"track_metadata": {"mbid_mapping": ARTISTS}}))
    assert recognise(read_file_head(str(path))) == "listenbrainz", "a listen in a line of its own"
