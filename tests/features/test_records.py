"""Text into records: line ends inside quotes belong to the field."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.records import MAX_RECORD_LINES, split_records

FIELD = st.text(st.sampled_from('ab,"\r\n é'), max_size=6)


def split_text(text, line_end="\n", quote='"', **form):
    return [record for _, record in split_records(text, line_end, quote, **form)]


def list_records(text):
    """As Python's reader ends them: a quote opens at the start of a field alone."""
    lines = text.split("\n")
    reader, start, records = csv.reader(f"{line}\n" for line in lines), 0, []
    for _ in reader:
        records.append("\n".join(lines[start : reader.line_num]))
        start = reader.line_num
    return [record for record in records if record.strip()]


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"])
@given(rows=st.lists(st.lists(FIELD, min_size=2, max_size=4), min_size=1, max_size=6))
def test_split_records_cuts_where_a_csv_writer_ended_a_row(line_end, rows):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    actual = [
        next(csv.reader(io.StringIO(record, newline=""))) for record in split_text(out.getvalue(), line_end)
    ]
    assert actual == rows


@given(text=st.text(st.sampled_from('ab,"\n é'), max_size=30))
def test_split_records_ends_a_record_where_a_reader_of_csv_does(text):
    actual, expected = split_text(text), list_records(text)
    # the last may never be closed: a reader takes all that is left for it
    whole = len(expected) - 1
    assert actual[:whole] == expected[:whole]
    assert [line for line in "\n".join(actual).split("\n") if line.strip()] == [
        line for line in text.split("\n") if line.strip()
    ]


@pytest.mark.parametrize(
    ("form", "records"),
    [
        ({}, ['1,Mix 12"', "2,x", '3,7" Edit', '4,"a, 12"" b\nc"', '5,"Weird Al" Song', "6,y"]),
        ({"separator": "\t"}, ['1\tMix 12"', '2\t"a\t""b""\nc"\t7"', '3,"x', '4\t"y"']),
        ({"separator": "::"}, ['1::12"', '2::"a::b\n"::7"', '3:"x', "4"]),
        ({"separator": "."}, ['1."a\nb"', '2,"x', "3"]),
        ({"escape": "\\"}, ['1,"a \\"b\nc\\\\"', '2,"d\\\ne"', '3,7"', '4,7"']),
        ({"escape": ""}, ['1,"a\nb"', '2,"c""', '3,"d"']),
        ({"quote": "'"}, ["1,'a\nb'", "2,Don't", '3,"x', "4,Can't"]),
    ],
)
def test_split_records_opens_a_quote_at_the_start_of_a_field_alone(form, records):
    assert split_text("\n".join(records), **form) == records


def test_split_records_takes_an_unclosed_quote_for_one_line():
    lines = ['1,"open', *(f"{n},b" for n in range(2, 2 * MAX_RECORD_LINES))]
    assert split_text("\n".join(lines)) == lines


def test_split_records_neither_returns_nor_counts_blank_records():
    assert list(split_records("a\n\n  \nb\n", "\n")) == [(0, "a"), (1, "b")]


def test_split_records_without_a_quote_returns_every_line():
    assert split_text('a,"x\ny"', quote="") == ['a,"x', 'y"']
