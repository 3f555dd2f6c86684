"""What a `segue.toml` says: settings and tables, checked; every mistake at once, each with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from segue.errors import UsageError
from segue.settings import Kind, Paths, Setting
from segue.settings import Path as PathKind

# Tables of the file: settings of Spark for a session on one machine; who answers for a table; bounds of the gate;
# sources, where there are several.
SPARK, OWNERS, GATE, SOURCES = "spark", "owners", "gate", "sources"
TABLES = (SPARK, OWNERS, GATE, SOURCES)
# What instead of [sources] says where the one source is.
ONE_SOURCE = ("source", "input", "catalogue")

Problem = tuple[int | None, str]


def read_project_file(
    path: Path | Traversable, settings: Mapping[str, Setting]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and the tables of a file, paths resolved.

    Raises:
        UsageError: a line for each mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} is no TOML: {problem}") from None
    if problems := list(_find_problems(content, settings, text)):
        places = (f"{path}:{line}" if line else str(path) for line, _ in problems)
        lines = [f"{place}: {problem}" for place, (_, problem) in zip(places, problems, strict=True)]
        raise UsageError("\n".join([f"{len(lines)} mistakes in {path}", *lines] if len(lines) > 1 else lines))
    folder = str(path)[: -len(path.name)]
    values = {
        name: settings[name].kind.anchor(value, folder) for name, value in content.items() if name in settings
    }
    return values, {name: _read_table(name, content[name], folder) for name in TABLES if name in content}


def _read_table(name: str, table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    if name == SPARK:
        return {key: _to_text(value) for key, value in table.items()}
    if name == SOURCES:
        kinds: dict[str, Kind] = {"source": PathKind(), "input": Paths(), "catalogue": Paths()}
        return {
            source: {key: kinds[key].anchor(value, folder) for key, value in keys.items()}
            for source, keys in table.items()
        }
    return dict(table)


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
            known = [*settings, *(f"[{table}]" for table in TABLES)]
            yield line, str(UsageError.unknown("setting", name, known))
        elif not isinstance(value, dict):
            yield line, f"[{name}] {_EXPECTED[name]}"
        else:
            yield from ((find_line(text, *place), problem) for place, problem in _CHECKS[name](value))
    if SOURCES in content and (both := [name for name in ONE_SOURCE if name in content]):
        yield (
            find_line(text, "", both[0]),
            f"{both[0]} and [{SOURCES}] both say where plays are; keep one of them",
        )


# --- tables; a problem's place is its table and its key

TableProblems = Iterator[tuple[tuple[str, str], str]]
_EXPECTED = {
    SPARK: 'holds settings of Spark, each a text or a number; quote names with dots: "spark.driver.memory" = "8g"',
    OWNERS: 'holds a table and who answers for it on each line: plays = "the radio team"',
    GATE: "holds sections [gate.<table>.<bound>] with low, high, severity or enabled; `segue gate` lists the bounds",
    SOURCES: "holds a section [sources.<name>] for each source, with source, input and, if there is one, catalogue",
}


def _check_spark(table: Mapping[str, Any]) -> TableProblems:
    for name, value in table.items():
        if not isinstance(value, str | int | float):
            # not the value, which may be a secret
            yield (SPARK, name), f"[{SPARK}] {name} is no text and no number; [{SPARK}] {_EXPECTED[SPARK]}"


def _check_owners(table: Mapping[str, Any]) -> TableProblems:
    for name, value in table.items():
        if not isinstance(value, str) or not value.strip():
            yield (OWNERS, name), f"[{OWNERS}] {name} is {_show(value)}; it {_EXPECTED[OWNERS]}"


def _check_gate(table: Mapping[str, Any]) -> TableProblems:
    # names and limits are checked where the bounds are known: the client has none
    for name, value in table.items():
        if not isinstance(value, dict):
            yield (GATE, name), f"[{GATE}] {name} is {_show(value)}; it {_EXPECTED[GATE]}"


def _check_sources(table: Mapping[str, Any]) -> TableProblems:
    if not table:
        yield (SOURCES, ""), f"[{SOURCES}] is empty; it {_EXPECTED[SOURCES]}"
    for name, keys in table.items():
        section = f"{SOURCES}.{name}"
        if not isinstance(keys, dict):
            yield (SOURCES, name), f"[{SOURCES}] {name} is {_show(keys)}; it {_EXPECTED[SOURCES]}"
            continue
        # a part of the name of its run, and so of files
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", name):
            yield (
                (section, ""),
                f"[{section}]: name {name!r}; expected letters, digits, '.', '_' and '-', 32 at most",
            )
        for key, value in keys.items():
            if key not in ONE_SOURCE:
                yield (section, key), str(UsageError.unknown(f"[{section}]: setting", key, ONE_SOURCE))
            elif not (isinstance(value, str) or key != "source") or not Paths().accepts(value):
                expected = "a path" if key == "source" else Paths().expected
                yield (section, key), f"[{section}] {key} is {_show(value)}; expected {expected}"
        if missing := [key for key in ("source", "input") if key not in keys]:
            yield (section, ""), f"[{section}] has no {' and no '.join(missing)}; it {_EXPECTED[SOURCES]}"


_CHECKS = {SPARK: _check_spark, OWNERS: _check_owners, GATE: _check_gate, SOURCES: _check_sources}


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
