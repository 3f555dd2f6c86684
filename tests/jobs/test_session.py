"""The file of further settings: read as Spark reads its own, and never against what results depend on."""

from __future__ import annotations

import shlex
import sys
from threading import Event

import pytest

from jobs.errors import JobError
from jobs.session import (
    ADAPTIVE,
    CORRECTNESS,
    FEW_ROWS,
    FOR_FEW_ROWS,
    JAVA_OPTIONS,
    ONE_MACHINE,
    SETTINGS_VARIABLE,
    _start_jvm,
    import_meanwhile,
    local_settings,
    open_step_session,
    parse_settings_file,
    plan_at_once,
    tune,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "spark.conf"


def test_parse_settings_file_reads_keys_values_comments_and_empty_lines(file):
    file.write_text("# why\n\nspark.a   1\n  spark.b\tx y  \n")
    assert parse_settings_file(file) == {"spark.a": "1", "spark.b": "x y"}


def test_local_settings_prefer_the_file_and_add_its_java_options(file, tmp_path):
    file.write_text(f"spark.sql.shuffle.partitions 7\n{JAVA_OPTIONS} -XX:TieredStopAtLevel=1\n")
    log = tmp_path / "spark.log"
    defaults, settings = local_settings(log, {}), local_settings(log, {SETTINGS_VARIABLE: str(file)})
    assert ONE_MACHINE["spark.sql.shuffle.partitions"] != "7" == settings["spark.sql.shuffle.partitions"]
    assert settings[JAVA_OPTIONS] == f"{defaults[JAVA_OPTIONS]} -XX:TieredStopAtLevel=1"
    changed_keys = {"spark.sql.shuffle.partitions", JAVA_OPTIONS}
    assert {key for key in settings if settings[key] != defaults[key]} == changed_keys


@pytest.mark.parametrize("name", ["my music", "it's mine", 'say "hi"', "100% déjà"])
def test_local_settings_keep_a_folder_of_any_name_one_option_of_java(tmp_path, name):
    """A space in it ended the JVM before it had a port; tests/jobs/test_demo.py has one in its root."""
    log = tmp_path / name / "spark.log"
    # Spark takes the text apart as a shell does
    assert f"-Dsegue.log={log}" in shlex.split(local_settings(log, {})[JAVA_OPTIONS])


@pytest.mark.parametrize("key", ["spark.sql.session.timeZone", "spark.sql.ansi.enabled"])
def test_parse_settings_file_refuses_settings_that_results_depend_on(file, key):
    assert key in CORRECTNESS
    file.write_text(f"{key} other\n")
    with pytest.raises(JobError, match=f"sets {key}.*take the line out"):
        parse_settings_file(file)


def test_parse_settings_file_refuses_a_key_without_a_value(file):
    file.write_text("spark.a\n")
    with pytest.raises(JobError, match=r"`spark\.a`, expected a key and its value"):
        parse_settings_file(file)


def test_parse_settings_file_names_a_missing_file(file):
    with pytest.raises(JobError, match=f"{SETTINGS_VARIABLE} cannot be read"):
        parse_settings_file(file)


def test_modules_are_imported_beside_what_is_inside(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    # ends only once the inside goes on while it is imported
    (tmp_path / "slow_module.py").write_text("import sys\nassert sys.inside_goes_on.wait(10)\n")
    monkeypatch.setattr(sys, "inside_goes_on", Event(), raising=False)
    with import_meanwhile(["slow_module"]):
        sys.inside_goes_on.set()
    assert sys.modules.pop("slow_module")


def test_spark_fixture_has_the_settings_of_the_suite(spark):
    assert spark.conf.get("spark.sql.codegen.wholeStage") == "false"


@pytest.mark.product_settings
def test_spark_fixture_of_a_marked_test_has_the_settings_of_a_user(spark):
    for session in (spark, open_step_session("step")):
        assert session.conf.get("spark.sql.codegen.wholeStage") == "true"
        assert session.conf.get("spark.sql.adaptive.enabled") == "true"


@pytest.mark.parametrize(
    "secret",
    [
        "fs.s3a.secret.key",
        "fs.s3a.access.key",
        "fs.azure.account.key.ours",
        "javax.jdo.option.ConnectionPassword",
    ],
)
def test_no_secret_stands_in_the_list_of_processes(monkeypatch, secret):
    """What PySpark is given before there is a JVM, it starts one with."""
    started = []
    monkeypatch.setattr(
        "pyspark.SparkContext._ensure_initialized", lambda conf: started.append(conf.getAll())
    )
    _start_jvm({"spark.driver.memory": "4g", f"spark.hadoop.{secret}": "hush"})
    assert [dict(each) for each in started] == [{"spark.driver.memory": "4g"}], (
        "the JVM gets others than these"
    )


def test_tune_sets_one_session_to_few_rows_and_back(spark, file, monkeypatch):
    file.write_text("spark.sql.shuffle.partitions 7\n")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(file))
    before = {name: spark.conf.get(name, None) for name in FOR_FEW_ROWS}
    step = spark.newSession()
    many_rows_settings = {name: step.conf.get(name, None) for name in FOR_FEW_ROWS}
    tune(step, FEW_ROWS)
    few_rows_settings = {name: step.conf.get(name, None) for name in FOR_FEW_ROWS}
    user_settings = {"spark.sql.shuffle.partitions": many_rows_settings["spark.sql.shuffle.partitions"]}
    assert few_rows_settings == FOR_FEW_ROWS | user_settings, "what the user's file says stays as it is"
    tune(step, FEW_ROWS + 1)
    assert {name: step.conf.get(name, None) for name in FOR_FEW_ROWS} == many_rows_settings
    assert {name: spark.conf.get(name, None) for name in FOR_FEW_ROWS} == before


@pytest.mark.parametrize(
    "says", ["", "spark.sql.adaptive.enabled true\n"], ids=["nothing", "the user's file"]
)
def test_plan_at_once_is_for_its_block_and_not_against_the_users_file(spark, file, monkeypatch, says):
    file.write_text(f"spark.sql.shuffle.partitions 7\n{says}")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(file))
    step = spark.newSession()
    step.conf.set(ADAPTIVE, "true")
    with pytest.raises(ZeroDivisionError), plan_at_once(step):
        inside = step.conf.get(ADAPTIVE)
        raise ZeroDivisionError
    assert (inside, step.conf.get(ADAPTIVE)) == ("true" if says else "false", "true")


def test_columns_are_made_in_one_call_each(spark, monkeypatch):
    from pyspark.sql import functions as F

    F.coalesce(F.col("a") + F.lit(1), F.expr("b"))  # whose methods are known from here on
    client = spark._sc._gateway._gateway_client
    commands, real = [], client.send_command
    monkeypatch.setattr(
        client,
        "send_command",
        lambda command, *how, **by: commands.append(command) or real(command, *how, **by),
    )
    columns = F.col("a"), F.lit(1), F.expr("b")
    made = [
        command for command in commands if not command.startswith("m\nd\n")
    ]  # but for objects that are let go
    assert len(made) == len(columns), made
    commands.clear()
    assert str(F.coalesce(*columns)) == "Column<'coalesce(a, 1, b)'>"
    assert not [command for command in commands if command.startswith("r\n")], (
        "Java was asked for a class or a method"
    )
