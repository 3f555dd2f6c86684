"""JSON that is not a line each is cut into the records that its text has, and nothing of it is lost."""

from __future__ import annotations

import json

import pytest

from features.documents import is_document, split_documents

ROWS = [{"a": 1, "t": 'x]},{[ \\ " é'}, {"a": None, "n": {"b": [1, 2]}}, {}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("mark", ["", "\ufeff", "\n  "])
def test_elements_of_an_array(indent, mark):
    text = mark + json.dumps(ROWS, indent=indent, ensure_ascii=False)
    assert is_document(text)
    assert [json.loads(record) for record in split_documents(text)] == ROWS


def test_objects_one_after_the_other():
    text = "\n".join(json.dumps(row, indent=1) for row in ROWS)
    assert [json.loads(record) for record in split_documents(text)] == ROWS


def test_lines_are_no_document():
    for text in ('{"a": 1}\n{"a": 2}\n', '{"a": 1}', '{"a": "cut off', '{"a": broken}\n{"a": 2}', "a,b\n1,2"):
        assert not is_document(text), text
    assert is_document('{\n "a": 1}')


def test_an_array_that_is_cut_off_or_has_a_broken_record_costs_that_record():
    assert list(split_documents('[{"a": 1},\n {"a": 2, "b')) == ['{"a": 1}', '{"a": 2, "b']
    assert list(split_documents('[{"a": 1},\n{"a": oh},\n{"a": 3}]')) == [
        '{"a": 1}',
        '{"a": oh},',
        '{"a": 3}',
    ]


def test_records_by_path_have_what_is_said_above_them():
    document = {"v": 1, "lists": [{"id": 7, "n": 2, "x": {"y": 1}, "rows": [{"n": 3}, 5]}, {"id": 8}]}
    records = [json.loads(record) for record in split_documents(json.dumps(document), "lists[].rows[]")]
    assert records == [{"v": 1, "id": 7, "n": 3}, {"v": 1, "id": 7, "n": 2, "value": 5}]
    assert list(split_documents('{"lists": [', "lists[]")) == ['{"lists": [']
