"""Runs of a schedule are the minutes that a plain reading of its fields names; entries of schedulers say the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest

from segue.command import main
from segue.schedule import parse_schedule

START = datetime(2028, 2, 24, 22, 10, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def matches(text, value, low, high):
    """One field, from the definition."""
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        first, last = (low, high) if span == "*" else (int(first), int(last or first))
        if step and span != "*" and not dash:
            last = high
        if value in range(first, last + 1, int(step or 1)):
            return True
    return False


def is_run(expression, at):
    minute, hour, day, month, weekday = expression.split()
    of_month = matches(day, at.day, 1, 31)
    of_week = any(matches(weekday, each, 0, 7) for each in {at.isoweekday(), at.isoweekday() % 7})
    both_named = day != "*" and weekday != "*"
    is_day = (of_month or of_week) if both_named else (of_month and of_week)
    return (
        is_day
        and matches(month, at.month, 1, 12)
        and matches(hour, at.hour, 0, 23)
        and matches(minute, at.minute, 0, 59)
    )


@pytest.mark.parametrize(
    "expression",
    [
        "30 4 * * *",
        "*/7 1-3,22 * * *",
        "5/20 0 * * 1-5",
        # either, and both
        "0 6 29 * 0",
        "0 6 29 2 7",
        "59 23 24-28/2 2,3 *",
        "0 0 * * 6,7",
    ],
)
def test_runs_are_the_minutes_that_the_fields_name(expression):
    schedule = parse_schedule(expression)
    minutes = (START + MINUTE * n for n in range(1, 12 * 24 * 60))
    expected = [at for at in minutes if is_run(expression, at)]
    assert len(expected) > 0
    assert list(islice(schedule.list_runs(START), len(expected))) == expected
    # late are the runs that are over and that a day after the newest was there for
    now = expected[-1]
    for last_day in (START.date() + DAY * n for n in range(1, 12)):
        late = [run for run in expected if run.date() - DAY > last_day]
        assert schedule.count_late_runs(last_day, now) == len(late)
        assert schedule.count_late_runs(last_day, now - MINUTE) == len([run for run in late if run < now])


def test_of_leap_days_there_is_one_in_four_years():
    runs = parse_schedule("0 0 29 2 *").list_runs(START)
    assert [run.date() for run in islice(runs, 2)] == [date(2028, 2, 29), date(2032, 2, 29)]


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "it has 0 fields"),
        ("@daily", "it has 1 fields"),
        ("0 4 * * * *", "it has 6 fields"),
        ("60 4 * * *", "minute '60' is not within 0 and 59"),
        ("0 24 * * *", "hour '24' is not within 0 and 23"),
        ("0 4 0 * *", "day '0' is not within 1 and 31"),
        ("0 4 * 13 *", "month '13' is not within 1 and 12"),
        ("0 4 * * 8", "weekday '8' is not within 0 and 7"),
        ("0 4 * * mon", "weekday 'mon' is none"),
        ("0 5-4 * * *", "hour '5-4' is not within"),
        ("*/0 4 * * *", "minute '.*/0' is not within"),
        ("1, 4 * * *", "minute '1,' is none"),
        ("² 4 * * *", "minute '²' is none"),
        ("0 4 31 2,4 *", "no such day ever comes"),
        ("0 4 */2 * 1", "schedulers differ on day '.*/2' beside weekday '1'"),
    ],
)
def test_what_is_no_schedule_says_why(expression, problem):
    with pytest.raises(ValueError, match=problem):
        parse_schedule(expression)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("SEGUE_SCHEDULE", raising=False)
    folder = tmp_path / "a 100% project"
    folder.mkdir()
    (folder / "segue.toml").write_text('name = "My_Radio"\nschedule = "30  4 * * 1-5"\n')
    monkeypatch.chdir(folder)
    return folder


def test_cron_runs_the_flow_in_the_folder_of_the_project(project, capsys):
    assert main(["schedule", "--format", "cron"]) == 0
    _, zone, line = capsys.readouterr().out.splitlines()
    assert zone == "CRON_TZ=UTC"
    assert line.startswith(f"30 4 * * 1-5 cd '{str(project).replace('%', chr(92) + '%')}' && ")
    assert line.endswith("segue run flow")


def test_kubernetes_gets_a_job_that_is_not_tried_again_where_that_helps_nobody(project, capsys):
    yaml = pytest.importorskip("yaml")
    assert main(["schedule", "--format", "kubernetes", "--image", "radio:1"]) == 0
    job = yaml.safe_load(capsys.readouterr().out)
    assert (job["kind"], job["metadata"]["name"]) == ("CronJob", "my-radio-flow")
    assert (job["spec"]["schedule"], job["spec"]["timeZone"]) == ("30 4 * * 1-5", "Etc/UTC")
    run = job["spec"]["jobTemplate"]["spec"]
    (rule,) = run["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2, 3])
    (container,) = run["template"]["spec"]["containers"]
    assert container == {
        "name": "flow",
        "image": "radio:1",
        "workingDir": "/project",
        "command": ["segue", "run", "flow"],
    }


def test_schedule_says_what_it_lacks(project, capsys, monkeypatch):
    assert main(["schedule"]) == 0
    assert "take in days up to" in capsys.readouterr().out
    assert main(["schedule", "--format", "kubernetes"]) == 2
    assert "give --image IMAGE" in capsys.readouterr().err
    monkeypatch.setenv("SEGUE_SCHEDULE", "daily")
    assert main(["schedule"]) == 2
    assert "$SEGUE_SCHEDULE is 'daily'; expected a cron expression in UTC" in capsys.readouterr().err
    (project / "segue.toml").write_text("")
    monkeypatch.delenv("SEGUE_SCHEDULE")
    assert main(["schedule"]) == 2
    assert "no schedule is set. Hint: write schedule = " in capsys.readouterr().err
