"""Feature groups that a project declares, in Python files outside this package; and how such files are loaded."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from schemas.declarations import FeatureGroup
from schemas.mistakes import Mistakes, collect_mistakes
from schemas.starting_set import STARTING_SET

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

# Paths of files and folders, as a shell would split them. The command sets it from segue.toml: this package
# must not look for a project, as it is also imported where none is.
VARIABLE = "SEGUE_DECLARATIONS"
# A project that travels: `segue pack` makes this package, and spark-submit puts it on Python's path everywhere.
PACKAGE = "segue_project"


def find_project_paths(variable: str, folder: str) -> list[Traversable]:
    """What a project that travels has in this folder, else what the environment names."""
    # in this order: the environment is the driver's alone, and executors must load the very same
    spec = find_spec(PACKAGE)
    if spec and spec.origin:
        # imported here: every Python worker imports this module, and few meet a project
        from importlib import resources

        packed = resources.files(PACKAGE) / folder
        return sorted(packed.iterdir(), key=lambda each: each.name) if packed.is_dir() else []
    return [Path(path) for path in shlex.split(os.environ.get(variable, ""))]


def load_feature_groups(
    paths: Sequence[str | Traversable], other_tables: Collection[str]
) -> tuple[FeatureGroup, ...]:
    """The groups that the files at these paths hold under some name, whether declared there or imported; of a
    folder, those of its files in order of their names. Without paths, the starting set.

    Args:
        other_tables: names that no table of features may have.

    Raises:
        DeclarationError: once, a line for each mistake, with its file and line.
    """
    if not paths:
        return STARTING_SET
    with collect_mistakes() as mistakes:
        modules = [execute(file, mistakes) for file in list_files(paths, mistakes)]
    files = {id(group): module.__file__ for module in modules for group in _find_groups(module)}
    groups = _drop_extended([group for module in modules for group in _find_groups(module)])
    for table, count in Counter(table for group in groups for table in group.tables).items():
        if count > 1 or table in other_tables:
            whose = "declared twice" if count > 1 else "one of Segue's own"
            where = dict.fromkeys(str(files[id(group)]) for group in groups if table in group.tables)
            mistakes.lines.append(f"{' and '.join(where)}: table {table} is {whose}; give one another name")
    if not groups and not mistakes.lines:
        mistakes.lines.append(
            f"{', '.join(map(str, paths))}: no FeatureGroup is bound to a name there; write NAME = FeatureGroup(…)"
        )
    mistakes.raise_any("declarations of features")
    return tuple(groups)


def list_files(paths: Sequence[str | Traversable], mistakes: Mistakes) -> Iterator[Traversable]:
    """The Python files at these paths; of a folder, those without a leading underscore, in order of their names."""
    for path in (Path(each) if isinstance(each, str) else each for each in paths):
        if path.is_dir():
            files = (file for file in path.iterdir() if file.name.endswith(".py"))
            yield from sorted((f for f in files if not f.name.startswith("_")), key=lambda file: file.name)
        elif path.is_file():
            yield path
        else:
            mistakes.lines.append(f"{path}: there is no such file or folder")


def execute(file: Traversable, mistakes: Mistakes) -> ModuleType:
    """The module that a file of a project is; what it raises is noted, with its line."""
    module = ModuleType(f"project_declarations_of_{file.name.removesuffix('.py')}")
    module.__file__ = str(file)
    try:
        # from its text, not by an import: a cached file of bytecode can be that of an edit within the same second,
        # and its name could be that of an installed module
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except Exception as error:  # whatever a file of somebody else's raises
        mistakes.lines.append(f"{_find_line(file, error)}: {type(error).__name__}: {error}")
    return module


def _find_groups(module: ModuleType) -> list[FeatureGroup]:
    return list(
        {id(value): value for value in vars(module).values() if isinstance(value, FeatureGroup)}.values()
    )


def _drop_extended(groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    """Each group once, and none of the starting set whose table is declared by another: that one extends it."""
    unique = list({id(group): group for group in groups}.values())
    ours = {id(group) for group in STARTING_SET}
    tables = {group.table for group in unique if id(group) not in ours}
    return [group for group in unique if id(group) not in ours or group.table not in tables]


def _find_line(file: Traversable, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if frame.filename == str(file)]
    return f"{file}:{frames[-1].lineno}" if frames else str(file)
