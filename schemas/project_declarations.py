"""Feature groups, event tables and columns of the catalogue that a project declares, in files outside this package."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

from schemas.catalogue_columns import CatalogueColumns, collect_catalogue_columns, extend_catalogue
from schemas.contract import Contract
from schemas.declarations import FeatureGroup
from schemas.event_tables import EventTable, collect_event_tables
from schemas.mistakes import Mistakes, collect_mistakes
from schemas.operations import DeclarationError
from schemas.starting_set import STARTING_SET
from schemas.tracks import TRACKS

# Paths of files and folders, as a shell would split them. The command sets it from segue.toml: this package
# must not look for a project, as it is also imported where none is.
VARIABLE = "SEGUE_DECLARATIONS"

Declared = TypeVar("Declared", FeatureGroup, EventTable, CatalogueColumns)


class Declarations(NamedTuple):
    """What the files of a project declare."""

    groups: tuple[FeatureGroup, ...]
    event_tables: tuple[EventTable, ...] = ()
    # the contract of `tracks`, with columns that the project adds
    catalogue: Contract = TRACKS

    @property
    def tables(self) -> Iterator[tuple[FeatureGroup | EventTable, list[str]]]:
        """What is published because of each declaration, its own name first."""
        for group in self.groups:
            yield group, sorted(group.tables, key=lambda name: name != group.table)
        for table in self.event_tables:
            yield table, [table.name, table.rejects.name]


def load_declarations(paths: Sequence[str], other_tables: Collection[str]) -> Declarations:
    """The groups and event tables that the files at these paths hold under some name, whether declared there or
    imported; of a folder, those of its files in order of their names. Without paths, the starting set.

    Args:
        other_tables: names that no table of features or events may have.

    Raises:
        DeclarationError: once, a line for each mistake, with its file and line.
    """
    if not paths:
        return Declarations(STARTING_SET)
    with collect_mistakes() as mistakes, collect_event_tables(), collect_catalogue_columns():
        modules = [_load(file, mistakes) for file in _list_files(paths, mistakes)]
    groups = _drop_extended(_find_values(modules, FeatureGroup))
    catalogue = reduce(extend_catalogue, _find_values(modules, CatalogueColumns), TRACKS)
    declared = Declarations(tuple(groups), tuple(_list_event_tables(modules, groups)), catalogue)
    mistakes.lines.extend(_find_table_problems(declared, other_tables, mistakes))
    if not groups and not mistakes.lines:
        mistakes.lines.append(f"{', '.join(paths)}: no FeatureGroup is bound to a name there")
    if mistakes.lines:
        number = f"{len(mistakes.lines)} mistakes" if len(mistakes.lines) > 1 else "a mistake"
        raise DeclarationError("\n".join([f"{number} in declarations of features", *mistakes.lines]))
    return declared


def _find_table_problems(
    declared: Declarations, other_tables: Collection[str], mistakes: Mistakes
) -> Iterator[str]:
    """One for each declaration whose tables are those of another."""
    places: dict[str, str] = {}
    for declaration, names in declared.tables:
        # what came with Segue was declared elsewhere
        place = mistakes.find_place(declaration) or "schemas.starting_set"
        if own := [name for name in names if name in other_tables]:
            yield f"{place}: table {own[0]} is one of Segue's own; give it another name"
        elif taken := [name for name in names if name in places]:
            yield f"{place}: table {taken[0]} is declared twice, also in {places[taken[0]]}; give one another name"
        places = {**dict.fromkeys(names, place), **places}


def _list_files(paths: Sequence[str], mistakes: Mistakes) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(file for file in path.glob("*.py") if not file.name.startswith("_"))
        elif path.is_file():
            yield path
        else:
            mistakes.lines.append(f"{path}: there is no such file or folder")


def _load(file: Path, mistakes: Mistakes) -> ModuleType:
    module = ModuleType(f"project_declarations_of_{file.stem}")
    module.__file__ = str(file)
    try:
        # from its text, not by an import: a cached file of bytecode can be that of an edit within the same second,
        # and its name could be that of an installed module
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except Exception as error:  # whatever a file of somebody else's raises
        mistakes.lines.append(f"{_find_line(file, error)}: {type(error).__name__}: {error}")
    return module


def _find_values(modules: Sequence[ModuleType], kind: type[Declared]) -> list[Declared]:
    """What is bound to a name somewhere, each once."""
    values = (value for module in modules for value in vars(module).values())
    return list({id(value): value for value in values if isinstance(value, kind)}.values())


def _list_event_tables(modules: Sequence[ModuleType], groups: Sequence[FeatureGroup]) -> list[EventTable]:
    # those of groups too: a group may come from a module that keeps the table to itself
    sources = [group.source for group in groups if isinstance(group.source, EventTable)]
    tables = [*_find_values(modules, EventTable), *sources]
    return list({id(table): table for table in tables}.values())


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
