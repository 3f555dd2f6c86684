"""The version that a training starts from, or is aligned to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

from features.embeddings.alignment import ANCHORS_PER_DIMENSION
from features.embeddings.settings import SEARCHED, Settings
from jobs.embeddings.tracks import HELD_OUT_SHARE
from jobs.errors import WrongUsage
from jobs.job import Job
from segue.storage import Snapshot

# Warm starts keep a space comparable from day to day, and its first day's accidents with it; a cold
# training each week starts another.
DAYS_OF_A_SPACE = 7
AUTO = "auto"


@dataclass(frozen=True)
class Parent:
    """An accepted version whose vectors are published."""

    version_id: str
    space_id: str
    day: date
    space_since: date
    parameters: dict[str, Any]  # settings and all else that it was trained with

    @property
    def dimensions(self) -> int:
        return int(self.parameters["dimensions"])

    def settings(self, settings: Settings, given: frozenset[str]) -> Settings:
        """`settings`, with what the parent's search chose where nothing else is given."""
        chosen = {name: self.parameters[name] for name in SEARCHED if name not in given}
        return settings.replace(**chosen)


def find_parent(job: Job, day: date) -> Parent | None:
    """The version that is published of the newest day before `day`."""
    state = job.state("track_embeddings")
    days = [each for each in state.days if each < day] if state else []
    if not days:
        return None
    # a day may have been trained several times, and a version is recorded before its vectors are published: after a
    # kill between the two, the newest record has none
    version = job.snapshot("track_embeddings").read_version_id(days[-1])
    accepted_rows = [row for row in _read_versions(job, "parameters") if row["status"] == "accepted"]
    row = next((row for row in accepted_rows if row["version_id"] == version), None)
    if row is None:
        return None
    since = min(other["ds"] for other in accepted_rows if other["space_id"] == row["space_id"])
    return Parent(row["version_id"], row["space_id"], row["ds"], since, json.loads(row["parameters"]))


def choose_start(requested: str, parent: Parent | None, day: date, settings: Settings) -> str:
    """`cold` or `warm`; where neither is requested, warm while the space is young and can be continued.

    Raises:
        WrongUsage: warm was requested, and is impossible.
    """
    reason = _why_not_warm(parent, settings)
    if requested == "warm" and reason:
        raise warm_is_impossible(reason)
    if requested != AUTO:
        return requested
    young = parent is not None and day - parent.space_since < timedelta(days=DAYS_OF_A_SPACE)
    return "warm" if young and not reason else "cold"


def warm_is_impossible(reason: str) -> WrongUsage:
    return WrongUsage(f"--start warm is impossible: {reason}; start cold, or leave --start out")


def _why_not_warm(parent: Parent | None, settings: Settings) -> str | None:
    if parent is None:
        return "there is no version before that day"
    if parent.dimensions != settings.dimensions:
        return (
            f"{parent.version_id} has {parent.dimensions} dimensions, and {settings.dimensions} are requested"
        )
    if settings.backend == "gensim":
        return "gensim keeps no state to go on from"
    return None


def why_not_continued(shared: int, tracks: int, parent: Parent) -> str | None:
    """Why a space cannot be gone on with; None where it can.

    Args:
        shared: tracks of the vocabulary that the parent learned, of so many `tracks` that are learned now.
    """
    # a warm training begins all others at random: with few that hold it in place, what it makes is another space under
    # the old name. Alignment needs as many. A small world has no more, and is the same while most of it is known
    needed = min(ANCHORS_PER_DIMENSION * parent.dimensions, (tracks + 1) // 2)
    if shared >= needed:
        return None
    return (
        f"of the {tracks:,} tracks to learn {parent.version_id} had learned {shared:,}, and {needed:,} are needed "
        "to go on in its space"
    )


def find_held_out_share(job: Job, day: date) -> float | None:
    """The share of sequences that no training of a published day's space learned the last track of; None where one of
    them did not record it, or its record is gone."""
    version = job.snapshot("track_embeddings").read_version_id(day)
    rows = [row for row in _read_versions(job, "metrics") if row["status"] == "accepted"]
    space = next((row["space_id"] for row in rows if row["version_id"] == version), None)
    # a warm training goes on from vectors that learned what those before it did not hold out
    before = [row["metrics"] for row in rows if row["space_id"] == space and row["ds"] <= day]
    shares = [[each["value"] for each in metrics if each["name"] == HELD_OUT_SHARE] for metrics in before]
    return min(chain.from_iterable(shares)) if shares and all(shares) else None


def _read_versions(job: Job, *more: str) -> list[dict[str, Any]]:
    # not by `job.table`, which would guard it as an input: it grows with each training, and no vector is made of it
    table = job.warehouse.table("embedding_versions")
    if table is None:
        return []
    snapshot = Snapshot.at(job.warehouse.table_path("embedding_versions"), table.version())
    columns = ["version_id", "space_id", "status", "ds", *more]
    rows: list[dict[str, Any]] = snapshot.read(snapshot.select(None), columns).to_pylist()
    return rows
