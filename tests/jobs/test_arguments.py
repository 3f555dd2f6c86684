"""Arguments that jobs have in common, and what is refused before a job begins."""

from __future__ import annotations

import argparse
from datetime import date

import pytest

from jobs import build_candidates, build_similar_tracks
from jobs.arguments import new_parser, parse_age
from jobs.embeddings.steps import days_ending
from jobs.errors import WrongUsage
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


@pytest.mark.parametrize("step", [build_candidates, build_similar_tracks])
@pytest.mark.parametrize("k", ["0", "-1", "x"])
def test_neighbours_below_one_are_refused_before_anything_is_read(step, k, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        step.main(["--root", str(tmp_path / "nowhere"), f"-k={k}"])
    assert stop.value.code == 2
    assert f"argument -k: {k!r} is no number of 1 or more" in capsys.readouterr().err


def test_days_ending_stops_at_the_first_of_the_calendar():
    assert days_ending(date(1, 1, 3), 3)[-1] == date(1, 1, 1)
    with pytest.raises(WrongUsage, match="--days is 4, and up to 0001-01-03 the calendar has 3"):
        days_ending(date(1, 1, 3), 4)
    with pytest.raises(WrongUsage, match="--days is 0; it must be 1 or more"):
        days_ending(date(2026, 11, 20), 0)


def test_candidates_leave_out_no_hours_that_they_do_not_read(tmp_path):
    arguments = ["--root", str(tmp_path / "nowhere"), "--days", "2", "--recent-hours"]
    expected = "--recent-hours is 48.5, and --days 2 are 48 hours.*give --days 3, or fewer hours"
    with pytest.raises(WrongUsage, match=expected):
        build_candidates.main([*arguments, "48.5"])
    with pytest.raises(Exception, match="nowhere"):
        build_candidates.main([*arguments, "48"])
