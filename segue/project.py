"""The settings of a project: `segue.toml`, found upward from where a command runs; then the environment, then options.

Paths in the file are relative to its folder, so that a command means the same wherever in the project it is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segue.errors import UsageError
from segue.project_file import (
    ALERT_KINDS,
    ALERTS,
    DRIFT,
    EVENTS,
    FILE_SIZES,
    GATE,
    OWNERS,
    SLO,
    SOURCES,
    SPARK,
    TABLES,
    is_secret,
    read_project_file,
)
from segue.settings import CRON_EXPRESSION, FilePaths, Setting, Text, WholeNumber

FILE = "segue.toml"
# Names a project, by its folder or its file, for what runs elsewhere: a scheduler, a test.
VARIABLE = "SEGUE_PROJECT"
# What `segue pack` makes of a project: a package, which spark-submit takes to driver and executors alike.
PACKAGE = "segue_project"
_NAME = Text("letters, digits, '.', '_' and '-', 64 at most", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("name", "SEGUE_NAME", "what reports and `segue pack` call the project", kind=_NAME),
        Setting("root", "SEGUE_ROOT", "where the tables are", "data"),
        Setting("source", "SEGUE_SOURCE", "TOML file: how the files are laid out"),
        Setting("input", "SEGUE_INPUT", "files, folders or globs with plays", kind=FilePaths()),
        Setting("catalogue", "SEGUE_CATALOGUE", "the same for tracks; if unset, the input", kind=FilePaths()),
        Setting(
            "declarations",
            "SEGUE_DECLARATIONS",
            "Python files, or folders of them, with feature groups; if unset, those that come with Segue",
            kind=FilePaths(),
        ),
        Setting(
            "expectations",
            "SEGUE_EXPECTATIONS",
            "Python files, or folders of them, with what is expected of tables beside what Segue expects",
            kind=FilePaths(),
        ),
        Setting(
            "allowed_lateness",
            "SEGUE_ALLOWED_LATENESS",
            "days before the newest one from which plays are still taken; older ones go to late_plays",
            7,
            WholeNumber("days", 0, 3650),
        ),
        Setting(
            "session_gap_ms",
            "SEGUE_SESSION_GAP_MS",
            "silence that ends a session; another one cuts all days again",
            1_800_000,
            WholeNumber("ms", 0, 86_400_000),
        ),
        Setting(
            "id_days",
            "SEGUE_ID_DAYS",
            "how far apart rows of one id are known to be the same; each day can cost a column of ids a night",
            400,
            WholeNumber("days", 1, 3650),
        ),
        Setting(
            "release_days",
            "SEGUE_RELEASE_DAYS",
            "how long a release can be opened, and dropped files are kept; the newest release has no end",
            35,
            WholeNumber("days", 1, 3650),
        ),
        Setting(
            "refused_days",
            "SEGUE_REFUSED_DAYS",
            "how long the rows of a refused or unfinished batch are kept",
            3,
            WholeNumber("days", 1, 365),
        ),
        Setting(
            "file_megabytes",
            "SEGUE_FILE_MEGABYTES",
            "how large files of tables get: a day of more is several, each a range of buckets",
            128,
            WholeNumber("MiB", 1, 4096),
        ),
        Setting(
            "profile_listeners",
            "SEGUE_PROFILE_LISTENERS",
            "how many must have a value before profiles name it; where no row says whose it is, so many rows",
            20,
            WholeNumber("listeners", 1, 10_000),
        ),
        Setting(
            "profile_megabytes",
            "SEGUE_PROFILE_MEGABYTES",
            "up to which size of its files a batch is profiled by the driver; larger ones by a Spark job",
            32,
            WholeNumber("MiB", 0, 4096),
        ),
        Setting(
            "schedule",
            "SEGUE_SCHEDULE",
            "when the flow runs: what is late, and what `segue schedule` prints for a scheduler",
            kind=CRON_EXPRESSION,
        ),
        Setting("owner", "SEGUE_OWNER", "who answers for tables that [owners] does not name", kind=Text()),
        Setting(
            f"{ALERTS}.webhook",
            "SEGUE_ALERTS_WEBHOOK",
            "where `segue health --notify` posts what is new and what is over, as Slack takes it",
            kind=ALERT_KINDS["webhook"],
        ),
        Setting(
            f"{ALERTS}.prometheus_file",
            "SEGUE_ALERTS_PROMETHEUS_FILE",
            "what is measured, for the textfile collector of Prometheus: a name that ends in .prom",
            kind=ALERT_KINDS["prometheus_file"],
        ),
        Setting(
            f"{ALERTS}.json_file",
            "SEGUE_ALERTS_JSON_FILE",
            "all alerts that there are, as JSON",
            kind=ALERT_KINDS["json_file"],
        ),
    )
}


@dataclass(frozen=True)
class Value:
    """What a setting is, and where that came from; None where nothing gives it."""

    value: Any
    origin: str


@dataclass(frozen=True)
class SourceFiles:
    """One of several sources: how its files are laid out, and where they are."""

    name: str
    source: str
    input: list[str]
    catalogue: list[str] | None = None


@dataclass(frozen=True)
class EventFiles:
    """The files of an event table; without a source, the project's has its section."""

    input: list[str]
    source: str | None = None


@dataclass(frozen=True)
class Project:
    """What a file says; without one, nothing. `tables` are its tables, by name."""

    path: Path | Traversable | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def spark(self) -> Mapping[str, str]:
        return self.tables.get(SPARK, {})

    @property
    def gate(self) -> Mapping[str, Any]:
        """Bounds as in gate.toml; checked where the bounds are known."""
        return self.tables.get(GATE, {})

    @property
    def sources(self) -> list[SourceFiles]:
        """Those of [sources], in their order; none where a variable names the one source."""
        several = {} if self.resolve("source").value else self.tables.get(SOURCES, {})
        return [SourceFiles(name, **values) for name, values in several.items()]

    @property
    def events(self) -> Mapping[str, EventFiles]:
        """Where the files of each event table are, by its name."""
        return {name: EventFiles(**values) for name, values in self.tables.get(EVENTS, {}).items()}

    @property
    def owners(self) -> Mapping[str, str]:
        """Who answers for a table, by its name."""
        return self.tables.get(OWNERS, {})

    @property
    def slo(self) -> Mapping[str, str]:
        """How old the newest day of a table may be, by its name."""
        return self.tables.get(SLO, {})

    @property
    def drift(self) -> Mapping[str, Any]:
        """What tables and columns may differ by from other days, by name, and `reference`; as the file has it."""
        return self.tables.get(DRIFT, {})

    @property
    def file_megabytes(self) -> Mapping[str, int]:
        """How large files of a table get, by its name, where that is not the setting."""
        return self.tables.get(FILE_SIZES, {})

    def resolve(self, name: str, variables: Mapping[str, str] | None = None) -> Value:
        """A setting by strength: environment, file, default. An option is stronger, and argparse's.

        Raises:
            UsageError: the environment has a value that the setting cannot take.
        """
        setting, given = SETTINGS[name], os.environ if variables is None else variables
        if text := given.get(setting.variable):
            value = setting.kind.parse(text)
            if not setting.kind.accepts(value):
                shown = "(hidden)" if is_secret(name) else repr(text)
                raise UsageError(f"${setting.variable} is {shown}; expected {setting.kind.expected}")
            return Value(value, f"${setting.variable}")
        if name in self.values:
            return Value(self.values[name], str(self.path))
        return Value(setting.default, "unset" if setting.default is None else "default")

    def describe(self) -> Iterator[dict[str, Any]]:
        """Every setting, what it is and where that is from. Values of secrets are left out."""
        for name, setting in SETTINGS.items():
            resolved, kind = self.resolve(name), setting.kind
            yield {
                "setting": name,
                "value": _format_value(name, resolved.value),
                "from": resolved.origin,
                "unit": kind.unit,
                "range": kind.range or "any",
                "default": _format_value(name, setting.default),
                "environment": setting.variable,
                "meaning": setting.meaning,
            }
        for table, values in self.tables.items():
            for name, value in _flatten(values):
                about = {"unit": "-", "range": "any", "default": "-", "environment": "-"}
                shown = {
                    "setting": f"{table}.{name}",
                    "value": _format_value(name, value),
                    "from": str(self.path),
                }
                yield {**shown, **about, "meaning": TABLES[table].meaning}


def find_project(start: str | os.PathLike[str] | None = None) -> Project:
    """The project of a folder: the nearest `segue.toml`, upward.

    Without a folder, one that was packed and is on Python's path, else the one that SEGUE_PROJECT names, else that of
    the working folder.

    Raises:
        UsageError: the file is no TOML, has unknown settings, or some of another type; a line for each.
    """
    path = _find_given() if start is None else None
    if path is None:
        folder = Path(start or os.curdir).resolve()
        path = next((each / FILE for each in (folder, *folder.parents) if (each / FILE).is_file()), None)
    if path is None:
        return Project()
    values, tables = read_project_file(path, SETTINGS)
    return Project(path, values, tables)


def _find_given() -> Path | Traversable | None:
    spec = find_spec(PACKAGE)
    # first, as the declarations in it are what runs; a mere folder of that name on the path has no origin
    if spec and spec.origin:
        return resources.files(PACKAGE) / FILE
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    file = Path(named, FILE) if Path(named).is_dir() else Path(named)
    if not file.is_file():
        expected = f"expected a folder with a {FILE}, or such a file"
        raise UsageError(f"${VARIABLE} is {named!r}; {expected}", "unset it to look upward")
    return file.resolve()


def _flatten(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", each) for inner, each in _flatten(value))
        else:
            yield name, value


def _format_value(name: str, value: Any) -> str:
    if value is None:
        return "-"
    text = " ".join(value) if isinstance(value, list) else str(value)
    # options of Java and addresses carry them too
    return "(hidden)" if is_secret(f"{name} {text}") else re.sub(r"://[^/@\s]+@", "://(hidden)@", text)
