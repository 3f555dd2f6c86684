"""What is known is not said again: of a source, and at the end of a flow."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from expectations.lineage import NOT_NULL_EXPECTATION
from expectations.verdict import Result
from jobs import flow
from jobs.publishing.commits import Change, swap
from jobs.publishing.records import append_results, are_known_empty
from jobs.publishing.state import TableState
from jobs.publishing.warehouse import Warehouse
from schemas import PLAYS

REASONS = {"skipped": "source app has no skipped", "saved": "source app has no saved"}


def commit(warehouse, *empty):
    """Plays, as they are after a batch without a value in these columns."""
    swap(
        warehouse.create(PLAYS),
        Change("b-0", "publish", TableState(0, empty_columns=frozenset(empty))),
    )


def note(warehouse, *columns, source="app"):
    results = [
        Result(
            NOT_NULL_EXPECTATION,
            name,
            "info",
            False,
            f"source {source} has no {name}: 5 of 5 rows",
            "a value",
        )
        for name in columns
    ]
    about = {"run_id": "r", "attempt_id": "a", "table_name": "plays", "batch_id": "b", "outcome": "passed"}
    append_results(warehouse, about | {"rows": 5}, results)


@pytest.mark.parametrize(
    ("empty", "noted", "known"),
    [
        (None, (), False),
        ((), (), False),
        (("skipped",), (), False),
        (("skipped", "saved", "artist_id"), (), True),
        # another source has values
        ((), ("skipped", "saved"), True),
        ((), ("skipped",), False),
    ],
)
def test_are_known_empty_where_a_batch_before_lacked_all_of_them(tmp_path, empty, noted, known):
    warehouse = Warehouse(str(tmp_path))
    if empty is not None:
        commit(warehouse, *empty)
    if noted:
        note(warehouse, *noted)
    note(warehouse, "skipped", "saved", source="apple")
    assert are_known_empty(warehouse, "plays", REASONS) is known


def test_a_flow_ends_with_warnings_that_are_new_and_counts_the_others(tmp_path, monkeypatch, capsys):
    warehouse = Warehouse(str(tmp_path))
    flow.log_to(warehouse)
    monkeypatch.setattr(flow, "write_report", lambda *_: "the report")
    for run, columns in (("r1", ("skipped",)), ("r2", ("skipped", "saved"))):
        about = {
            "run_id": run,
            "attempt_id": run,
            "table_name": "plays",
            "batch_id": run,
            "outcome": "passed",
        }
        results = [
            Result(NOT_NULL_EXPECTATION, name, "warning", False, "null", "a value") for name in columns
        ]
        append_results(warehouse, about | {"rows": 5, "checked_at": datetime.now(UTC)}, results)
    assert flow._write_report(warehouse, "r2", [])
    assert capsys.readouterr().out.splitlines()[1:4] == [
        "New warnings, which the batches before had not:",
        "  plays saved: expected a value; observed null",
        "1 warning is as in the batches before: in the report",
    ]
