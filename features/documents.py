"""Records that lie deeper in a JSON document than in one array."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from json.decoder import JSONDecodeError
from typing import Any


def split_document(text: str, path: str) -> Iterator[tuple[int, str]]:
    """Each record as JSON, with its number from 0; a text that is no such document is one record, and will be a reject.

    Args:
        path: where the records are, such as `playlists[].tracks[]`: those of each element of each list, with what
            is said beside the lists on the way down. In `payload.listens[]` the list is in an object.
    """
    steps = [step.strip(".") for step in path.split("[]") if step.strip(".")]
    try:
        document = json.loads(text)
    except JSONDecodeError:
        yield 0, text
        return
    if steps and isinstance(document, dict) and _find(document, steps[0], {}) is None:
        # a path that is misspelt would lose the whole file without a word
        yield 0, text
        return
    for number, record in enumerate(_descend(document, steps, {})):
        yield number, json.dumps(record, ensure_ascii=False)


def _descend(value: Any, steps: Sequence[str], above: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not isinstance(value, dict):
        yield {**above, "value": value}
        return
    if not steps:
        # what a record says itself stands, where both say it
        yield {**above, **value}
        return
    found, beside = _find(value, steps[0], above) or ([], {})
    for each in found or []:
        yield from _descend(each, steps[1:], beside)


def _find(value: Mapping[str, Any], name: str, above: Mapping[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """What has that name, or lies in objects by names with points between; and what is said above and beside it."""
    beside = {**above, **{key: each for key, each in value.items() if not isinstance(each, list | dict)}}
    if name in value:
        return value[name], beside
    first, _, rest = name.partition(".")
    inner = value.get(first)
    return _find(inner, rest, beside) if rest and isinstance(inner, dict) else None
