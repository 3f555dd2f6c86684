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


def settings(*arguments):
    parser = argparse.ArgumentParser()
    add_flags(parser, Example)
    return from_flags(parser.parse_args(arguments), Example)


def test_without_flags_the_defaults_hold():
    assert settings() == Example()


def test_each_field_has_a_flag():
    given = settings("--half-life", "2", "--first-day", "2026-03-04", "--no-explicit", "--kind", "b")
    assert given == Example(half_life=2.0, first_day=date(2026, 3, 4), explicit=False, kind="b")


def test_the_help_has_description_and_default(capsys):
    with pytest.raises(SystemExit):
        settings("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--half-life HALF_LIFE days (7.0)" in shown
    assert "--kind {a,b} one of two (a)" in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--half-life", "0"], "nothing can be made: half_life is 0.0, must be 0.1 to 100"),
        (
            ["--seeds", "0", "--half-life", "101"],
            "half_life is 101.0, must be 0.1 to 100; seeds is 0, must be 1 or more",
        ),
        (["--half-life", "nan"], "half_life is nan, must be 0.1 to 100"),
    ],
)
def test_what_cannot_be_used_is_wrong_usage_in_one_line(arguments, complaint):
    with pytest.raises(WrongUsage) as error:
        settings(*arguments)
    assert complaint in str(error.value)
    assert len(str(error.value).splitlines()) == 1
