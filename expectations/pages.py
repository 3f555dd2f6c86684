"""What all HTML pages have in common: how templates are read, values written, and statuses named."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from expectations.verdict import name_status
from expectations.wording import format_number

# Of values: names of five thousand letters were seen; whoever needs all of one has the quality results.
LONGEST_TEXT = 600
# A terminal takes no longer line.
LONGEST_COMMAND = 4096
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
NOTHING = "\N{EN DASH}"
# The sign says it without the colour.
LABELS = {
    "held": "✓ held",
    "broken": "✕ broken",
    "warning": "! warning",
    "noted": "· noted",
    "published": "✓ published",
    "refused": "✕ refused",
    "passed": "= passed, not published",
    "failed": "✕ failed",
    "abandoned": "· abandoned",
    "unchanged": "= unchanged",
    "not made": "· not made",
    "blocked": "· blocked",
    "skipped": "· skipped",
}


def make_environment(*packages: str) -> Environment:
    """Templates of these packages, after those that all pages share."""
    # An id, a message or a table's name may hold anything: whatever the template does not mark as HTML is escaped.
    # A name that the template misspells is an error, not an empty cell.
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "expectations")]),
        autoescape=True,
        finalize=format_value,
        trim_blocks=True,
        undefined=StrictUndefined,
        # of templates that are part of the package; a look at their files for each page costs as much as the page
        auto_reload=False,
    )
    environment.globals["labels"] = LABELS
    environment.filters["status"] = name_status
    environment.filters["whole"] = show_whole
    environment.filters["command"] = show_command
    return environment


@cache
def shared_environment() -> Environment:
    """For pages that add nothing to it: templates are compiled once in a process."""
    return make_environment()


def file_stem(kind: str, name: str) -> str:
    """Name of a file for what is called `name`: whoever declares a table calls it as they like.

    Two names have two stems, on a disk that takes capitals for small letters too; none leaves its folder.
    """
    if re.fullmatch(r"[a-z0-9_]{1,100}", name):
        return name
    # with a hyphen, which no plain name has
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def format_value(value: Any) -> Any:
    """As a value of a row should be read; the template passes everything that it prints through this."""
    # what a macro made is markup already; most values are text, so that comes first
    if isinstance(value, str):
        return value if isinstance(value, Markup) else _make_readable(value)
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    # a bool is an int to Python
    return format_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _make_readable(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} … ({len(text):,} characters)"
    return show_unseen(text)


def show_whole(text: str) -> Markup:
    """For SQL, which is copied: where it is cut it runs into an error, or finds something else."""
    return escape(show_unseen(text))


def show_command(text: str) -> Markup | str:
    """Whole as well, or not at all: a name in it may be of any length."""
    too_long = f"(a command of {len(text):,} characters, too long for a page)"
    return show_whole(text) if len(text) <= LONGEST_COMMAND else too_long


def show_unseen(text: str) -> str:
    """With codes for characters that are not seen or turn the direction of what follows."""
    if text.isprintable():
        return text
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
