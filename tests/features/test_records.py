"""Text into records: line ends inside quotes belong to the field."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.records import MAX_RECORD_LINES, split_records

FIELD = st.text(st.sampled_from('ab,"\r\n é'), max_size=6)


def cut(text, line_end="\n", quote='"'):
    return [record for _, record in split_records(text, line_end, quote)]


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"])
@given(rows=st.lists(st.lists(FIELD, min_size=2, max_size=4), min_size=1, max_size=6))
def test_what_a_csv_writer_wrote_is_cut_where_it_ended_a_row(line_end, rows):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    found = [next(csv.reader(io.StringIO(record, newline=""))) for record in cut(out.getvalue(), line_end)]
    assert found == rows


def test_an_unclosed_quote_costs_its_own_line_and_no_other():
    lines = ['1,"open', *(f"{n},b" for n in range(2, 2 * MAX_RECORD_LINES))]
    assert cut("\n".join(lines)) == lines


def test_blank_records_are_left_out_and_not_counted():
    assert list(split_records("a\n\n  \nb\n", "\n")) == [(0, "a"), (1, "b")]


def test_without_a_quote_every_line_is_a_record():
    assert cut('a,"x\ny"', quote="") == ['a,"x', 'y"']
