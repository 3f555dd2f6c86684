"""Columns that a project's catalogue has besides those of `tracks`: a label, a mood, the playlists with a track."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from schemas.column_problems import COLUMN_TYPES, find_column_list_problems, find_required_problems
from schemas.contract import Column, Contract
from schemas.mistakes import note_place, refuse
from schemas.tracks import TRACKS

# As text, a list in JSON, or one value.
LIST = "array<string>"


@dataclass(frozen=True)
class CatalogueColumns:
    """More columns of `tracks`, which the section `[tracks]` of a source then may fill; null where it does not."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, "columns of the catalogue", list(self._find_problems()))
        if (catalogue := _CATALOGUE.get()) is not None:
            _CATALOGUE.set(catalogue.extend(self.columns))

    def _find_problems(self) -> Iterator[str]:
        yield from find_column_list_problems(self.columns, (*COLUMN_TYPES, LIST))
        catalogue = _CATALOGUE.get() or TRACKS
        if known := [column.name for column in self.columns if column.name in catalogue.names]:
            yield f"column {', '.join(known)} is one of tracks already; leave it out, or give it another name"
        yield from find_required_problems(self.columns, "tracks")


_CATALOGUE: ContextVar[Contract | None] = ContextVar("catalogue", default=None)


@contextmanager
def collect_catalogue_columns() -> Iterator[None]:
    """While this is open, groups see the columns that were declared before them."""
    token = _CATALOGUE.set(TRACKS)
    try:
        yield
    finally:
        _CATALOGUE.reset(token)


def find_catalogue(otherwise: Contract) -> Contract:
    """`tracks` with what has been declared so far; outside files of declarations, what is given."""
    return _CATALOGUE.get() or otherwise
