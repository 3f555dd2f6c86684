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
def test_settings_name_a_value_out_of_range_once(name, value):
    with pytest.raises(SettingsError) as refusal:
        Settings(**{name: value})
    text = str(refusal.value)
    assert text.count(f"{name} is {value!r}, must be ") == text.count(f"{name} is") == 1
    assert text.count(" must be ") == 1


@pytest.mark.parametrize("name", LIMITS)
def test_settings_accept_the_ends_of_a_range(name):
    lengths = {"min_length": 2, "max_length": 10**6} if "length" in name else {}
    for end in LIMITS[name]:
        assert getattr(Settings(**lengths | {name: end}), name) == end


def test_settings_report_all_faults_at_once():
    values = {name: high + 1 for name, (_, high) in LIMITS.items()} | {"backend": "glove"}
    with pytest.raises(SettingsError) as refusal:
        Settings(**values)
    text = str(refusal.value)
    assert [text.count(f" {name} is ") for name in values] == [1] * len(values)
    assert "backend is 'glove', must be sgns or gensim" in text
    assert "seed is 2147483648, must be 0 to 2,147,483,647" in text


@pytest.mark.parametrize(("shortest", "longest", "fits"), [(4, 5, True), (5, 5, True), (6, 5, False)])
def test_settings_refuse_a_min_length_above_max_length(shortest, longest, fits):
    if fits:
        Settings(min_length=shortest, max_length=longest)
        return
    with pytest.raises(SettingsError, match=r"min_length is 6, must be max_length \(5\) or less"):
        Settings(min_length=shortest, max_length=longest)


def test_result_settings_leave_out_threads_alone():
    result_settings = Settings().result_settings()
    assert result_settings.keys() == Settings.model_fields.keys() - {"threads"}
    assert Settings(threads=7).result_settings() == result_settings != Settings(seed=2).result_settings()
