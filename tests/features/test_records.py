"""Text into records: line ends inside quotes belong to the field."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.records import MAX_RECORD_LINES, split_records

FIELD = st.text(st.sampled_from('ab,"\r\n é'), max_size=6)


def split_text(text, line_end="\n", quote='"'):
    return [record for _, record in split_records(text, line_end, quote)]


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"])
@given(rows=st.lists(st.lists(FIELD, min_size=2, max_size=4), min_size=1, max_size=6))
def test_split_records_cuts_where_a_csv_writer_ended_a_row(line_end, rows):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    actual = [
        next(csv.reader(io.StringIO(record, newline=""))) for record in split_text(out.getvalue(), line_end)
    ]
    assert actual == rows


def test_split_records_takes_an_unclosed_quote_for_one_line():
    lines = ['1,"open', *(f"{n},b" for n in range(2, 2 * MAX_RECORD_LINES))]
    assert split_text("\n".join(lines)) == lines


def test_split_records_neither_returns_nor_counts_blank_records():
    assert list(split_records("a\n\n  \nb\n", "\n")) == [(0, "a"), (1, "b")]


def test_split_records_without_a_quote_returns_every_line():
    assert split_text('a,"x\ny"', quote="") == ['a,"x', 'y"']
