"""A row of any length costs itself; a line that no task can hold is found in the middle of a file, too."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import long_rows
from jobs.errors import JobError
from jobs.file_starts import MOST_HEAD_BYTES, read_starts
from jobs.input_files import InputFile, list_files
from jobs.long_rows import check_lines, cut_texts, find_long_line
from jobs.sources import Source


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "a.csv"

    def write(content):
        path.write_bytes(content)
        return InputFile(f"file:{path}", len(content), 0)

    return write


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([b"\n", b"\r", b"\r\n", b""])), max_size=12),
    st.integers(2, 25),
)
def test_find_long_line_sees_each_that_is_longer_than_the_most_and_no_other(file, parts, most):
    content = b"".join(b"x" * size + end for size, end in parts)
    long_ones = [found for found in re.finditer(rb"[^\r\n]+", content) if len(found[0]) > most]
    at = find_long_line(file(content), most)
    assert (at is not None) == bool(long_ones)
    assert at is None or any(found.start() <= at < found.end() for found in long_ones)


def test_find_long_line_reads_a_little_of_a_large_file(file, monkeypatch):
    monkeypatch.setattr(long_rows, "WINDOW_BYTES", 100)
    monkeypatch.setattr(long_rows, "CHUNK_BYTES", 1000)
    lines = b"x" * 49 + b"\n"
    large = file(lines * 20_000)
    read = []
    original = long_rows._has_line_end
    monkeypatch.setattr(
        long_rows, "_has_line_end", lambda content: read.append(len(content)) or original(content)
    )
    assert find_long_line(large, 50_000) is None
    assert sum(read) <= large.bytes // 50_000 * 100 + 200
    # an end of line, then one that is too long, then more
    assert find_long_line(file(lines * 1000 + b"y" * 50_001 + lines * 1000), 50_000) is not None
    assert find_long_line(file(lines * 1000 + b"y" * 49_900 + lines * 1000), 50_000) is None


def test_check_lines_names_the_file_and_looks_at_no_archive(file, tmp_path, monkeypatch):
    monkeypatch.setattr(long_rows, "MOST_LINE_BYTES", 1000)
    source = Source(name="s", longest_row=1000)
    content = b"a,b\n" + b"x" * 5000 + b"\n"
    with pytest.raises(
        JobError, match=r"a\.csv: a line of more than 1,000 bytes is at byte \d+; check format"
    ):
        check_lines(source, [file(b"a,b\n"), file(content)])
    check_lines(source.replace(longest_row=6000), [file(content)])
    check_lines(source, [InputFile("file:/nowhere/a.csv.gz", 10_000, 0)])


def test_cut_texts_counts_bytes_and_keeps_what_is_short_enough():
    texts = ["x" * 1000, "é" * 500, "é" * 501, "x" * 1001, "", "\ud800" * 300]
    kept = list(cut_texts(enumerate(texts), 1000))
    assert [is_long for *_, is_long in kept] == [False, False, True, True, False, False]
    assert [text for _, text, is_long in kept if not is_long] == [texts[0], texts[1], "", texts[5]]
    assert kept[2] == (2, "(a row of 1002 bytes; longest_row of the source is 1000)", True)


def test_read_starts_takes_a_document_of_one_line_of_any_length(tmp_path):
    (tmp_path / "a.json").write_text("[" + json.dumps({"a": "x" * MOST_HEAD_BYTES}) + "]")
    files = list_files([str(tmp_path)], pytest.fail)
    (start,) = read_starts(Source(name="s", format="json"), [file.path for file in files])
    assert not start.has_line_objects


def test_read_starts_finds_the_header_behind_blank_lines(tmp_path):
    """A file was taken for a blank one, and left out, where these were more than the first bytes that are read."""
    (tmp_path / "a.csv").write_text("\n" * 100_000 + "id,who\n1,u\n")
    files = list_files([str(tmp_path)], pytest.fail)
    (start,) = read_starts(Source(name="s"), [file.path for file in files])
    assert start.header == "id,who"
