"""A new project, laid out from a template in this package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from segue.errors import UsageError, refuse_unwritable

# Folders in this package: the first is laid out where none is named, and has what the others leave to it.
TEMPLATES = ("project", "demo")
# What files of a template end with: without it, tools would take them for code and settings of this package.
SUFFIX = ".template"
# Of every project, whatever it declares.
_SHARED = ("tests/test_project.py",)


def create_project(folder: str | os.PathLike[str], template: str = TEMPLATES[0]) -> list[Path]:
    """The files that were made, in a folder that is new or empty.

    Raises:
        UsageError: there is something already.
    """
    target = Path(folder)
    if not str(folder).strip() or target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(
            f"{folder} is there and not empty; nothing was written", "give the name of a new folder"
        )
    first = dict(_list_template(TEMPLATES[0]))
    sources = {**{name: first[name] for name in _SHARED}, **dict(_list_template(template))}
    with refuse_unwritable(folder):
        for name, source in sources.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read_bytes())
    return sorted(target / name for name in sources)


def _list_template(template: str) -> Iterator[tuple[str, Traversable]]:
    """Its files by the names that they get in a project."""
    for name, source in _list_files(files("segue") / f"{template}_template"):
        if name.endswith(SUFFIX):
            yield name.removesuffix(SUFFIX), source


def _list_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _list_files(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry
