"""What each training measured, against the month before: hits fall slowly, and from night to night within the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from expectations.column_drift import Finding
from expectations.wording import format_number
from jobs.health.root import Root
from jobs.volume import STANDARD_DEVIATION
from segue.storage import Snapshot, find_table

TABLE, RECORD = "track_embeddings", "embedding_versions"
# Of the held-out next tracks, those found among ten; and of each track's ten neighbours, those it had before.
MEASURES = ("next.hr@10", "overlap@10")
# The segment of the metrics that the gate judged.
GATE = "gate"
MONTH = timedelta(days=28)
# Of fewer trainings no deviation can be estimated, and a warm one is not to be compared with a cold one.
FEWEST = 3
# What a measure may lose, and more where trainings vary: hits of a small world move by a tenth by themselves.
MOST_LOSS, MAD_TIMES = 0.3, 4


def judge_trainings(root: Root) -> dict[str, list[Finding]]:
    """By table; none where there are too few trainings."""
    rows = sorted(_read(root), key=lambda row: row["ds"])
    if not rows:
        return {}
    newest = rows[-1]
    month = [row for row in rows[:-1] if row["ds"] > newest["ds"] - MONTH and row["start"] == newest["start"]]
    found = (_judge(name, newest, month) for name in MEASURES)
    return {TABLE: [each for each in found if each]}


def _read(root: Root) -> list[dict[str, Any]]:
    uri = root.warehouse.table_path(RECORD)
    log = find_table(uri)
    if log is None:
        return []
    snapshot = Snapshot(uri, log)
    names = ["ds", "start", "status", "metrics"]
    # of a year of nights, the last month
    files = [file for day in snapshot.days[-31:] for file in snapshot.select(day)]
    rows = snapshot.read(files, names).to_pylist() if files else []
    return [row for row in rows if row["status"] == "accepted"]


def _judge(name: str, newest: Mapping[str, Any], month: Sequence[Mapping[str, Any]]) -> Finding | None:
    value, before = _find(newest, name), [each for row in month if (each := _find(row, name)) is not None]
    if value is None or len(before) < FEWEST:
        return None
    middle = median(before)
    deviation = STANDARD_DEVIATION * median(abs(each - middle) for each in before)
    least = middle - max(MOST_LOSS * middle, MAD_TIMES * deviation)
    if value >= least:
        return None
    what = f"{name} is {format_number(value)}, and was {format_number(middle)} in the month before"
    return Finding("drift", name, middle - value, middle - least, "loss", what)


def _find(row: Mapping[str, Any], name: str) -> float | None:
    values = [each["value"] for each in row["metrics"] if (each["name"], each["segment"]) == (name, GATE)]
    return values[0] if values else None
