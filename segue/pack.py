"""A project as one archive, which `spark-submit --py-files` takes to driver and executors."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segue.errors import UsageError, refuse_unwritable
from segue.project import FILE, PACKAGE, SETTINGS, Project
from segue.project_file import ALERTS, SPARK, TABLES, read_files

# Folders of code that the jobs load; they look for these names in the package.
CODE = ("declarations", "expectations")
# Of every file: the same project makes the same archive, byte by byte.
_TIME = (1980, 1, 1, 0, 0, 0)


def pack_project(project: Project, out: str | None = None) -> Path:
    """Writes the archive: settings, declarations, expectations and source files, as `segue run` would take them here.

    Settings of Spark are left out: spark-submit has options of its own, and some of them are secrets. So are those of
    alerts, which no step sends.

    Raises:
        UsageError: there is no project, or it names a file that is not there.
    """
    if not isinstance(project.path, Path):
        raise UsageError(f"there is no {FILE} here or above; `segue init FOLDER` lays a project out")
    name = project.resolve("name").value or project.path.parent.name
    target = Path(out or f"{name}.zip")
    # all files are read before the archive is begun: half an archive would be taken for a whole one
    files = {f"{PACKAGE}/__init__.py": b"", **{f"{PACKAGE}/{n}": data for n, data in _list_files(project)}}
    with refuse_unwritable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w") as archive:
            for file, data in files.items():
                archive.writestr(zipfile.ZipInfo(file, _TIME), data)
    return target


def _list_files(project: Project) -> Iterator[tuple[str, bytes]]:
    values = {name: given.value for name in SETTINGS if (given := project.resolve(name)).origin != "default"}
    values = {n: v for n, v in values.items() if v is not None and not n.startswith(f"{ALERTS}.")}
    tables = {name: table for name, table in project.tables.items() if name != SPARK}
    for setting in CODE:
        if setting in values:
            yield from _list_code(setting, values[setting])
            values[setting] = [setting]
    if "source" in values and not _is_known_source(values["source"]):
        yield "sources/source.toml", _read(values["source"], "source")
        values["source"] = "sources/source.toml"
    for table in [name for name in tables if TABLES[name].read is read_files]:
        sections = {name: dict(files) for name, files in tables[table].items()}
        for name, files in sections.items():
            if "source" in files and not _is_known_source(files["source"]):
                inside = f"sources/{table}-{name}.toml"
                yield inside, _read(files["source"], f"[{table}.{name}] source")
                files["source"] = inside
        tables[table] = sections
    for name in ("root", "input", "catalogue"):
        if name in values:
            values[name] = _make_absolute(values[name])
    # last, as the paths of the others in the archive are known by now
    text = "".join(_format_toml({**values, **tables}))
    # here, not on a cluster: what nobody has thought of
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(f"{project.path} cannot be packed, as no TOML came of it: {problem}") from None
    yield FILE, text.encode()


def _list_code(setting: str, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    # a folder each, numbered: files are loaded in the order of the paths, and two may have one name
    for number, path in enumerate(map(Path, paths)):
        if not path.exists():
            raise UsageError(f"{setting} names {path}; there is no such file or folder")
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            yield f"{setting}/{number:02}/{file.name}", file.read_bytes()


def _is_known_source(path: str) -> bool:
    """Whether it is the name of a source that comes with Segue, which is there wherever the archive goes."""
    return not Path(path).suffix and not Path(path).exists()


def _read(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise UsageError(f"{setting} names {path}, which cannot be read: {problem.strerror}") from None


def _make_absolute(paths: str | list[str]) -> str | list[str]:
    """A path of the environment is of the working folder, and a packed one would be of the archive."""
    if isinstance(paths, list):
        return [str(_make_absolute(path)) for path in paths]
    return paths if "://" in paths else str(Path(paths).absolute())


def _format_toml(values: Mapping[str, Any], *above: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _format_toml(value, *above, name)
        else:
            yield f"{'.'.join(map(_format_value, (*above, name)))} = {_format_value(value)}\n"


def _format_value(value: Any) -> str:
    """Of a text, number, boolean or list of texts."""
    if isinstance(value, float):
        # JSON has no infinity
        return repr(value)
    # TOML writes the others as JSON does, but for one sign
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
