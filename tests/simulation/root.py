"""A root in which the nights of a month happen, by the real steps; their clock stands still within a step."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from simulation.month import Action, Declare, Forget, Ingest, Ledger, Play, Restate, Retract

import jobs.publishing.commits
import jobs.publishing.protocol
import jobs.publishing.rewrite
from jobs import build_features, build_sessions, forget, ingest_plays, release_tables, restate, retract
from jobs.publishing.warehouse import Warehouse
from reference.delta_files import read_newest_rows
from reference.rows import Row, assert_same
from reference.sessions import replace_ids_by_first_play
from reference.sessions import sessions as expected_sessions
from reference.three_features import THREE_FEATURES, declare_three_features
from reference.windows import snap_to_expected
from reference.windows import window_features as expected_features
from schemas import FeatureGroup
from schemas.declarations import LIFETIME, Feature
from segue.idle_rows import list_earlier_files, read_day
from segue.lookup import Key
from segue.storage import Snapshot, find_table

SOURCE = """
name = "test"
header = ["id", "who", "track", "at", "ms"]
[plays]
play_id = "id"
user_id = "who"
track_id = "track"
played_at = "at"
ms_played = "ms"
"""
FEATURES = "user_features"
LONGEST = Feature("longest", "max", "ms_played", "longest play", ("7d",))
# Those of before, and those after they were declared anew.
Groups = tuple[FeatureGroup, FeatureGroup]
GROUPS = THREE_FEATURES, THREE_FEATURES.extend(LONGEST)
# Of windows that are over soon, without the rows of who is idle then.
_FEW = replace(
    THREE_FEATURES.extend(Feature("plays", "count", "play_id", "plays", (LIFETIME,))).select(
        ["plays_count_1d", "plays_count_lifetime", "tracks_distinct_1d", "plays_days_since_first_lifetime"]
    ),
    idle_rows=False,
)
FEW_ROWS = _FEW, _FEW.extend(replace(LONGEST, windows=("1d", LIFETIME)))


class Killed(BaseException):
    """No step may catch it."""


class SimulatedRoot:
    """`ledger` is what the tables are held to."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, allowed_days: int) -> None:
        self.folder, self.root = folder, str(folder / "root")
        folder.mkdir(parents=True, exist_ok=True)
        self.source = folder / "source.toml"
        self.source.write_text(SOURCE)
        self.warehouse = Warehouse(self.root)
        self.ledger = Ledger(allowed_days)
        self.now = datetime(2024, 2, 12, tzinfo=UTC)
        self._patch = patch
        self.declare(GROUPS)
        _stop_clock(patch, self)

    def declare(self, groups: Groups) -> None:
        self.group, self._next_group = groups
        declare_three_features(self._patch, self.group)

    # --- what happens

    def apply(self, action: Action) -> None:
        self.run(action)
        self.ledger.apply(action)

    def run(self, action: Action) -> None:
        if isinstance(action, Ingest):
            self.ingest([action])
        elif isinstance(action, Retract):
            arguments = ["--source", str(self.source), "--input", str(self.write(action.file))]
            assert retract.main(["--root", self.root, *arguments, "--ignore-missing"]) == 0
        elif isinstance(action, Restate):
            assert restate.main(["--root", self.root, "--from", "2000-01-01"]) == 0
        elif isinstance(action, Forget):
            assert forget.main(["--root", self.root, "--user", action.user, "--ignore-missing"]) == 0
        elif isinstance(action, Declare):
            self.group = self._next_group
            declare_three_features(self._patch, self.group)

    def ingest(self, files: Sequence[Ingest], *options: str) -> None:
        paths = [str(self.write(file)) for file in files]
        lateness = ["--allowed-lateness", str(self.ledger.allowed_days)]
        arguments = ["--root", self.root, "--source", str(self.source), *lateness, "--input", *paths]
        assert ingest_plays.main([*arguments, *options]) == 0

    def write(self, file: Ingest) -> Path:
        path = self.folder / f"{file.name}.csv"
        if not path.exists():
            path.write_text("".join(map(_format_line, file.plays)))
        return path

    def build_sessions(self, *arguments: str) -> None:
        assert build_sessions.main(["--root", self.root, *arguments]) == 0

    def build_features(self, *arguments: str) -> None:
        assert build_features.main(["build-user-features", "--root", self.root, *arguments]) == 0

    def release(self) -> None:
        assert release_tables.main(["--root", self.root]) == 0

    def build(self) -> None:
        self.build_sessions()
        self.build_features()

    def kill(self, step: Callable[[], None], table: str, after: bool) -> None:
        """Runs a step that dies at its first commit to the table, which it did or did not make; and runs it again."""
        with pytest.raises(Killed), kill_at_commit(lambda name: name == table, after):
            step()
        step()

    # --- what there is

    def read(self, table: str) -> list[Row]:
        return read_newest_rows(self.root, table)

    def read_features(self) -> list[Row]:
        """Of everybody on every day, whether the row is written or not."""
        written = self.read(FEATURES)
        if self.group.idle_rows or not written:
            return written
        users, rows = sorted({row["user_id"] for row in written}), []
        for day in self.days(FEATURES):
            found = look_up(self.warehouse.table_path(FEATURES), users, day)
            rows += [row for row in found if row["user_id"]]
        assert len(rows) >= len(written)
        return rows

    def days(self, table: str) -> list[date]:
        state = self.warehouse.state(table)
        return state.days if state else []

    def versions(self) -> dict[str, int]:
        return {
            name: state.version
            for name in self.warehouse.list_tables()
            if (state := self.warehouse.state(name))
        }

    def check_plays(self) -> None:
        """Those that are published and those that wait are the ledger's, value by value."""
        for table, plays in (("plays", self.ledger.published), ("late_plays", self.ledger.late)):
            rows = self.read(table)
            actual = {row["play_id"]: _to_play(row) for row in rows}
            assert len(actual) == len(rows), f"{table}: ids are there more than once"
            assert actual == plays, table

    def check(self) -> None:
        """All tables are what plain Python makes of the ledger's plays."""
        self.check_plays()
        plays = [each.row() for each in self.ledger.published.values()]
        sessions = expected_sessions(plays)
        expected, actual = map(replace_ids_by_first_play, (sessions, self.read("sessions")))
        assert_same(expected, actual, ("play_id",), plays, "user_id")
        expected = expected_features(sessions, self.group, sorted(self.ledger.days))
        actual = snap_to_expected(expected, self.read_features(), ("user_id", "ds"))
        assert_same(expected, actual, ("user_id", "ds"), plays, "user_id")

    def check_up_to_date(self) -> None:
        """There is nothing left to build."""
        before = self.versions()
        self.build()
        assert self.versions() == before, "something stays stale"


def look_up(uri: str, users: list[str], day: date) -> list[Row]:
    """What a client finds of a day in the newest version."""
    snapshot = Snapshot.at(uri, find_table(uri).version())
    names = [name for name in snapshot.names(None) if name != "available_at"] + ["bucket"]
    keys = {"user_id": Key.of(pa.chunked_array([users]))}
    rows, places = read_day(snapshot, keys, snapshot.select(day), list_earlier_files(snapshot, day), names)
    found: list[Row] = rows.take(pa.array(places, mask=places < 0)).to_pylist()
    return found


@contextmanager
def kill_at_commit(matches: Callable[[str], bool], after: bool) -> Iterator[None]:
    """Ends the process, as it were, right before or after a commit to a table: leases end, nothing else is done."""
    real = jobs.publishing.commits.swap

    def swap(table: Any, change: Any) -> Any:
        is_victim = matches(table.table_uri.rstrip("/").rsplit("/", 1)[1])
        if is_victim and not after:
            raise Killed
        state = real(table, change)
        if is_victim:
            raise Killed
        return state

    with (
        mock.patch.object(jobs.publishing.protocol, "swap", swap),
        mock.patch.object(jobs.publishing.rewrite, "swap", swap),
    ):
        yield


@contextmanager
def maybe_kill(draw: random.Random, share: float, kills: list[str]) -> Iterator[None]:
    """At a random commit of the block, or not at all; the block swallows it, and is to be run again."""
    countdown, after = draw.randrange(1, 4), draw.random() < 0.5

    def matches(name: str) -> bool:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            kills.append(name)
        return countdown == 0

    try:
        with kill_at_commit(matches if draw.random() < share else lambda name: False, after):
            yield
    except Killed:
        pass


def _stop_clock(patch: pytest.MonkeyPatch, root: SimulatedRoot) -> None:
    class StoppedClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return root.now

    patch.setattr(jobs.publishing.commits, "datetime", StoppedClock)


def _format_line(each: Play) -> str:
    at = each.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"{each.play_id},{each.user},{each.track},{at},{each.ms}\n"


def _to_play(row: Row) -> Play:
    return Play(
        row["play_id"], row["user_id"], row["track_id"], row["played_at"].astimezone(UTC), row["ms_played"]
    )


def wait(root: SimulatedRoot, until: datetime) -> None:
    root.now = max(until, root.now + timedelta(minutes=1))
