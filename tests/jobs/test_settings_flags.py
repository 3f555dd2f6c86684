"""Flags are made of a model of settings, and what is wrong with them is one line."""

from __future__ import annotations

import argparse
from datetime import date
from typing import ClassVar, Literal

import pytest
from pydantic import Field

from features.settings import SettingsModel
from jobs.errors import WrongUsage
from jobs.settings_flags import add_flags, from_flags


class Example(SettingsModel):
    refusal: ClassVar[str] = "nothing can be made"

    half_life: float = Field(default=7.0, ge=0.1, le=100.0, description="days")
    seeds: int = Field(default=10, ge=1, description="tracks")
    first_day: date = Field(default=date(2026, 1, 1), description="of plays")
    explicit: bool = Field(default=True, description="whether explicit tracks count")
    kind: Literal["a", "b"] = Field(default="a", description="one of two")


def parse_settings(*arguments):
    parser = argparse.ArgumentParser()
    add_flags(parser, Example)
    return from_flags(parser.parse_args(arguments), Example)


def test_from_flags_without_flags_gives_the_defaults():
    assert parse_settings() == Example()


def test_from_flags_reads_a_flag_for_each_field():
    settings = parse_settings("--half-life", "2", "--first-day", "2026-03-04", "--no-explicit", "--kind", "b")
    assert settings == Example(half_life=2.0, first_day=date(2026, 3, 4), explicit=False, kind="b")


def test_add_flags_puts_description_and_default_into_the_help(capsys):
    with pytest.raises(SystemExit):
        parse_settings("--help")
    help_text = " ".join(capsys.readouterr().out.split())
    assert "--half-life HALF_LIFE days (7.0)" in help_text
    assert "--kind {a,b} one of two (a)" in help_text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--half-life", "0"], "nothing can be made: half_life is 0.0, must be 0.1 to 100"),
        (
            ["--seeds", "0", "--half-life", "101"],
            "half_life is 101.0, must be 0.1 to 100; seeds is 0, must be 1 or more",
        ),
        (["--half-life", "nan"], "half_life is nan, must be 0.1 to 100"),
    ],
)
def test_from_flags_refuses_values_out_of_range_in_one_line(arguments, message):
    with pytest.raises(WrongUsage) as refusal:
        parse_settings(*arguments)
    assert message in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
