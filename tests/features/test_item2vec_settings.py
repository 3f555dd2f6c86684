"""Settings of item2vec: every one out of range is said, once, in one error."""

from __future__ import annotations

import math

import pytest

from features.embeddings.settings import Settings, SettingsError

LIMITS = {
    name: [getattr(rule, end) for end in ("ge", "le") for rule in field.metadata if hasattr(rule, end)]
    for name, field in Settings.model_fields.items()
    if field.metadata
}


def outside(name):
    low, high = LIMITS[name]
    return [low - 1, high + 1, math.nan]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in LIMITS for value in outside(name)])
def test_a_setting_out_of_range_is_named_once(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    text = str(caught.value)
    assert text.count(f"{name} is {value!r}, must be ") == text.count(f"{name} is") == 1
    assert text.count(" must be ") == 1


@pytest.mark.parametrize("name", LIMITS)
def test_the_ends_of_a_range_are_in_it(name):
    lengths = {"min_length": 2, "max_length": 10**6} if "length" in name else {}
    for end in LIMITS[name]:
        assert getattr(Settings(**lengths | {name: end}), name) == end


def test_all_that_is_wrong_is_said_at_once():
    wrong = {name: high + 1 for name, (_, high) in LIMITS.items()} | {"backend": "glove"}
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    text = str(caught.value)
    assert [text.count(f" {name} is ") for name in wrong] == [1] * len(wrong)
    assert "backend is 'glove', must be sgns or gensim" in text
    assert "seed is 2147483648, must be 0 to 2,147,483,647" in text


@pytest.mark.parametrize(("shortest", "longest", "fits"), [(4, 5, True), (5, 5, True), (6, 5, False)])
def test_the_shortest_sequence_fits_the_longest(shortest, longest, fits):
    if fits:
        Settings(min_length=shortest, max_length=longest)
        return
    with pytest.raises(SettingsError, match=r"min_length is 6, must be max_length \(5\) or less"):
        Settings(min_length=shortest, max_length=longest)


def test_threads_do_not_decide_and_all_else_does():
    result_settings = Settings().result_settings()
    assert result_settings.keys() == Settings.model_fields.keys() - {"threads"}
    assert Settings(threads=7).result_settings() == result_settings != Settings(seed=2).result_settings()
