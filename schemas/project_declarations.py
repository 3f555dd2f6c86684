"""Feature groups that a project declares, in Python files outside this package."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from schemas.declarations import FeatureGroup
from schemas.mistakes import Mistakes, collect_mistakes
from schemas.operations import DeclarationError
from schemas.starting_set import STARTING_SET

# Paths of files and folders, as a shell would split them. The command sets it from segue.toml: this package
# must not look for a project, as it is also imported where none is.
VARIABLE = "SEGUE_DECLARATIONS"


def load_feature_groups(paths: Sequence[str], other_tables: Collection[str]) -> tuple[FeatureGroup, ...]:
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
        groups = [group for file in _list_files(paths, mistakes) for group in _load(file, mistakes)]
    groups = _drop_extended(groups)
    for table, count in Counter(table for group in groups for table in group.tables).items():
        if count > 1 or table in other_tables:
            whose = "declared twice" if count > 1 else "one of Segue's own"
            mistakes.lines.append(f"table {table} is {whose}; give one another name")
    if not groups and not mistakes.lines:
        mistakes.lines.append(f"{', '.join(paths)}: no FeatureGroup is bound to a name there")
    if mistakes.lines:
        number = f"{len(mistakes.lines)} mistakes" if len(mistakes.lines) > 1 else "a mistake"
        raise DeclarationError("\n".join([f"{number} in declarations of features", *mistakes.lines]))
    return tuple(groups)


def _list_files(paths: Sequence[str], mistakes: Mistakes) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(file for file in path.glob("*.py") if not file.name.startswith("_"))
        elif path.is_file():
            yield path
        else:
            mistakes.lines.append(f"{path}: there is no such file or folder")


def _load(file: Path, mistakes: Mistakes) -> list[FeatureGroup]:
    module = ModuleType(f"project_declarations_of_{file.stem}")
    module.__file__ = str(file)
    try:
        # from its text, not by an import: a cached file of bytecode can be that of an edit within the same second,
        # and its name could be that of an installed module
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except Exception as error:  # whatever a file of somebody else's raises
        mistakes.lines.append(f"{_find_line(file, error)}: {type(error).__name__}: {error}")
    return _find_groups(module)


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


def _find_line(file: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if frame.filename == str(file)]
    return f"{file}:{frames[-1].lineno}" if frames else str(file)
