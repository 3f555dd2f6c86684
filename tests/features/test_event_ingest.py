"""Events of a source that has no ids: the same event has the same id whenever it comes, and no other has it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from features.ingest import (
    BROKEN,
    FILE,
    IS_HEADER,
    RAW,
    deduplicate,
    parse_and_validate_events,
    select_rejects,
)
from features.reasons import HEADER_AGAIN
from reference import own_events

SEARCHES, _ = own_events.declare()
COLUMNS = {name: name for name in SEARCHES.fields if name != "search_id"}
HEADER = ("user_id", "searched_at", "query", "results")
ROWS = [
    ("u", "2026-01-06T10:00:00Z", "jazz", "3"),
    # the same instant, by another zone
    ("u", "2026-01-06T11:00:00+01:00", "jazz", "3"),
    ("u", "2026-01-06T10:00:00Z", None, "3"),
    # the same texts, in other places
    ("u", "2026-01-06T10:00:00Z", "3", None),
    ("u", "2026-01-06T10:00:00.000001Z", "jazz", "3"),
    ("v", "2026-01-06T10:00:00Z", "jazz", "3"),
]


@pytest.fixture(scope="module")
def parsed(spark):
    """Of two files that both begin with a header; in one of them it comes again."""
    lines = [(*row, ",".join(map(str, row)), "f.csv", False, row == HEADER) for row in [*ROWS, HEADER]]
    lines += [(*HEADER, ",".join(HEADER), file, False, True) for file in ("f.csv", "g.csv")]
    schema = ", ".join(f"{name} string" for name in (*COLUMNS, RAW, FILE))
    files = spark.createDataFrame(lines, f"{schema}, {BROKEN} boolean, {IS_HEADER} boolean")
    return parse_and_validate_events(files, COLUMNS, SEARCHES, "log", datetime(2026, 2, 1, tzinfo=UTC))


def test_a_header_is_no_row_of_its_file_and_one_that_comes_again_is_a_reject(parsed):
    (reject,) = select_rejects(parsed, SEARCHES.contract).toArrow().to_pylist()
    assert (reject["file"], reject["raw"], reject["reasons"]) == ("f.csv", ",".join(HEADER), [HEADER_AGAIN])


def test_events_without_ids_differ_in_id_where_they_differ_in_anything(parsed):
    events = deduplicate(parsed, SEARCHES.contract).toArrow().to_pylist()
    assert len({event["search_id"] for event in events}) == len(events) == len(ROWS) - 1
    expected = {(user, query, found and int(found)) for user, _, query, found in ROWS}
    assert {(event["user_id"], event["query"], event["results"]) for event in events} == expected
