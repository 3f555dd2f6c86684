"""An adversary: the steps of a night in any order, of any days, killed at a commit; and what must hold after each."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulation.laid import remove_spark
from simulation.laid_files import profile_table, to_utc
from simulation.month import DAY, FIRST, Declare, Ingest, Play
from simulation.root import FEW_ROWS, Killed, SimulatedRoot, kill_at_commit, wait

import segue
from expectations.verdict import Refused
from jobs import forget, restate, retract
from jobs.verify import examine
from reference.delta_files import rows_of
from reference.published import pass_every_batch
from reference.rows import Row
from reference.staged import cut_finely
from schemas import CONTRACTS
from segue.errors import SegueError

DAYS = [FIRST + n * DAY for n in range(7)]
USERS = ("u1", "u2", "u3")
ALLOWED_DAYS = 2
# Few ids: most are of several plays, on several days.
_plays = st.builds(
    lambda n, user, track, day, minute, ms: Play(
        f"p{n:02}",
        user,
        track,
        datetime.combine(day, datetime.min.time(), UTC) + minute * timedelta(minutes=1),
        ms,
    ),
    st.integers(0, 9),
    st.sampled_from(USERS),
    st.sampled_from(("t1", "t2")),
    st.sampled_from(DAYS),
    # around midnight, where sessions go on, and elsewhere
    st.sampled_from((0, 5, 20, 700, 1420, 1435)),
    st.sampled_from((1_000, 60_000, 1_500_000)),
)
_files = st.lists(_plays, min_size=1, max_size=6, unique_by=lambda each: each.play_id)
# From a few days on, or of all there are.
_ranges = st.one_of(
    st.just((DAYS[0], DAYS[-1])),
    st.tuples(st.sampled_from(DAYS), st.integers(0, 6)).map(lambda each: (each[0], each[0] + each[1] * DAY)),
)
# Where a step dies: at which commit, before or after it. Mostly nowhere.
_kills = st.one_of(st.none(), st.none(), st.tuples(st.integers(1, 4), st.booleans()))
Kill = tuple[int, bool] | None
# Whether days are several files, each of which is written and read by itself: one run of four.
_finely = st.sampled_from((False, False, False, True))
# Whether rows of idle listeners are left out: as often.
_few_rows = st.sampled_from((False, False, False, True))


class NightsMachine(RuleBasedStateMachine):
    """The model is the ledger: plays by two rules. `kills` counts those that hit, over all runs."""

    with_spark: ClassVar[bool] = False
    kills: ClassVar[Counter[str]] = Counter()
    steps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.folder = Path(tempfile.mkdtemp(prefix="nights-"))
        try:
            pass_every_batch(self.patch)
            if not self.with_spark:
                remove_spark(self.patch)
            self.root = SimulatedRoot(self.folder, self.patch, ALLOWED_DAYS)
        except BaseException:
            # a twin of a function that is gone: what is patched by then would fail all tests after this one
            self.patch.undo()
            raise
        self.files = 0
        # of each table, how many log entries it had when it was looked at last
        self.checked: dict[str, int] = {}
        # what the tables of each release held when it was made
        self.released: dict[str, dict[str, list[Row]]] = {}

    @initialize(
        plays=_files, others=_files, newest=st.sampled_from(DAYS[4:]), finely=_finely, few_rows=_few_rows
    )
    def begin(
        self, plays: list[Play], others: list[Play], newest: date, finely: bool, few_rows: bool
    ) -> None:
        """Something is built, and most often something waits: what goes wrong needs both."""
        if finely and not self.with_spark:  # there each file is a task's
            cut_finely(self.patch)
        if few_rows:
            self.root.declare(FEW_ROWS)
        midnight = datetime.combine(newest, datetime.min.time(), UTC)
        last = Play("newest", "u1", "t1", midnight, 1_000)
        self.ingest([*plays, last], None)
        self.root.build()
        self.ingest(others, None)
        # sent once more with a clock that was set right
        self.ingest([replace(each, at=midnight) for each in others[:2]], None)

    # --- steps

    @rule(plays=_files, kill=_kills)
    def ingest(self, plays: list[Play], kill: Kill) -> None:
        self.files += 1
        self._change(Ingest(f"file-{self.files}", tuple(plays)), kill)

    # builds that are killed stay so: the next one has to go on from there

    @precondition(lambda self: self.root.ledger.days)
    @rule(kill=_kills)
    def build_sessions(self, kill: Kill) -> None:
        self._kill(self.root.build_sessions, "build sessions", kill)

    @precondition(lambda self: self.root.ledger.days)
    @rule(kill=_kills)
    def build_features(self, kill: Kill) -> None:
        if self.root.days("sessions"):
            self._kill(self.root.build_features, "build features", kill)

    @precondition(lambda self: self.root.ledger.days)
    @rule(data=st.data(), kill=_kills)
    def build_a_day(self, data: Any, kill: Kill) -> None:
        sessions, features = self.root.build_sessions, self.root.build_features
        choices = [(sessions, day) for day in self.root.days("plays")]
        choices += [(features, day) for day in self.root.days("sessions")]
        step, day = data.draw(st.sampled_from(choices))
        self._kill(lambda: step("--day", str(day)), "build a day", kill)

    @precondition(lambda self: self.root.ledger.days)
    @rule(data=st.data(), kill=_kills)
    def retract(self, data: Any, kill: Kill) -> None:
        ledger = self.root.ledger
        known = sorted({*ledger.published, *ledger.late})
        if not known:
            return
        ids = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))
        if data.draw(st.integers(0, 4)) == 0:
            # an end of what there is, so that days go
            newest = max(ledger.days)
            ids = [each.play_id for each in ledger.published.values() if each.day == newest] or ids
        arguments = ["--root", self.root.root, "--ignore-missing", "--play", *ids]
        self._run_until_done(lambda: retract.main(arguments), "retract", kill)
        ledger.remove(ids)

    @precondition(lambda self: self.root.ledger.days)
    @rule(days=_ranges, kill=_kills)
    def restate(self, days: tuple[date, date], kill: Kill) -> None:
        first, last = days
        arguments = ["--root", self.root.root, "--from", str(first), "--until", str(last)]
        self._run_until_done(lambda: restate.main(arguments), "restate", kill)
        self.root.ledger.restate(first, last)

    @precondition(lambda self: self.root.ledger.days)
    @rule(user=st.sampled_from(USERS), kill=_kills)
    def forget(self, user: str, kill: Kill) -> None:
        arguments = ["--root", self.root.root, "--ignore-missing", "--user", user]
        before = {each.release_id for each in segue.list_releases(self.root.root)}
        self._run_until_done(lambda: forget.main(arguments), "forget", kill)
        self.root.ledger.forget(user)
        self._keep_new_releases(before)
        for name in self.root.versions():
            assert all(row.get("user_id") != user for row in self.root.read(name)), f"{name} has {user} still"

    @precondition(lambda self: "longest" not in {each.what for each in self.root.group.features})
    @rule()
    def declare(self) -> None:
        self.root.apply(Declare())

    @precondition(lambda self: self.root.ledger.published)
    @rule()
    def release(self) -> None:
        before = {each.release_id for each in segue.list_releases(self.root.root)}
        try:
            self.root.release()
        except Refused:
            self.steps["release refused or in part"] += 1
        self._keep_new_releases(before)

    @precondition(lambda self: len(self.released) > 1)
    @rule(data=st.data())
    def roll_back(self, data: Any) -> None:
        newest, *others = [each.release_id for each in segue.list_releases(self.root.root)]
        old = data.draw(st.sampled_from(others))
        try:
            release = segue.rollback(self.root.root, old)
        except SegueError as problem:
            assert "erased a listener" in str(problem)
            assert newest == segue.list_releases(self.root.root)[0].release_id
            return
        self.steps["rollback"] += 1
        self.released[release.release_id] = self.released[old]

    # --- what must hold

    @invariant()
    def hold_plays_by_the_rules(self) -> None:
        self.root.check_plays()

    @invariant()
    def hold_each_key_once_and_what_the_log_says(self) -> None:
        for name in self.root.warehouse.list_tables():
            entries = len(list(Path(self.root.warehouse.table_path(name), "_delta_log").glob("*.json")))
            if self.checked.get(name) != entries:
                self._check_table(name)
                self.checked[name] = entries

    def _check_table(self, name: str) -> None:
        table, state = self.root.warehouse.table(name), self.root.warehouse.state(name)
        if table is None or state is None:
            return  # a lease has made its folder
        if name == "plays":
            assert set(state.days) == self.root.ledger.days
        keys = Counter(tuple(row[column] for column in CONTRACTS[name].key) for row in rows_of(table))
        assert not [key for key, count in keys.items() if count > 1], f"{name}: keys are there twice"
        if self.with_spark:
            return  # a query for each table; `_check_end` has all of them
        actual = {day: (each.rows, each.content_hash) for day, each in profile_table(table, name).items()}
        logged = {day: (each.rows, each.content_hash) for day, each in state.day_states.items() if each.rows}
        assert actual == logged, f"{name}: rows and hashes by day are {actual}, the log says {logged}"

    def teardown(self) -> None:
        try:
            # hypothesis comes here after a step that failed, too
            if sys.exc_info()[0] is None:
                self._check_end()
        finally:
            self.patch.undo()
            shutil.rmtree(self.folder)

    def _check_end(self) -> None:
        """Nothing stays stale, every release is what it was, and nothing is wrong with logs and files."""
        if not self.root.ledger.days:
            return
        wait(self.root, self.root.now)
        self.root.build()
        self.root.check()
        self.root.check_up_to_date()
        if self.root.ledger.published:
            self.release()
        for release_id, tables in self.released.items():
            assert self._read_release(release_id) == tables, f"release {release_id} is another than it was"
        wrong = [each.what for each in examine(self.root.root, hashes=self.with_spark) if each.wrong]
        assert not wrong, wrong

    # --- how

    def _change(self, action: Any, kill: Kill) -> None:
        self._run_until_done(lambda: self.root.run(action), type(action).__name__, kill)
        self.root.ledger.apply(action)

    def _run_until_done(self, step: Any, name: str, kill: Kill) -> None:
        if self._kill(step, name, kill):
            step()

    def _kill(self, step: Any, name: str, kill: Kill) -> bool:
        """Whether the step was killed; it runs to its end where it has fewer commits."""
        wait(self.root, self.root.now)
        self.steps[name] += 1
        count = 0

        def matches(_: str) -> bool:
            nonlocal count
            count += 1
            return kill is not None and count == kill[0]

        try:
            with kill_at_commit(matches, after=bool(kill and kill[1])):
                step()
        except Killed:
            self.kills[name] += 1
            return True
        return False

    def _keep_new_releases(self, before: set[str]) -> None:
        for release in segue.list_releases(self.root.root):
            if release.release_id not in before:
                self.released[release.release_id] = self._read_release(release.release_id)
                self._check_fit(release.release_id)

    def _read_release(self, release_id: str) -> dict[str, list[Row]]:
        store = segue.open(self.root.root, release=release_id)
        return {
            name: sorted(
                (
                    {key: to_utc(value) for key, value in row.items()}
                    for batch in store.scan(name)
                    for row in batch.to_pylist()
                ),
                key=str,
            )
            for name in store.tables
        }

    def _check_fit(self, release_id: str) -> None:
        """No table of a release is of plays that another one has not, up to the day that both have."""
        tables = self.released[release_id]
        plays, sessions = tables.get("plays", []), tables.get("sessions", [])
        if not (plays and sessions):
            return
        last = min(max(row["ds"] for row in rows) for rows in (plays, sessions))
        ids = [{row["play_id"] for row in rows if row["ds"] <= last} for rows in (plays, sessions)]
        assert ids[0] == ids[1], f"release {release_id}: plays and sessions have other ids"
        users = {row["user_id"] for row in tables.get("user_features", ()) if row["ds"] <= last}
        assert users <= {row["user_id"] for row in plays}, f"release {release_id}: features of nobody"
