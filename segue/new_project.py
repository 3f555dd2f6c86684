"""A new project, laid out from the template in this package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from segue.errors import UsageError

# What files of the template end with: without it, tools would take them for code and settings of this package.
SUFFIX = ".template"


def create_project(folder: str | os.PathLike[str]) -> list[Path]:
    """The files that were made, in a folder that is new or empty.

    Raises:
        UsageError: there is something already.
    """
    target = Path(folder)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(
            f"{folder} is there and not empty; nothing was written", "give the name of a new folder"
        )
    paths = []
    for name, source in _list_template(files("segue") / "project_template"):
        path = target / name.removesuffix(SUFFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        paths.append(path)
    return sorted(paths)


def _list_template(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _list_template(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield prefix + entry.name, entry
