"""Small batches of sessions, and how a test publishes them; or any rows, past the gate."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake

from expectations.gate_settings import GateSettings
from expectations.suite import Suite
from expectations.verdict import Result, Verdict
from jobs.publishing import protocol
from jobs.publishing.state import DayState, TableState
from reference.frames import frame
from reference.rows import complete_rows
from reference.worlds import session_play
from schemas import CONTRACTS
from schemas.sessions import SESSIONS

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(4)]

PASSED = Verdict((Result("expect_x", "x", "critical", True, "seen", "wanted"),))


def pass_every_batch(patch: pytest.MonkeyPatch) -> None:
    """Publishing without its audit, until `patch` is undone: for tests of files, logs and days.

    No suite is built, and Great Expectations is not imported: that takes most of the time of a small batch.
    """
    patch.setattr(protocol, "audit_batch", lambda *_: PASSED)
    patch.setattr(GateSettings, "suite_of", lambda _, table: Suite(table, ()))


def sessions(spark, days=range(3), **overrides):
    return frame(spark, session_rows(days, **overrides), SESSIONS)


def session_rows(days=range(3), **overrides):
    """Five rows a day."""
    return [
        opening(f"p{day}-{n}", NOON + timedelta(days=day, minutes=n), **overrides)
        for day in days
        for n in range(5)
    ]


def opening(play_id, played_at, **overrides):
    """The first play of a session."""
    first_play = {
        "play_id": play_id,
        "user_id": play_id[-1],
        "played_at": played_at,
        "session_started_at": played_at,
    }
    return session_play(**{**first_play, **overrides})


def publish(job, rows, days, **parameters):
    return job.publish(job.batch("sessions", days, parameters=parameters), rows)


def lay(warehouse, table, rows):
    """Adds rows in one commit that no gate has seen: in milliseconds, and whatever is wrong with them.

    What a row lacks is null; `bucket` follows from the entity.
    """
    contract = CONTRACTS[table]
    records = complete_rows(rows, contract)
    before = warehouse.state(table)
    # other content than at any version before
    content = before.version + 1 if before else 1
    counts = Counter(row.get("ds") for row in records)
    parts = {day: DayState(count, content, 1, "test") for day, count in counts.items()}
    state = (before or TableState(0)).replace_days(parts, parts)
    log = warehouse.create(contract)
    write_deltalake(
        log,
        pa.Table.from_pylist(records, schema=pa.schema(log.schema())),
        mode="append",
        commit_properties=CommitProperties(
            custom_metadata={"userMetadata": json.dumps({"kind": "publish", "state": state.dumps()})}
        ),
    )
    return log.version()
