"""How far the source of an ingest is: what its caller says, or the last midnight whose grace is over."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, time, timedelta

from jobs.publishing.batches import Watermark
from jobs.recognise_source import resolve_source
from jobs.sources import Source, load_source
from segue.project import find_project
from segue.settings import parse_duration
from segue.watermark import floor_day


def add_watermark_argument(parser: argparse.ArgumentParser) -> None:
    text = (
        "the source has delivered all rows of this day, or all before this instant (UTC); by default of the days that "
        "are over, and their grace too"
    )
    parser.add_argument("--complete-through", metavar="DAY|INSTANT", type=parse_watermark, help=text)


def parse_watermark(text: str) -> datetime:
    """A day, which is over then, or an instant; for argparse."""
    try:
        instant = _find_end_of_day(text) or datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        expected = "write 2026-11-20 or 2026-11-20T10:00"
        raise argparse.ArgumentTypeError(f"{text!r} is no day and no instant; {expected}") from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    # it could never be taken back, as watermarks move forward only
    if instant > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text} is not over; nothing can be complete through it yet")
    return instant.astimezone(UTC)


def _find_end_of_day(text: str) -> datetime | None:
    """None where the text is no day: ISO writes one in several ways, 20261120 and 2026-W47-5 among them."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return datetime.combine(day + timedelta(days=1), time())


def find_watermark(source: Source, table: str, given: datetime | None) -> Watermark:
    """What an ingest that begins now says of its source."""
    instant = given or floor_day(datetime.now(UTC) - parse_duration(source.grace))
    # a project without [sources] has one at a time: who loads history and then goes on with a feed waits for neither
    declared = find_project().sources if table == "plays" else []
    names = dict.fromkeys(load_source(resolve_source(each.source, each.input)).name for each in declared)
    return Watermark(source.name, instant, tuple(names) or (source.name,))
