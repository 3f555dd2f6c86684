"""The settings that a search chose, kept in the scratch: a training that was cut off does not search again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from features.embeddings.settings import Settings
from features.embeddings.tuning import Choice, Trial
from jobs.embeddings.scratch import Scratch

CHOICE = "choice.json"


def save_choice(scratch: Scratch, choice: Choice) -> None:
    scratch.write_json(CHOICE, asdict(choice))


def load_choice(scratch: Scratch) -> Choice | None:
    """None where there was no search, or it was cut off."""
    saved: dict[str, Any] | None = scratch.read_json(CHOICE)
    if saved is None:
        return None
    trials = tuple(Trial(**trial) for trial in saved["trials"])
    return Choice(**saved | {"settings": Settings(**saved["settings"]), "trials": trials})


class SearchProgress:
    """Lines of a search, as notes for the driver to show before those of the epochs."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch, self._lines = scratch, 0

    def __call__(self, line: str) -> None:
        self._scratch.write_json(f"progress/00000-{self._lines:03d}.json", {"line": line})
        self._lines += 1
