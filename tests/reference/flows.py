"""The whole flow on a small made-up world, and what plain Python makes of the same plays."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import segue
from features.synthetic.world import World
from jobs import flow, generate_plays
from jobs.publishing.warehouse import Warehouse
from reference.golden import unpack
from reference.rows import Row, assert_same
from reference.sessions import sessions as expected_sessions
from segue.releases import Release, append_release, list_releases

DAYS = 6
FIRST = World().first_day
LAST = FIRST + timedelta(days=DAYS - 1)
SIZE = ["--users", "60", "--days", str(DAYS), "--tracks", "120", "--artists", "24", "--clusters", "4"]


def assert_sessions_as_defined(world: FlowWorld) -> list[Row]:
    """Compared but for their free ids. Returns what plain Python makes of the released plays."""
    plays = world.released("plays")
    expected = expected_sessions(plays)
    assert expected, "the oracle expects nothing, so this shows nothing"
    free_columns = ("available_at", "session_id", "bucket")
    expected_rows, actual_rows = (
        [{k: v for k, v in row.items() if k not in free_columns} for row in rows]
        for rows in (expected, world.released("sessions"))
    )
    assert_same(expected_rows, actual_rows, ("play_id",), plays, "user_id")
    return expected


class FlowWorld:
    def __init__(self, folder: Path) -> None:
        self.root, self.landing = str(folder / "root"), folder / "landing"

    @classmethod
    def committed(cls, folder: Path) -> FlowWorld:
        """The golden root. Its release is made again, as a release that is not the newest ends after `RELEASE_LIFE`."""
        unpack(folder)
        world = cls(folder)
        release = list_releases(world.root)[0]
        append_release(world.root, release.day, release.tables)
        return world

    def copied_to(self, folder: Path, tables: Sequence[str] = ()) -> FlowWorld:
        """The same tables in a folder of their own, and the same landed files; or only these, not yet released."""
        world = FlowWorld(folder)
        for name in tables:
            shutil.copytree(f"{self.root}/tables/{name}", f"{world.root}/tables/{name}")
        if not tables:
            shutil.copytree(self.root, world.root)
        world.landing = self.landing
        return world

    def day(self, day: date) -> str:
        """The landed files of one day."""
        return f"{self.landing}/plays/delivered={day}"

    def days(self) -> list[str]:
        """The landed files of each day."""
        return [self.day(FIRST + timedelta(days=n)) for n in range(DAYS)]

    def generate(self, *arguments: str) -> None:
        assert generate_plays.main(["--out", str(self.landing), *SIZE, *arguments]) == 0

    def flow(self, *inputs: str, skip: Sequence[str] = ()) -> int:
        source = ["--source", str(self.landing / "source.toml"), "--catalogue", str(self.landing / "tracks")]
        left_out = ["--skip", *skip] if skip else []
        return flow.run_flow(["--root", self.root, *source, "--input", *inputs, *left_out])

    def released(self, table: str) -> list[dict]:
        return [row for batch in segue.open(self.root).scan(table) for row in batch.to_pylist()]

    def versions(self) -> dict[str, int]:
        return {
            step: state.version
            for step in segue.open(self.root).tables
            if (state := Warehouse(self.root).state(step))
        }


@dataclass(frozen=True)
class Run:
    """One flow: its exit code, what it printed, and the versions of the tables after it."""

    code: int
    printed: str
    release: Release
    versions: dict[str, int]


class Night(FlowWorld):
    """A world `before` its last day, and after the flow that `added` it."""

    def __init__(self, world: FlowWorld, folder: Path) -> None:
        super().__init__(folder)
        shutil.copytree(world.root, self.root)
        self.landing = world.landing
        self.before = Run(0, "", list_releases(self.root)[0], self.versions())
        self.added = self.run(self.day(LAST))

    def run(self, *inputs: str) -> Run:
        with redirect_stdout(io.StringIO()) as printed:
            code = self.flow(*inputs)
        return Run(code, printed.getvalue(), list_releases(self.root)[0], self.versions())
