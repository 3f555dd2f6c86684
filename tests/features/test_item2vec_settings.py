"""Settings of item2vec: every one out of range is said, once, in one error."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from features.embeddings.settings import Settings, SettingsError

RANGED = [each for each in fields(Settings) if not each.metadata["choices"]]


def outside(each):
    low, high = each.metadata["low"], each.metadata["high"]
    return [low - 1, high + 1, math.nan]


@pytest.mark.parametrize(("name", "value"), [(each.name, v) for each in RANGED for v in outside(each)])
def test_a_setting_out_of_range_is_named_once(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    told = str(caught.value)
    assert told.count(f"{name} is {value!r}, must be ") == told.count(f"{name} is") == 1
    assert told.count(" must be ") == 1


@pytest.mark.parametrize("each", RANGED, ids=lambda each: each.name)
def test_the_ends_of_a_range_are_in_it(each):
    lengths = {"min_length": 2, "max_length": 10**6} if "length" in each.name else {}
    for end in (each.metadata["low"], each.metadata["high"]):
        assert getattr(Settings(**lengths | {each.name: end}), each.name) == end


def test_all_that_is_wrong_is_said_at_once():
    wrong = {each.name: each.metadata["high"] + 1 for each in RANGED} | {"backend": "glove"}
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    told = str(caught.value)
    assert [told.count(f" {name} is ") for name in wrong] == [1] * len(wrong)
    assert "backend is 'glove', must be sgns or gensim" in told
    assert "seed is 2147483648, must be 0 to 2,147,483,647" in told


@pytest.mark.parametrize(("shortest", "longest", "fits"), [(4, 5, True), (5, 5, True), (6, 5, False)])
def test_the_shortest_sequence_fits_the_longest(shortest, longest, fits):
    if fits:
        Settings(min_length=shortest, max_length=longest)
        return
    with pytest.raises(SettingsError, match=r"min_length is 6, must be max_length \(5\) or less"):
        Settings(min_length=shortest, max_length=longest)


def test_threads_do_not_decide_and_all_else_does():
    result_settings = Settings().result_settings()
    assert set(result_settings) == {each.name for each in fields(Settings)} - {"threads"}
    assert Settings(threads=7).result_settings() == result_settings != Settings(seed=2).result_settings()
