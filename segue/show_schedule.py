"""The schedule of a project, as lines for people or as the entry of a scheduler that runs its flow."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice

from segue import show
from segue.errors import UsageError
from segue.project import Project
from segue.schedule import EXAMPLE, Schedule, parse_schedule

FORMATS = ("text", "cron", "kubernetes")
NEXT_RUNS = 3
# Where an image has the project, if nothing else is said.
IMAGE_FOLDER = "/project"


def find_schedule(project: Project) -> Schedule | None:
    """What the project, or the environment, says; None where neither does."""
    value = project.resolve("schedule").value
    return None if value is None else parse_schedule(value)


def require_schedule(project: Project) -> Schedule:
    """Raises UsageError where there is none."""
    schedule = find_schedule(project)
    if schedule is None:
        raise UsageError("no schedule is set", f'write schedule = "{EXAMPLE}" into segue.toml')
    return schedule


def format_runs(schedule: Schedule, now: datetime) -> str:
    runs = islice(schedule.list_runs(now), NEXT_RUNS)
    rows = [(run, (run - timedelta(days=1)).date()) for run in runs]
    table = show.format_table(("next runs (UTC)", "take in days up to"), rows)
    return f"{schedule.expression}\n\n{table}"


def format_cron(schedule: Schedule, folder: str) -> str:
    """A line of a crontab, for this machine and this installation."""
    command = f"cd {shlex.quote(folder)} && {shlex.quote(_find_command())} run flow"
    # cron ends a command at a percent sign
    line = f"{schedule.expression} {command}".replace("%", r"\%")
    return (
        "# times are UTC: where cron does not know CRON_TZ, the clock of the machine has to be\n"
        f"CRON_TZ=UTC\n{line}"
    )


def format_kubernetes(schedule: Schedule, name: str, image: str, folder: str) -> str:
    """A CronJob. Its pod is not tried again where that would end as it did: wrong usage, and what the gate refused."""
    # JSON of a text is YAML too
    return f"""apiVersion: batch/v1
kind: CronJob
metadata:
  name: {_name_job(name)}
spec:
  schedule: {json.dumps(schedule.expression)}
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 2
      podFailurePolicy:
        rules:
          - action: FailJob
            onExitCodes:
              operator: In
              values: [2, 3]
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: flow
              image: {json.dumps(image)}
              workingDir: {json.dumps(folder)}
              command: [segue, run, flow]"""


def describe_schedule(project: Project, format_: str, image: str | None, folder: str | None) -> str:
    """Raises UsageError: no schedule, no project to run in, or no image for Kubernetes."""
    schedule = require_schedule(project)
    if format_ == "text":
        return format_runs(schedule, datetime.now(UTC))
    if format_ == "cron":
        here = str((project.path and os.path.dirname(str(project.path))) or os.getcwd())
        return format_cron(schedule, folder or here)
    if image is None:
        raise UsageError("a CronJob needs an image with Segue and the project", "give --image IMAGE")
    name = project.resolve("name").value or "segue"
    return format_kubernetes(schedule, f"{name}-flow", image, folder or IMAGE_FOLDER)


def _find_command() -> str:
    # cron's PATH is short, and knows no virtual environment
    beside = os.path.join(os.path.dirname(sys.executable), "segue")
    return beside if os.path.exists(beside) else "segue"


def _name_job(name: str) -> str:
    """Of names of Kubernetes: small letters, digits and '-'; 52 characters, as jobs add a number."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[-52:].strip("-")
