"""What a `segue.toml` says: settings and tables, checked; every mistake at once, each with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from segue.errors import UsageError
from segue.settings import (
    DURATION,
    Expression,
    FilePath,
    FilePaths,
    Kind,
    Number,
    Setting,
    Switch,
    Text,
    WholeNumber,
    parse_release_day,
)

SPARK, OWNERS, GATE, SOURCES, EVENTS = "spark", "owners", "gate", "sources", "events"
FILE_SIZES, SLO, ALERTS, DRIFT = "file_sizes", "slo", "alerts", "drift"
# What of a source is said in [sources], or at the top where there is one.
FILES: dict[str, Kind] = {"source": FilePath(), "input": FilePaths(), "catalogue": FilePaths()}
# Of [alerts]; each is a setting with a variable too, `alerts.<name>`.
ALERT_KINDS: dict[str, Kind] = {
    "webhook": Text("an address with http:// or https://", r"https?://[^\s/]\S*"),
    "prometheus_file": FilePath(),
    "json_file": FilePath(),
}
# Of [drift]: with which day or release columns are compared; of a table, and of a column of it, what may differ.
REFERENCE, ROWS = "reference", "rows"
_REFERENCE = Expression(
    range="a day or a release",
    unit="day",
    expected='a day or a release, as "2026-11-20" or "2026-11-20.1"',
    read=parse_release_day,
)
COLUMN_LIMITS: dict[str, Kind] = {
    "psi": Number("a number, 0 or more"),
    "nulls": Number("a share, 0 to 1", high=1),
    "distinct": Number("a factor, 1 or more", low=1),
    "enabled": Switch(),
}
# Names of options, and values, that are for nobody's screen.
_SECRET = re.compile(r"secret|password|token|(access|account)\.key|credential|webhook", re.IGNORECASE)

# A line of the file, and what is wrong there.
Problem = tuple[int | None, str]
# Table and key, and what is wrong with it.
TableProblem = tuple[tuple[str, str], str]


@dataclass(frozen=True)
class Table:
    """One of the file: what each of its lines is, what it `holds` for an error, how it is checked and read."""

    meaning: str
    holds: str
    check: Callable[[Mapping[str, Any]], Iterator[TableProblem]]
    # of the table and the file's folder
    read: Callable[[Mapping[str, Any], str], dict[str, Any]] = lambda table, folder: dict(table)


def read_project_file(
    path: Path | Traversable, settings: Mapping[str, Setting]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and the tables of a file, paths resolved.

    Raises:
        UsageError: a line for each mistake.
    """
    try:
        # Windows' editors write a mark in front
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is no TOML: {problem}") from None
    if problems := list(_find_problems(content, settings, text)):
        places = (f"{path}:{line}" if line else str(path) for line, _ in problems)
        lines = [f"{place}: {problem}" for place, (_, problem) in zip(places, problems, strict=True)]
        raise UsageError("\n".join([f"{len(lines)} mistakes in {path}", *lines] if len(lines) > 1 else lines))
    folder = str(path)[: -len(path.name)]
    values = {name: settings[name].kind.anchor(content[name], folder) for name in content if name in settings}
    tables = {name: TABLES[name].read(content[name], folder) for name in TABLES if name in content}
    alerts = tables.pop(ALERTS, {})
    return values | {f"{ALERTS}.{name}": value for name, value in alerts.items()}, tables


def is_secret(text: str) -> bool:
    """Whether a name, or a value, is one that nobody's screen is to show."""
    return _SECRET.search(text) is not None


def _find_problems(
    content: Mapping[str, Any], settings: Mapping[str, Setting], text: str
) -> Iterator[Problem]:
    for name, value in content.items():
        line = find_line(text, "", name)
        if name in settings:
            kind = settings[name].kind
            if not kind.accepts(value):
                yield line, f"{name} is {_show(value)}; expected {kind.expected}"
        elif name not in TABLES:
            known = [*(each for each in settings if "." not in each), *(f"[{table}]" for table in TABLES)]
            yield line, str(UsageError.unknown("setting", name, known))
        elif not isinstance(value, dict):
            yield line, f"[{name}] {TABLES[name].holds}"
        else:
            yield from ((find_line(text, *place), problem) for place, problem in TABLES[name].check(value))
    if SOURCES in content and (both := [name for name in FILES if name in content]):
        yield (
            find_line(text, "", both[0]),
            f"{both[0]} and [{SOURCES}] both say where plays are; keep one of them",
        )


# --- tables


def _check_spark(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    for name, value in table.items():
        if not isinstance(value, str | int | float):
            # not the value, which may be a secret
            yield (SPARK, name), f"[{SPARK}] {name} is no text and no number; [{SPARK}] {TABLES[SPARK].holds}"


def _check_owners(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    for name, value in table.items():
        if not isinstance(value, str) or not value.strip():
            yield (OWNERS, name), f"[{OWNERS}] {name} is {_show(value)}; it {TABLES[OWNERS].holds}"


def _check_file_sizes(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    kind = WholeNumber("MiB", 1, 4096)
    for name, value in table.items():
        if not kind.accepts(value):
            yield (FILE_SIZES, name), f"[{FILE_SIZES}] {name} is {_show(value)}; expected {kind.expected}"


def _check_gate(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    # names and limits are checked where the bounds are known: the client has none
    for name, value in table.items():
        if not isinstance(value, dict):
            yield (GATE, name), f"[{GATE}] {name} is {_show(value)}; it {TABLES[GATE].holds}"


def _check_slo(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    # names are checked where the tables are known
    for name, value in table.items():
        if not DURATION.accepts(value):
            yield (SLO, name), f"[{SLO}] {name} is {_show(value)}; expected {DURATION.expected}"


def _check_alerts(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    yield from _check_section(ALERTS, table, ALERT_KINDS)


def _check_drift(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    # names of tables and columns are checked where these are known
    for name, value in table.items():
        if name == REFERENCE:
            if not _REFERENCE.accepts(value):
                yield (DRIFT, name), f"[{DRIFT}] {name} is {_show(value)}; expected {_REFERENCE.expected}"
        elif not isinstance(value, dict):
            yield (DRIFT, name), f"[{DRIFT}] {name} is {_show(value)}; it {TABLES[DRIFT].holds}"
        else:
            columns = {key: each for key, each in value.items() if isinstance(each, dict)}
            others = {key: each for key, each in value.items() if key not in columns}
            yield from _check_section(f"{DRIFT}.{name}", others, {ROWS: Number("a share, 0 or more")})
            for column, limits in columns.items():
                yield from _check_section(f"{DRIFT}.{name}.{column}", limits, COLUMN_LIMITS)


def _check_sources(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    for name, files in table.items():
        # a part of the name of its run, and so of files
        if isinstance(files, dict) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", name):
            section = f"{SOURCES}.{name}"
            expected = "letters, digits, '.', '_' and '-', 32 at most"
            yield (section, ""), f"[{section}]: name {name!r}; expected {expected}"
    yield from _check_files(SOURCES, ("source", "input"), FILES, table)


def _check_events(table: Mapping[str, Any]) -> Iterator[TableProblem]:
    # whether there is such a table is known where declarations are
    kinds = {name: FILES[name] for name in ("input", "source")}
    yield from _check_files(EVENTS, ("input",), kinds, table)


def _check_files(
    name: str, required: tuple[str, ...], kinds: Mapping[str, Kind], table: Mapping[str, Any]
) -> Iterator[TableProblem]:
    """A section for each source or table, with `required` and perhaps others of `kinds`."""
    if not table:
        yield (name, ""), f"[{name}] is empty; it {TABLES[name].holds}"
    for key, files in table.items():
        section = f"{name}.{key}"
        if not isinstance(files, dict):
            yield (name, key), f"[{name}] {key} is {_show(files)}; it {TABLES[name].holds}"
            continue
        yield from _check_section(section, files, kinds)
        if missing := [each for each in required if each not in files]:
            yield (
                (section, ""),
                f"[{section}] has no {' and no '.join(missing)}; [{name}] {TABLES[name].holds}",
            )


def _check_section(
    section: str, files: Mapping[str, Any], kinds: Mapping[str, Kind]
) -> Iterator[TableProblem]:
    for key, value in files.items():
        if key not in kinds:
            yield (section, key), str(UsageError.unknown(f"[{section}]: setting", key, kinds))
        elif not kinds[key].accepts(value):
            shown = "(hidden)" if is_secret(key) else _show(value)
            yield (section, key), f"[{section}] {key} is {shown}; expected {kinds[key].expected}"


def read_files(table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The sections that `_check_files` has checked, paths resolved."""
    return {
        name: {key: FILES[key].anchor(value, folder) for key, value in files.items()}
        for name, files in table.items()
    }


TABLES = {
    SPARK: Table(
        "of Spark's session on one machine",
        'holds settings of Spark, each a text or a number; quote names with dots: "spark.driver.memory" = "8g"',
        _check_spark,
        lambda table, folder: {name: _to_text(value) for name, value in table.items()},
    ),
    OWNERS: Table(
        "who answers for the table",
        'holds a table and who answers for it on each line: plays = "the radio team"',
        _check_owners,
    ),
    FILE_SIZES: Table(
        "how large files of the table get, MiB",
        "holds a table and how large its files get on each line, in MiB: plays = 256",
        _check_file_sizes,
    ),
    GATE: Table(
        "a bound of the gate that is another one here; `segue gate` lists all",
        "holds sections [gate.<table>.<bound>] with low, high, severity or enabled; `segue gate` lists the bounds",
        _check_gate,
    ),
    SOURCES: Table(
        "one of several sources",
        "holds a section [sources.<name>] for each source, with source, input and, if there is one, catalogue",
        _check_sources,
        read_files,
    ),
    EVENTS: Table(
        "where the files of a table of events are, and how they are laid out if not as the source says",
        "holds a section [events.<table>] for each table of events that is declared, with input and, if it has one of "
        "its own, source",
        _check_events,
        read_files,
    ),
    SLO: Table(
        "how old the newest day of the table may be, as readers have it",
        'holds a table and how old its newest day may be on each line: user_features = "30h"',
        _check_slo,
    ),
    DRIFT: Table(
        "what a table or a column may differ by from other days: see `segue health`",
        "holds reference, and sections [drift.<table>] with rows and [drift.<table>.<column>] with psi, nulls, "
        "distinct or enabled",
        _check_drift,
    ),
    ALERTS: Table(
        "where `segue health --notify` sends alerts",
        "holds webhook, prometheus_file and json_file, or some of them",
        _check_alerts,
        lambda table, folder: {
            name: ALERT_KINDS[name].anchor(value, folder) for name, value in table.items()
        },
    ),
}


def find_line(text: str, table: str, key: str) -> int | None:
    """Where a key stands in its table ("" for the top), or the heading of a table; None for other ways to write it."""
    current, place = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            current = heading[1].replace('"', "").replace("'", "")
            wanted = f"{table}.{key}".strip(".")
            if place is None and (current == wanted or current.startswith(f"{wanted}.")):
                place = number
        elif current == table and re.match(rf"\s*([\"']?){re.escape(key)}\1\s*[.=]", line):
            return number
    return place


def _show(value: Any) -> str:
    """As TOML writes it, nearly."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _to_text(value: str | int | float) -> str:
    """As Spark writes it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)
