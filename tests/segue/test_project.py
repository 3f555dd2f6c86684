"""Where a setting comes from, and what is refused in the file of a project."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jobs import flow
from jobs.errors import JobError
from jobs.session import local_settings, read_user_settings
from segue.command import main
from segue.errors import UsageError
from segue.project import SETTINGS, find_project


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project, and a folder in it where commands are run."""
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    return tmp_path


def write(folder, text):
    (folder / "segue.toml").write_text(text, encoding="utf-8")


def test_find_project_takes_the_nearest_file_upward(folder):
    assert find_project().path is None
    write(folder, 'root = "outer"')
    assert find_project().resolve("root").value == str(folder / "outer")
    write(folder / "a", 'root = "inner"')
    assert find_project().resolve("root").value == str(folder / "a" / "inner")


def test_resolve_environment_is_stronger_than_file_and_file_than_default(folder, monkeypatch):
    assert find_project().resolve("root") == find_project().resolve("root", {})
    assert (find_project().resolve("root").value, find_project().resolve("root").origin) == (
        "data",
        "default",
    )
    write(folder, 'root = "tables"')
    assert find_project().resolve("root").origin == str(folder / "segue.toml")
    monkeypatch.setenv("SEGUE_ROOT", "elsewhere")
    assert (find_project().resolve("root").value, find_project().resolve("root").origin) == (
        "elsewhere",
        "$SEGUE_ROOT",
    )


def test_options_of_a_flow_come_from_the_project_and_can_be_given(folder, monkeypatch):
    with pytest.raises(SystemExit):
        flow._parser().parse_args([])
    lines = ('root = "tables"', 'source = "sources/plays.toml"', 'input = ["in/*.csv", "s3a://lake/in"]')
    write(folder, "\n".join((*lines, "allowed_lateness = 3")))
    args = flow._parser().parse_args([])
    assert (args.root, args.source) == (str(folder / "tables"), str(folder / "sources" / "plays.toml"))
    assert args.allowed_lateness == 3
    assert (args.input, args.catalogue) == ([str(folder / "in" / "*.csv"), "s3a://lake/in"], None)
    write(folder, 'root = "~/tables"')
    assert find_project().resolve("root").value == str(Path.home() / "tables")
    write(folder, "\n".join(lines))
    monkeypatch.setenv("SEGUE_INPUT", "'a b' c")
    assert flow._parser().parse_args(["--root", "mine"]).input == ["a b", "c"]
    assert flow._parser().parse_args(["--root", "mine"]).root == "mine"


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/abs", "/abs"),
        ("s3a://lake", "s3a://lake"),
        (".", "{folder}"),
        ("../x", "{folder.parent}/x"),
        ("ä b", "{folder}/ä b"),
    ],
)
def test_paths_in_the_file_are_of_its_folder(folder, path, resolved):
    write(folder, f'root = "{path}"')
    assert find_project().resolve("root").value == resolved.format(folder=folder)


def test_file_that_cannot_be_meant_is_refused_with_a_line_for_each_mistake(folder, capsys):
    """What is said of each: test_mistakes."""
    write(folder, 'rot = "x"\nroot = 3')
    assert main(["config"]) == 2
    head, *lines = capsys.readouterr().err.splitlines()
    assert head == f"segue: 2 mistakes in {folder / 'segue.toml'}" and len(lines) == 2


def test_file_in_another_encoding_is_refused(folder):
    (folder / "segue.toml").write_bytes('root = "ä"'.encode("latin-1"))
    with pytest.raises(UsageError, match="is no TOML"):
        find_project()


def test_spark_settings_of_the_project_reach_the_session_and_the_named_file_is_stronger(folder, monkeypatch):
    write(folder, '[spark]\n"spark.driver.memory" = "8g"\n"spark.ui.enabled" = true\n"spark.x" = 3')
    log = folder / "spark.log"
    settings = local_settings(log, {})
    assert [settings[f"spark.{name}"] for name in ("driver.memory", "ui.enabled", "x")] == ["8g", "true", "3"]
    (folder / "spark.conf").write_text("spark.driver.memory 2g")
    assert read_user_settings({"SEGUE_SPARK_CONF": str(folder / "spark.conf")})["spark.driver.memory"] == "2g"
    write(folder, '[spark]\n"spark.sql.session.timeZone" = "CET"')
    with pytest.raises(
        JobError, match=r"segue\.toml sets spark\.sql\.session\.timeZone, which results depend on"
    ):
        local_settings(log, {})


def test_config_shows_every_setting_with_its_origin_and_no_secret(folder, capsys):
    secrets = '"spark.hadoop.fs.s3a.secret.key" = "hush"\n"spark.y" = "-Dpassword=hush"\n"spark.z" = "s3://me:hush@lake"'
    write(folder, f'root = "t"\n[spark]\n{secrets}\n"spark.x" = 1')
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    assert "hush" not in shown and "(hidden)" in shown
    assert main(["config", "--json"]) == 0
    rows = {row["setting"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {*SETTINGS} < {*rows} and rows["spark.spark.x"]["value"] == "1"
    assert rows["root"]["value"] == str(folder / "t") and rows["root"]["from"] == str(folder / "segue.toml")
    days = {key: rows["release_days"][key] for key in ("value", "unit", "range", "default", "environment")}
    assert list(days.values()) == ["35", "days", "1 to 3650", "35", "SEGUE_RELEASE_DAYS"]
    assert rows["input"]["from"] == "unset" and os.getcwd() == str(folder / "a" / "b")


def test_the_webhook_is_from_file_or_environment_and_shown_by_neither(folder, monkeypatch, capsys):
    write(
        folder, '[slo]\nplays = "30h"\n[alerts]\nwebhook = "https://hooks/hush"\njson_file = "a/alerts.json"'
    )
    project = find_project()
    assert project.resolve("alerts.webhook").value == "https://hooks/hush"
    assert project.resolve("alerts.json_file").value == str(folder / "a" / "alerts.json")
    assert project.resolve("alerts.prometheus_file").value is None and project.slo == {"plays": "30h"}
    monkeypatch.setenv("SEGUE_ALERTS_WEBHOOK", "https://others/hush")
    assert find_project().resolve("alerts.webhook").value == "https://others/hush"
    for argv in (["config"], ["config", "--json"]):
        assert main(argv) == 0
        shown = capsys.readouterr().out
        assert "hush" not in shown
    rows = {row["setting"]: row for row in map(json.loads, shown.splitlines())}
    assert rows["alerts.webhook"]["value"] == "(hidden)"
    assert rows["alerts.webhook"]["from"] == "$SEGUE_ALERTS_WEBHOOK"
    assert (rows["slo.plays"]["value"], rows["alerts.json_file"]["unit"]) == ("30h", "path")


def test_config_prints_where_files_of_events_are(folder, capsys):
    write(folder, '[events.searches]\ninput = "in"\nsource = "log.toml"')
    assert main(["config", "--json"]) == 0
    rows = {row["setting"]: row["value"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    shown = {name: value for name, value in rows.items() if name.startswith("events.")}
    assert shown == {
        "events.searches.input": str(folder / "in"),
        "events.searches.source": str(folder / "log.toml"),
    }
