"""One page of the site, before it is HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Page:
    """`file` is its path below the top folder; `crumbs` are words and files of the pages above it."""

    file: str
    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    crumbs: Sequence[tuple[str, str]] = ()

    @property
    def up(self) -> str:
        """From its folder to the top one, as the beginning of an address."""
        return "../" * self.file.count("/")
