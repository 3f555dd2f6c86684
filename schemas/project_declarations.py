"""Feature groups, event tables, attributions, rewards, and columns of plays and of the catalogue that a project
declares, in Python files outside this package; and how such files are loaded."""

from __future__ import annotations

import os
import re
import shlex
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from schemas.attributions import Attributions
from schemas.catalogue_columns import CatalogueColumns, collect_catalogue_columns
from schemas.contract import Column, Contract
from schemas.declarations import FeatureGroup
from schemas.discovery_traces import DiscoveryTraces
from schemas.event_tables import EventTable, collect_event_tables
from schemas.impression_rewards import ImpressionRewards
from schemas.mistakes import Mistakes, collect_mistakes
from schemas.play_columns import PlayColumns, collect_play_columns, extend_plays
from schemas.reward_terms import SESSION_GROUP
from schemas.reward_thresholds import RewardThresholds
from schemas.rewards import Rewards
from schemas.sessions import SESSIONS
from schemas.starting_set import STARTING_SET
from schemas.tracks import TRACKS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

# Paths of files and folders, as a shell would split them. The command sets it from segue.toml: this package
# must not look for a project, as it is also imported where none is.
VARIABLE = "SEGUE_DECLARATIONS"
# A project that travels: `segue pack` makes this package, and spark-submit puts it on Python's path everywhere.
PACKAGE = "segue_project"
# Of ours, from which declarations and expectations import.
PACKAGES = ("schemas", "expectations", "features")

Declared = TypeVar(
    "Declared",
    FeatureGroup,
    EventTable,
    Attributions,
    Rewards,
    ImpressionRewards,
    DiscoveryTraces,
    RewardThresholds,
    CatalogueColumns,
    PlayColumns,
)
# Those whose tables follow from their names alone.
Named = Attributions | Rewards | ImpressionRewards | DiscoveryTraces | RewardThresholds


class Declarations(NamedTuple):
    """What the files of a project declare."""

    groups: tuple[FeatureGroup, ...]
    event_tables: tuple[EventTable, ...] = ()
    # the contract of `tracks`, with columns that the project adds
    catalogue: Contract = TRACKS
    # of plays, late plays and sessions, beside their own
    play_columns: tuple[Column, ...] = ()
    attributions: tuple[Attributions, ...] = ()
    rewards: tuple[Rewards, ...] = ()
    impression_rewards: tuple[ImpressionRewards, ...] = ()
    traces: tuple[DiscoveryTraces, ...] = ()
    thresholds: tuple[RewardThresholds, ...] = ()

    @property
    def tables(self) -> Iterator[tuple[FeatureGroup | EventTable | Named, list[str]]]:
        """What is published because of each declaration, its own name first."""
        for group in self.groups:
            yield group, sorted(group.tables, key=lambda name: name != group.table)
        for table in self.event_tables:
            yield table, [table.name, table.rejects.name]
        of_plays: tuple[Named, ...] = (*self.rewards, *self.traces, *self.thresholds)
        others: tuple[Named, ...] = (*self.attributions, *of_plays, *self.impression_rewards)
        for each in others:
            yield each, [each.name]

    def extend(self, contract: Contract) -> Contract:
        """One of our contracts with the columns that the project adds to it."""
        return self.catalogue if contract is TRACKS else extend_plays(contract, self.play_columns)


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


def load_declarations(paths: Sequence[str | Traversable], other_tables: Collection[str]) -> Declarations:
    """The groups and event tables that the files at these paths hold under some name, whether declared there or
    imported; of a folder, those of its files in order of their names. Without paths, the starting set.

    Args:
        other_tables: names that no table of features or events may have.

    Raises:
        DeclarationError: once, a line for each mistake, with its file and line.
    """
    if not paths:
        return Declarations(STARTING_SET)
    with (
        collect_mistakes() as mistakes,
        collect_event_tables(),
        collect_catalogue_columns(),
        collect_play_columns() as of_plays,
    ):
        modules = [execute(file, mistakes) for file in list_files(paths, mistakes)]
    groups = _drop_extended(_find_values(modules, FeatureGroup))
    catalogue = TRACKS.extend(c for each in _find_values(modules, CatalogueColumns) for c in each.columns)
    # those that have no name too: groups have seen them
    of_plays = list({id(each): each for each in (*of_plays, *_find_values(modules, PlayColumns))}.values())
    play_columns = tuple(column for each in of_plays for column in each.columns)
    # those of groups too: a group may come from a module that keeps the table to itself
    sources = [group.source for group in groups]
    of_impressions = _find_values(modules, ImpressionRewards)
    attributions = _find_values(
        modules, Attributions, [*sources, *(each.attributions for each in of_impressions)]
    )
    tables = _find_values(modules, EventTable, [*sources, *(each.impressions for each in attributions)])
    traces, thresholds = _find_values(modules, DiscoveryTraces), _find_values(modules, RewardThresholds)
    of_others = [each.rewards for each in of_impressions]
    of_others += [*(each.rewards for each in traces), *(each.rewards for each in thresholds)]
    rewards = _find_values(modules, Rewards, of_others)
    declared = Declarations(
        tuple(groups),
        tuple(tables),
        catalogue,
        play_columns,
        tuple(attributions),
        tuple(rewards),
        tuple(of_impressions),
        tuple(traces),
        tuple(thresholds),
    )
    mistakes.lines.extend(_find_table_problems(declared, other_tables, mistakes))
    mistakes.lines.extend(_find_ambiguous_columns(of_plays, catalogue, mistakes))
    mistakes.lines.extend(_find_reward_problems(declared, mistakes))
    if not groups and not mistakes.lines:
        mistakes.lines.append(
            f"{', '.join(map(str, paths))}: no FeatureGroup is bound to a name there; write NAME = FeatureGroup(…)"
        )
    mistakes.raise_any("declarations of features")
    return declared


def _find_table_problems(
    declared: Declarations, other_tables: Collection[str], mistakes: Mistakes
) -> Iterator[str]:
    """One for each declaration whose tables are those of another."""
    places: dict[str, str] = {}
    # rewards name it, as they name tables of groups
    other_tables = {*other_tables, SESSION_GROUP.table}
    for declaration, of_declaration in declared.tables:
        # of a group without a daily table, too: outcomes and rewards are of that name
        own_name = [declaration.table] if isinstance(declaration, FeatureGroup) else []
        names = list(dict.fromkeys([*own_name, *of_declaration]))
        # what came with Segue was declared elsewhere
        place = mistakes.find_place(declaration) or "schemas.starting_set"
        if own := [name for name in names if name in other_tables]:
            yield f"{place}: table {own[0]} is one of Segue's own; give it another name"
        elif taken := [name for name in names if name in places]:
            yield f"{place}: table {taken[0]} is declared twice, also in {places[taken[0]]}; give one another name"
        places = {**dict.fromkeys(names, place), **places}


def _find_ambiguous_columns(
    of_plays: Sequence[PlayColumns], catalogue: Contract, mistakes: Mistakes
) -> Iterator[str]:
    """One for each declaration of plays with a column of the catalogue: what features name would change its meaning."""
    for each in of_plays:
        if taken := [column.name for column in each.columns if column.name in catalogue.names]:
            yield (
                f"{mistakes.find_place(each)}: columns of plays: column {', '.join(taken)} is one of tracks; "
                "give it another name"
            )


def _find_reward_problems(declared: Declarations, mistakes: Mistakes) -> Iterator[str]:
    """One for each declaration of rewards that names what no group of the project has."""
    # where something else is wrong, the groups may not be what was meant
    rewards: tuple[Rewards | DiscoveryTraces, ...] = (*declared.rewards, *declared.traces)
    for each in rewards if not mistakes.lines else ():
        problems = "; ".join(each.find_group_problems(declared.groups))
        if problems:
            yield f"{mistakes.find_place(each)}: table {each.name}: {problems}"
    plays = extend_plays(SESSIONS, declared.play_columns)
    for table in declared.thresholds if not mistakes.lines else ():
        for problem in table.find_column_problems(plays, declared.catalogue):
            yield f"{mistakes.find_place(table)}: table {table.name}: {problem}"


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
        mistakes.lines.append(f"{_find_line(file, error)}: {type(error).__name__}: {_describe(error)}")
    return module


def _describe(error: Exception) -> str:
    """Its text; of a name that is imported from a package of ours and not from the module that has it, where it is."""
    found = re.search(r"(?:name|attribute) '(\w+)'", str(error))
    package = next((each for each in PACKAGES if f"'{each}'" in str(error)), None)
    if found is None or package is None or not isinstance(error, ImportError | AttributeError):
        return str(error)
    # the package is half loaded while declarations are, so Python would speak of a circular import
    name = found[1]
    homes = (each for each in sorted(sys.modules) if each.startswith(f"{package}."))
    home = next((h for h in homes if getattr(vars(sys.modules[h]).get(name), "__module__", "") == h), None)
    remedy = f"write: from {home} import {name}" if home else "import it from the module that has it"
    return f"{package} has no {name} to import in declarations; {remedy}"


def _find_values(
    modules: Sequence[ModuleType], kind: type[Declared], others: Iterable[object] = ()
) -> list[Declared]:
    """What is bound to a name somewhere, or is one of the others, each once."""
    values = (*(value for module in modules for value in vars(module).values()), *others)
    return list({id(value): value for value in values if isinstance(value, kind)}.values())


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
