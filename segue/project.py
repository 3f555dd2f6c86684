"""The settings of a project: `segue.toml`, found upward from where a command runs; then the environment, then options.

Paths in the file are relative to its folder, so that a command means the same wherever in the project it is run.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segue.errors import UsageError

FILE = "segue.toml"
# Of options for Spark, whose values are for nobody's screen.
_SECRET = re.compile(r"secret|password|token|access\.key|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """One that the file, the environment and an option can give; `several`: a list, in the environment with spaces."""

    name: str
    variable: str
    meaning: str
    default: str | None = None
    several: bool = False


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("root", "SEGUE_ROOT", "where the tables are", "data"),
        Setting("source", "SEGUE_SOURCE", "TOML file: how the files are laid out"),
        Setting("input", "SEGUE_INPUT", "files, folders or globs with plays", several=True),
        Setting("catalogue", "SEGUE_CATALOGUE", "the same for tracks; if unset, the input", several=True),
        Setting(
            "declarations",
            "SEGUE_DECLARATIONS",
            "Python files, or folders of them, with feature groups; if unset, those that come with Segue",
            several=True,
        ),
    )
}
# Tables of the file: settings of Spark for a session on one machine; where the files of each event table are.
SPARK, EVENTS = "spark", "events"


@dataclass(frozen=True)
class Value:
    """What a setting is, and where that came from; None where nothing gives it."""

    value: Any
    origin: str


@dataclass(frozen=True)
class EventFiles:
    """The files of an event table; without a source, the project's has its section."""

    input: tuple[str, ...]
    source: str | None = None


@dataclass(frozen=True)
class Project:
    """What a file says; without one, nothing."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    spark: Mapping[str, str] = field(default_factory=dict)
    # by table
    events: Mapping[str, EventFiles] = field(default_factory=dict)

    def resolve(self, name: str, variables: Mapping[str, str] | None = None) -> Value:
        """A setting by strength: environment, file, default. An option is stronger, and argparse's."""
        setting, given = SETTINGS[name], os.environ if variables is None else variables
        if text := given.get(setting.variable):
            return Value(shlex.split(text) if setting.several else text, f"${setting.variable}")
        if name in self.values:
            return Value(self.values[name], str(self.path))
        return Value(setting.default, "default" if setting.default else "unset")

    def describe(self) -> Iterator[tuple[str, str, str, str]]:
        """Every setting: name, value as text, origin, meaning. Values of secrets are left out."""
        for name, setting in SETTINGS.items():
            resolved = self.resolve(name)
            value = " ".join(resolved.value) if isinstance(resolved.value, list) else resolved.value
            yield name, value or "-", resolved.origin, setting.meaning
        for name, value in self.spark.items():
            shown = "(hidden)" if _SECRET.search(name) else value
            yield f"{SPARK}.{name}", shown, str(self.path), "of Spark's session on one machine"
        for name, files in self.events.items():
            value = " ".join(files.input)
            yield f"{EVENTS}.{name}.input", value, str(self.path), f"files, folders or globs with {name}"
            if files.source:
                yield (
                    f"{EVENTS}.{name}.source",
                    files.source,
                    str(self.path),
                    "TOML file: how they are laid out",
                )


def find_project(start: str | os.PathLike[str] | None = None) -> Project:
    """The project of a folder, the working one by default: the nearest `segue.toml`, upward.

    Raises:
        UsageError: the file is no TOML, has an unknown setting, or one of another type.
    """
    folder = Path(start or os.curdir).resolve()
    path = next((each / FILE for each in (folder, *folder.parents) if (each / FILE).is_file()), None)
    return Project() if path is None else _load(path)


def _load(path: Path) -> Project:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is no TOML: {problem}") from None
    spark, events = content.pop(SPARK, {}), content.pop(EVENTS, {})
    for name in content:
        if name not in SETTINGS:
            raise UsageError.unknown("setting", name, [*SETTINGS, f"[{SPARK}]", f"[{EVENTS}]"], str(path))
    if not isinstance(spark, dict) or not all(
        isinstance(value, str | int | float) for value in spark.values()
    ):
        raise UsageError(
            f"{path}: [{SPARK}] holds settings of Spark, each a text or a number",
            'quote names with dots: "spark.driver.memory" = "8g"',
        )
    values = {name: _to_paths(path, SETTINGS[name], value) for name, value in content.items()}
    options = {name: _to_text(value) for name, value in spark.items()}
    return Project(path, values, options, _read_event_files(path, events))


def _read_event_files(file: Path, tables: Any) -> dict[str, EventFiles]:
    form = (
        f'write [{EVENTS}.searches] with input = ["landing/searches"] and, if it has one of its own, source'
    )
    if not isinstance(tables, dict):
        raise UsageError(f"{file}: {EVENTS} is {tables!r}; expected a section for each event table", form)
    files = {}
    for table, settings in tables.items():
        if not isinstance(settings, dict) or "input" not in settings:
            raise UsageError(f"{file}: [{EVENTS}.{table}] has no input", form)
        for name in settings:
            if name not in ("input", "source"):
                raise UsageError.unknown("setting", name, ["input", "source"], f"{file}, [{EVENTS}.{table}]")
        values = {name: _to_paths(file, SETTINGS[name], value) for name, value in settings.items()}
        source = values.get("source")
        files[table] = EventFiles(tuple(values["input"]), str(source) if source else None)
    return files


def _to_paths(file: Path, setting: Setting, value: Any) -> str | list[str]:
    texts = value if setting.several and isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        expected = "a list of paths" if setting.several else "a path"
        raise UsageError(f"{file}: {setting.name} is {value!r}; expected {expected}")
    # a remote path and an absolute one stay what they are
    paths = [text if "://" in text else os.path.normpath(file.parent / text) for text in texts]
    return paths if setting.several else paths[0]


def _to_text(value: str | int | float) -> str:
    """As Spark writes it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)
