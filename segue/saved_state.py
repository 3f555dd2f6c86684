"""The state of a table as its commits have it: whole, or what has changed since a commit that has it whole.

Of what grows with days only the changes are written: days, what days were before, declarations of columns. All else is
said anew in each commit. Keys of changes differ from those of a whole state, so that a program from before there were
changes finds no days at all, rather than few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The version whose entry has the whole state.
BASE = "base"
# Logs keep what was written: these names stay for good.
_MAPPINGS = {"parts": "changed_parts", "declarations": "changed_declarations"}
_LISTS = {"earlier": "changed_earlier"}
_GONE = "gone"

Saved = Mapping[str, Any]


def find_changes(version: int, base: Saved, whole: Saved) -> dict[str, Any] | None:
    """What `apply_changes` makes `whole` of; None where it has less to say than its base.

    Args:
        version: whose entry has `base`.
    """
    grown = {**_MAPPINGS, **_LISTS}
    if any(name in base and name not in whole for name in grown):
        return None
    changes: dict[str, Any] = {BASE: version, **{n: each for n, each in whole.items() if n not in grown}}
    gone = {name: sorted(base[name].keys() - whole[name].keys()) for name in grown if name in base}
    for name in grown.keys() & whole.keys():
        old, new = base.get(name, {}), whole[name]
        changed = {key: new[key] for key in new if key not in old or old[key] != new[key]}
        if name in _LISTS:
            changed = {key: _cut(old.get(key, ()), each) for key, each in changed.items()}
        changes[grown[name]] = changed
    return changes | {_GONE: {name: keys for name, keys in gone.items() if keys}}


def apply_changes(base: Saved, changes: Saved) -> dict[str, Any]:
    """The whole state."""
    grown = {**_MAPPINGS, **_LISTS}
    whole = {n: each for n, each in changes.items() if n not in (BASE, _GONE, *grown.values())}
    for name, changed_name in grown.items():
        if changed_name not in changes:
            continue
        old, gone = base.get(name, {}), set(changes[_GONE].get(name, ()))
        changed = changes[changed_name]
        if name in _LISTS:
            changed = {key: _join(old.get(key, ()), each) for key, each in changed.items()}
        whole[name] = {**{key: each for key, each in old.items() if key not in gone}, **changed}
    return whole


def _cut(old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    """A list as the place from which on it has the old one, what is before that, and what comes after."""
    # such a list gets longer at its end, and is shortened at its beginning
    end = new.index(old[-1]) + 1 if old and old[-1] in new else 0
    count = 0
    while count < end and count < len(old) and new[end - 1 - count] == old[-1 - count]:
        count += 1
    return [len(old) - count, list(new[: end - count]), list(new[end:])]


def _join(old: Sequence[Any], cut: Sequence[Any]) -> list[Any]:
    start, before, after = cut
    return [*before, *old[start:], *after]
