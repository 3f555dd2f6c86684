"""The file of further settings: read as Spark reads its own, and never against what results depend on."""

from __future__ import annotations

import pytest

from jobs.errors import JobError
from jobs.session import (
    CORRECTNESS,
    FEW_ROWS,
    FOR_FEW_ROWS,
    JAVA_OPTIONS,
    ONE_MACHINE,
    SETTINGS_VARIABLE,
    local_settings,
    parse_settings_file,
    tune,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "spark.conf"


def test_keys_values_comments_and_empty_lines_are_told_apart(file):
    file.write_text("# why\n\nspark.a   1\n  spark.b\tx y  \n")
    assert parse_settings_file(file) == {"spark.a": "1", "spark.b": "x y"}


def test_the_file_wins_over_ours_and_adds_to_the_options_of_java(file, tmp_path):
    file.write_text(f"spark.sql.shuffle.partitions 7\n{JAVA_OPTIONS} -XX:TieredStopAtLevel=1\n")
    log = tmp_path / "spark.log"
    ours, both = local_settings(log, {}), local_settings(log, {SETTINGS_VARIABLE: str(file)})
    assert ONE_MACHINE["spark.sql.shuffle.partitions"] != "7" == both["spark.sql.shuffle.partitions"]
    assert both[JAVA_OPTIONS] == f"{ours[JAVA_OPTIONS]} -XX:TieredStopAtLevel=1"
    changed = {"spark.sql.shuffle.partitions", JAVA_OPTIONS}
    assert {key for key in both if both[key] != ours[key]} == changed


@pytest.mark.parametrize("key", ["spark.sql.session.timeZone", "spark.sql.ansi.enabled"])
def test_what_results_depend_on_is_not_to_be_set(file, key):
    assert key in CORRECTNESS
    file.write_text(f"{key} other\n")
    with pytest.raises(JobError, match=f"sets {key}.*take the line out"):
        parse_settings_file(file)


def test_a_key_without_a_value_is_refused(file):
    file.write_text("spark.a\n")
    with pytest.raises(JobError, match=r"`spark\.a`, expected a key and its value"):
        parse_settings_file(file)


def test_a_file_that_is_not_there_is_named(file):
    with pytest.raises(JobError, match=f"{SETTINGS_VARIABLE} cannot be read"):
        parse_settings_file(file)


def test_the_session_of_the_suite_has_the_settings_of_its_file(spark):
    assert spark.conf.get("spark.sql.codegen.wholeStage") == "false"


@pytest.mark.product_settings
def test_a_marked_test_has_those_of_a_user(spark):
    assert spark.conf.get("spark.sql.codegen.wholeStage") == "true"
    assert spark.conf.get("spark.sql.adaptive.enabled") == "true"


def test_fit_sets_a_session_to_few_rows_and_back_and_no_other_session(spark, file, monkeypatch):
    file.write_text("spark.sql.shuffle.partitions 7\n")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(file))
    before = {name: spark.conf.get(name, None) for name in FOR_FEW_ROWS}
    step = spark.newSession()
    many = {name: step.conf.get(name, None) for name in FOR_FEW_ROWS}
    tune(step, FEW_ROWS)
    few = {name: step.conf.get(name, None) for name in FOR_FEW_ROWS}
    kept = {"spark.sql.shuffle.partitions": many["spark.sql.shuffle.partitions"]}
    assert few == FOR_FEW_ROWS | kept, "what the user's file says stays as it is"
    tune(step, FEW_ROWS + 1)
    assert {name: step.conf.get(name, None) for name in FOR_FEW_ROWS} == many
    assert {name: spark.conf.get(name, None) for name in FOR_FEW_ROWS} == before
