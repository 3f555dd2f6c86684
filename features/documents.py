"""Records of JSON that is not a line each: an array, objects over many lines, or a document that holds them deeper."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from json.decoder import JSONDecodeError
from typing import Any

_DECODER = json.JSONDecoder()


def is_document(head: str) -> bool:
    """Whether a file that begins so has to be read as a whole: a record does not end with its line."""
    text = head.lstrip("\ufeff \t\r\n")
    if not text.startswith("{"):
        return text.startswith("[")
    line, *rest = text.split("\n", 1)
    # a line that is cut off at the end of the head is a long record; one that goes on below is none
    return bool(rest) and not _is_json(line) and not line.rstrip().endswith("}")


def split_documents(text: str, path: str = "") -> Iterator[str]:
    """Each record as JSON, in order.

    What is no JSON is a record too, up to the end of its line: nothing is lost, and it will be a reject.

    Args:
        path: where the records are, such as `playlists[].tracks[]`: those of each element of each list, with what
            is said beside them on the way down. Empty: the array's elements, or the objects one after the other.
    """
    if path:
        yield from _split_by_path(text, [step.strip(".") for step in path.split("[]") if step.strip(".")])
    else:
        yield from _split_sequence(text)


def _split_sequence(text: str) -> Iterator[str]:
    place = _skip(text, 0, "\ufeff[ \t\r\n,")
    while place < len(text):
        try:
            _, end = _DECODER.raw_decode(text, place)
        except JSONDecodeError:
            # the file may have been cut off, or one record be broken
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
        if record := text[place:end].strip():
            yield record
        place = _skip(text, end, " \t\r\n,]")


def _split_by_path(text: str, steps: Sequence[str]) -> Iterator[str]:
    try:
        document = json.loads(text.lstrip("\ufeff"))
    except JSONDecodeError:
        yield text
        return
    for record in _descend(document, steps, {}):
        yield json.dumps(record, ensure_ascii=False)


def _descend(value: Any, steps: Sequence[str], above: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not isinstance(value, dict):
        yield {**above, "value": value}
        return
    if not steps:
        # what a record says itself stands, where both say it
        yield {**above, **value}
        return
    beside = {name: each for name, each in value.items() if not isinstance(each, list | dict)}
    for each in value.get(steps[0]) or []:
        yield from _descend(each, steps[1:], {**above, **beside})


def _skip(text: str, place: int, characters: str) -> int:
    while place < len(text) and text[place] in characters:
        place += 1
    return place


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except JSONDecodeError:
        return False
    return True
