"""What a terminal gets: nothing that acts on it, and no line longer than anybody reads."""

from __future__ import annotations

import json

import pytest

from segue import show

LONG = "la" * 2500


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x07bell\x00", "\\x07bell\\x00"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("\x9b1m", "\\x9b1m"),
        ("half \ud800", "half \\ud800"),
        ("a\u2028b", "a\\u2028b"),
        ("two\nlines", "two\nlines"),
        ("a\\x1b", "a\\x1b"),
        ("björk 椎名林檎 \u05e9\u05dc\u05d5\u05dd \U0001f469\u200d\U0001f3a4", "björk 椎名林檎 שלום 👩‍🎤"),
    ],
)
def test_escape_writes_out_what_would_act_on_a_terminal_and_nothing_else(text, escaped):
    assert show.escape(text) == escaped


def test_format_records_escapes_and_cuts_keys_and_values_of_lists_too():
    rows = [
        {"id": "\x1b[2J", "title": LONG, "names": ["\x1b]0;x", "b"]},
        {"id": LONG, "title": None, "names": []},
    ]
    for shown in (show.format_records(rows, "id", [False, True]), show.format_records([*rows, *rows], "id")):
        assert "\x1b" not in shown and "\\x1b[2J" in shown and "\\x1b]0;x" in shown
        assert "(5,000 characters)" in shown and max(map(len, shown.splitlines())) < 300


def test_format_json_has_null_for_what_json_has_no_number_for():
    """As the interval of a version that hits where another has no hit at all."""
    text = show.format_json({"metrics": [{"this": float("nan")}], "high": float("inf"), "low": 0.5})
    assert json.loads(text, parse_constant=pytest.fail) == {
        "metrics": [{"this": None}],
        "high": None,
        "low": 0.5,
    }


def test_format_json_lines_has_a_value_whole_and_escaped():
    line = show.format_json_lines([{"title": LONG + "\x1b"}])
    assert "\x1b" not in line and json.loads(line)["title"] == LONG + "\x1b"


def test_format_table_cuts_nothing_by_default():
    assert LONG in show.format_table(["why"], [[LONG]])
