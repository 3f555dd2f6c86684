"""What who looks for faults keeps of each commit of a table: neither the files nor the state that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segue.log import find_commit, parse_commit_metadata
from segue.saved_state import BASE


@dataclass(frozen=True)
class LogEntry:
    # files that come and go
    changes: int
    # of batches that files come from
    folders: frozenset[str]
    engine: str | None
    # what we wrote about the batch; empty for a commit that is not ours
    note: Mapping[str, Any]
    # the version whose entry has the state whole that this one has, or has changes to; None where it has none
    base: int | None

    @classmethod
    def parse(cls, version: int, text: bytes) -> LogEntry | None:
        """None for an entry that was cut off."""
        # not `read_actions`: it takes an empty entry for a commit that does nothing, as readers of Delta do
        try:
            actions = [json.loads(line) for line in text.splitlines()]
        except ValueError:
            return None
        return cls._select(version, actions) if actions else None

    @classmethod
    def _select(cls, version: int, actions: list[dict[str, Any]]) -> LogEntry:
        commit = find_commit(actions)
        note = parse_commit_metadata(commit)
        # kept of thousands of commits, those of years of days would fill the memory
        state = note.pop("state", None)
        base = state.get(BASE, version) if isinstance(state, dict) else None
        return cls(
            changes=sum("add" in action or "remove" in action for action in actions),
            folders=frozenset(each["add"]["path"].split("/")[0] for each in actions if "add" in each),
            engine=commit.get("engineInfo"),
            note=note,
            base=base if isinstance(base, int) else None,
        )
