"""Arguments that jobs have in common, and what is refused before a job begins."""

from __future__ import annotations

import argparse

import pytest

from jobs.arguments import new_parser, parse_age
from jobs.job import new_run_id


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".hidden", "-x", "a b", "n" * 101, "é", "a\n"])
def test_run_id_that_is_no_part_of_a_file_name_is_refused(name, capsys):
    with pytest.raises(SystemExit) as stop:
        new_parser("A step.", "step").parse_args([f"--run-id={name}"])
    assert stop.value.code == 2
    assert f"{name!r} names no run; use up to 100 letters" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run-1", "2026-11-20T01.00_a", "n" * 100, "run-20261127T190356-845172"])
def test_run_id_that_can_be_a_part_of_a_file_name_is_taken(name):
    assert new_parser("A step.", "step").parse_args(["--run-id", name]).run_id == name


def test_new_run_ids_of_one_second_differ_and_sort_by_time():
    ids = [new_run_id() for _ in range(50)]
    assert ids == sorted(set(ids)), "two runs at once would share their quality results and one report"


@pytest.mark.parametrize("text", ["-3", "-0.1", "nan", "inf", "1e9", "7d", ""])
def test_age_that_is_no_span_of_days_is_refused(text):
    """Of -3 every feature of a training set was null, and of nan the error came after the labels were read."""
    with pytest.raises(argparse.ArgumentTypeError, match="is no age in days; give 0 to 3,652,059"):
        parse_age(text)


@pytest.mark.parametrize(("text", "days"), [("0", 0), ("0.5", 0.5), ("7", 7), ("3652059", 3_652_059)])
def test_age_is_a_number_of_days(text, days):
    assert parse_age(text) == days
