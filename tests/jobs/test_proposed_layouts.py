"""How lines are cut into columns by a proposal: quotes, names and encodings that are not what they seem. No Spark."""

from __future__ import annotations

import pytest

from jobs.file_heads import read_file_head

HEADER = ("user_id", "track_id", "title", "played_at")
ROWS = [HEADER, *(("u", f"t{n}", f"Song {n}", "2026-10-01T10:00:00Z") for n in range(60))]


def write_rows(separator, titles, rows=ROWS):
    """With other titles in some rows; 0 is the header."""
    cells = [(*row[:2], titles.get(n, row[2]), *row[3:]) for n, row in enumerate(rows)]
    return "".join(f"{separator.join(row)}\n" for row in cells)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_titles_that_begin_with_a_quote_do_not_swallow_the_rows_between_them(propose, separator):
    """They were one record of many lines: 80 plays of 400 went without a reject or a word."""
    proposal, source = propose(write_rows(separator, {5: '"Heroes', 9: '"Heroes"', 40: '"Low'}))
    assert (source.quote, source.multiline) == ("", False), proposal.text
    assert "# quotes are taken for parts of values, as some are never closed" in proposal.text
    assert source.plays["track_id"] == "track_id"


def test_quotes_that_other_rows_need_stay_where_some_are_never_closed(propose):
    needed = dict.fromkeys((2, 3, 4, 20), '"Lanterns, The"')
    proposal, source = propose(write_rows(",", {5: '"Heroes', **needed, 40: '"Low'}))
    assert (source.quote, source.multiline) == ('"', False), "rows of names with a comma would be rejects"
    assert "# some are never closed: such rows are rejects" in proposal.text


def test_values_over_line_ends_are_read_as_such_and_said(propose):
    proposal, source = propose(write_rows(",", {5: '"One,\nTwo"', 9: '"a\nb\nc"'}))
    assert (source.quote, source.multiline) == ('"', True)
    assert "multiline = true    # values go on over line ends in quotes" in proposal.text


@pytest.mark.parametrize("separator", ["::", "<SEP>"])
def test_quotes_do_not_go_with_a_separator_of_several_characters(propose, separator):
    """A row with such a field was a reject."""
    proposal, source = propose(write_rows(separator, {5: '"Great Performances" Cats', 7: '"Low'}))
    assert (source.separator, source.quote) == (separator, "")
    assert "# quotes are taken for parts of values" in proposal.text


def test_text_of_another_separator_says_how_to_name_it(tmp_path):
    (tmp_path / "a.txt").write_text("a~b\nc~d\n")
    assert 'with separator = "..."' in read_file_head(str(tmp_path / "a.txt")).describe()


def test_a_broken_byte_does_not_make_all_names_those_of_another_encoding(propose):
    text = write_rows(",", {5: "Jóga", 6: "坂本龍一"}).encode()
    proposal, source = propose(text.replace(b"Song 9", b"Caf\xe9 9"))
    assert source.encoding == "utf-8", proposal.text
    assert "# broken bytes, 1 in what was seen, are read as U+FFFD" in proposal.text


def test_an_encoding_that_is_guessed_is_said(propose):
    text = write_rows(",", {5: "Für Elise"})
    assert 'encoding = "cp1252"    # a guess' in propose(text.encode("cp1252"))[0].text
    assert 'encoding = "utf-16-le"    # a guess' in propose(text.encode("utf-16-le"))[0].text
    assert 'encoding = "utf-16"\n' in propose(text.encode("utf-16"))[0].text, "its mark says so"


def test_a_column_without_a_name_or_with_that_of_another_is_no_lack_of_a_header(propose):
    proposal, source = propose(",user_id,track_id,played_at,name,name\n0,u,t,2026-10-01,a,b\n")
    assert (source.header, source.plays["track_id"]) == ((), "track_id")
    assert "# several columns are called name: these are not used" in proposal.text
    assert not source.tracks, "an ingest refuses a name that several columns have"
    assert propose("u,,,,t\nu,,,,t\n")[1].header[0] == "column_1", "a row with more blanks than names"
