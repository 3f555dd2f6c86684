"""Records that lie deep in a document have what is said above them, and nothing of a broken one is lost."""

from __future__ import annotations

import json

from features.documents import split_document


def test_records_by_path_have_what_is_said_above_them():
    document = {"v": 1, "lists": [{"id": 7, "n": 2, "x": {"y": 1}, "rows": [{"n": 3}, 5]}, {"id": 8}]}
    records = list(split_document(json.dumps(document), "lists[].rows[]"))
    assert [number for number, _ in records] == [0, 1]
    assert [json.loads(record) for _, record in records] == [
        {"v": 1, "id": 7, "n": 3},
        {"v": 1, "id": 7, "n": 2, "value": 5},
    ]


def test_a_document_that_is_cut_off_is_one_record():
    assert list(split_document('{"lists": [', "lists[]")) == [(0, '{"lists": [')]


def test_a_document_without_the_list_is_one_record():
    """A path that is misspelt lost the file without a word."""
    text = '{"playlists": [{"tracks": [{"a": 1}]}]}'
    assert list(split_document(text, "playlist[].tracks[]")) == [(0, text)]
    assert list(split_document('{"playlists": []}', "playlists[].tracks[]")) == []


def test_a_list_in_an_object_has_what_is_said_beside_it():
    text = json.dumps({"ok": True, "payload": {"count": 2, "listens": [{"a": 1}, {"a": 2}]}})
    records = [json.loads(record) for _, record in split_document(text, "payload.listens[]")]
    assert records == [{"ok": True, "count": 2, "a": 1}, {"ok": True, "count": 2, "a": 2}]
    assert list(split_document(text, "payload.listen[]")) == [(0, text)], "a misspelt name is no empty list"
    assert list(split_document('{"a.b": [{"c": 1}]}', "a.b[]")) == [(0, '{"c": 1}')], "a name with a point"
