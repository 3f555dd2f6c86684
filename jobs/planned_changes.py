"""What the next flow would do to each table, from logs alone: nothing is written, and no session is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from features.sessions import RULES
from jobs import FLOW, TABLES, Step
from jobs.build_sessions import find_gone_days, name_day, select_days
from jobs.costs import Costs, estimate_rows
from jobs.errors import JobError, first_line
from jobs.feeds import Feed
from jobs.gone_days import find_gone_features, find_gone_partials
from jobs.graph import RELEASES
from jobs.group_events import explain_no_entity
from jobs.looks import has_work
from jobs.newer_catalogue import find_older_days, renew_days
from jobs.publishing.selection import Selection
from jobs.publishing.state import DayState, TableState, digest, drop_limit, find_publication
from jobs.publishing.warehouse import Warehouse, has_rows
from jobs.stale_features import StaleDays, find_stale_features, find_stale_partials
from schemas import FEATURE_GROUPS, FeatureGroup
from schemas.declarations import ROWS_COLUMN
from schemas.tracks import TRACKS
from segue.errors import SegueError
from segue.releases import list_releases

NEW_DAY = "new days"
OTHER_PLAYS = "late or other plays"
OTHER_WATERMARK = "the watermark of its plays moved"
ADDED = "new or changed columns"
GONE = "taken out: what it is made of has these days no more"
OTHER_SOURCE = "what it is made of has changed"
OTHER_ROWS = "which rows a day has is declared otherwise"


@dataclass(frozen=True)
class PlannedDays:
    """Days of a table that one reason makes stale. `columns` of them alone are computed, where there are any."""

    why: str
    days: tuple[date, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedTable:
    """What becomes of one table; `why` where days are unknown before the step runs."""

    table: str
    step: str
    why: str = ""
    days: tuple[PlannedDays, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    # days made with an older catalogue than there is, which a flow leaves as they are
    older_catalogue: int = 0

    @property
    def makes(self) -> bool:
        """Whether anything is published; a column that is only gone is no work."""
        return bool(self.days or self.why)


@dataclass
class Planner:
    """Goes through the steps of the flow in their order, each with what those before it would leave."""

    warehouse: Warehouse
    # by table, one for each source; none where nothing is to be ingested
    feeds: Mapping[str, Sequence[Feed]]
    gap_ms: int
    # what tables would hold: of days that would be made, something else than now
    states: dict[str, TableState] = field(default_factory=dict)
    tables: list[PlannedTable] = field(default_factory=list)
    # steps that would end with an error, and why
    problems: dict[str, str] = field(default_factory=dict)

    def plan(self) -> list[PlannedTable]:
        costs = Costs(self.warehouse)
        for step in FLOW:
            self.tables += [_add_cost(self.warehouse, costs, each) for each in self._plan_step(step)]
        return self.tables

    def _plan_step(self, step: Step) -> Iterable[PlannedTable]:
        if step.section and not self._list_arguments(step):
            return []
        if step.makes == (RELEASES,):
            return self._plan_release(step)
        if not all(table in self.states or has_rows(self.warehouse, table) for table in step.needs):
            # what makes those may make them in this very flow
            return self._follow(step)
        if step.name == "build-sessions":
            return self._plan_sessions(step)
        if step.module == "jobs.build_features":
            groups = [group for group in FEATURE_GROUPS if group.partials_table in step.makes]
            return [table for group in groups for table in self._plan_group(step, group)]
        return self._follow(step) or self._look(step)

    def _follow(self, step: Step) -> list[PlannedTable]:
        """Tables of a step that is made again because what it needs or uses is."""
        made = {each.table for each in self.tables if each.makes}
        sources = [table for table in (*step.needs, *step.uses) if table in made]
        why = f"follows from {', '.join(sources)}"
        return [PlannedTable(table, step.name, why) for table in step.makes] if sources else []

    def _look(self, step: Step) -> list[PlannedTable]:
        """Runs the step up to where its work would begin."""
        # of every source, also after one that has work: another may have a problem
        found = [self._has_work(step, arguments) for arguments in self._list_arguments(step)]
        if not any(found):
            return []
        why = "files that are not in yet" if step.section else "other code or settings, or never made"
        return [PlannedTable(table, step.name, why) for table in step.makes if table not in step.records]

    def _list_arguments(self, step: Step) -> list[list[str]]:
        """Those with which a flow runs the step: for each source that it can read once, else once."""
        feeds = self.feeds.get(step.section, ())
        return [each.arguments for each in feeds if not each.why_not] if step.section else [[]]

    def _has_work(self, step: Step, arguments: Sequence[str]) -> bool:
        try:
            return has_work(step, ["--root", self.warehouse.root, *arguments])
        except (JobError, SegueError) as problem:
            self.problems[step.name] = first_line(problem)
        return False

    def _plan_sessions(self, step: Step) -> Iterator[PlannedTable]:
        plays, sessions = self.warehouse.state("plays"), self.warehouse.state("sessions")
        gone, again = find_gone_days(plays, sessions, self.gap_ms) if plays else ([], [])
        sessions = sessions.remove_days(gone, again) if sessions else None
        days, _ = select_days(plays, sessions, [], self.gap_ms) if plays else ([], {})
        reasons = dict.fromkeys(gone, GONE)
        if plays and days:
            reasons |= _explain_sessions(self.warehouse, plays, sessions, days, self.gap_ms)
        if reasons:
            self.states["sessions"] = _change(sessions, days)
        # of files that are not read yet, nobody knows the days
        why = "".join(each.why for each in self._follow(step))
        if reasons or why:
            yield PlannedTable("sessions", step.name, why, tuple(_group_by_reason(reasons)))

    def _plan_group(self, step: Step, group: FeatureGroup) -> Iterator[PlannedTable]:
        events, tracks = self._state(group.events.name), self._find_tracks(group)
        if events is None or not events.day_states or explain_no_entity(group, events, tracks):
            return
        stale = find_stale_partials(self.warehouse, group, events, tracks)
        gone = find_gone_partials(self.warehouse.state(group.partials_table), events)
        yield from self._plan_table(step, group, group.partials_table, stale, gone)
        partials = self._state(group.partials_table)
        if group.daily and partials is not None:
            gone, again = find_gone_features(group, self.warehouse.state(group.table), events)
            stale = find_stale_features(self.warehouse, group, partials, events, tracks)
            stale = renew_days(stale, again)
            yield from self._plan_table(step, group, group.table, stale, gone)

    def _find_tracks(self, group: FeatureGroup) -> TableState | None:
        if not group.catalogue_columns:
            return None
        tracks = self.warehouse.state(TRACKS.name)
        if not any(each.table == TRACKS.name and each.makes for each in self.tables):
            return tracks
        # of one that the flow would ingest first nobody knows yet what it lacks
        return TableState(tracks.version + 1 if tracks else 1, {None: DayState(1, 0, 0, "planned")})

    def _plan_table(
        self, step: Step, group: FeatureGroup, table: str, stale: StaleDays, gone: Sequence[date]
    ) -> Iterator[PlannedTable]:
        state = self.warehouse.state(table)
        older = len(find_older_days(self.warehouse, group, table))
        columns = _compare_columns(self.warehouse, table, stale)
        planned = PlannedTable(table, step.name, older_catalogue=older, **columns)
        if self._has_unknown_days(group):
            planned = replace(planned, why=f"follows from {group.events.name}")
        if stale or gone:
            reasons = dict.fromkeys(gone, GONE) | {d: _explain_day(state, stale, d) for d in stale.whole}
            days = list(_group_by_reason(reasons))
            days += [PlannedDays(ADDED, stale.extended, stale.columns)] if stale.extended else []
            planned = replace(planned, days=tuple(days))
            # of extended days, what follows from the other columns stays as it is
            self.states[table] = _change(state.remove_days(gone, ()) if state else None, stale.whole)
        if planned.makes or planned.gone or older:
            yield planned

    def _has_unknown_days(self, group: FeatureGroup) -> bool:
        # sessions are of the days of plays
        read = "plays" if isinstance(group.source, str) else group.events.name
        return any(each.table == read and each.makes for each in self.tables)

    def _plan_release(self, step: Step) -> list[PlannedTable]:
        made = [each.table for each in self.tables if each.makes]
        if made:
            return [PlannedTable(RELEASES, step.name, f"{len(made)} tables have another version")]
        release = next(iter(list_releases(self.warehouse.root)), None)
        newest = Selection.newest(self.warehouse, TABLES).keep_undeclared(release, TABLES)
        if newest.day and newest.adds_to(release):
            return [PlannedTable(RELEASES, step.name, "tables were published since the last one")]
        return []

    def _state(self, table: str) -> TableState | None:
        return self.states.get(table) or self.warehouse.state(table)


def _explain_day(state: TableState | None, stale: StaleDays, day: date) -> str:
    if state is None or day not in state.day_states:
        return NEW_DAY
    # days of before say nothing of columns
    declared = state.declared_columns(day) or stale.identities
    return OTHER_SOURCE if declared.get(ROWS_COLUMN) == stale.identities.get(ROWS_COLUMN) else OTHER_ROWS


def _change(state: TableState | None, days: Iterable[date]) -> TableState:
    """A state in which these days hold something else."""
    before = state or TableState(0)
    parts: dict[date | None, DayState] = {}
    for day in days:
        old = before.day_states.get(day)
        other = (old.published_hash if old else 0) + 1
        parts[day] = DayState(old.rows if old else 0, other, other, "planned")
    return before.replace_days(parts, parts)


def _explain_sessions(
    warehouse: Warehouse, plays: TableState, sessions: TableState | None, days: Sequence[date], gap_ms: int
) -> dict[date, str]:
    known = sessions.day_states if sessions else {}
    gap_before = _find_parameter(warehouse, "sessions", "gap_ms")
    all_days, reasons = plays.days, dict[date, str]()
    for day in days:
        place = all_days.index(day)
        before = known[all_days[place - 1]].upstream if place and all_days[place - 1] in known else ""
        names = {
            rules: digest(rules, gap_ms, plays.published_hashes([day]), before) for rules in range(RULES)
        }
        name = name_day(plays, day, before, gap_ms)
        if day not in known:
            reasons[day] = NEW_DAY
        elif gap_before not in (None, gap_ms):
            reasons[day] = f"changed parameter: gap-ms was {gap_before:.0f}, is {gap_ms}"
        elif rules := [n for n, name in names.items() if name == known[day].upstream]:
            reasons[day] = f"changed rules of sessions: {rules[0]} to {RULES}"
        elif drop_limit(known[day].upstream) == drop_limit(name) and known[day].upstream != name:
            reasons[day] = OTHER_WATERMARK
        elif not known[day].upstream or (place and all_days[place - 1] in reasons):
            reasons[day] = "the day before is cut again"
        else:
            # of days from before the log had parameters, the fingerprint does not tell one from the other
            reasons[day] = OTHER_PLAYS if gap_before is not None else f"{OTHER_PLAYS}, or another gap-ms then"
    return reasons


def _find_parameter(warehouse: Warehouse, table: str, name: str) -> float | None:
    """A number that the newest batch of a table was given; None where its commit does not say it."""
    found = find_publication(opened) if (opened := warehouse.table(table)) else None
    return found[1].get("parameters", {}).get(name) if found else None


def _group_by_reason(reasons: Mapping[date, str]) -> Iterator[PlannedDays]:
    for why in dict.fromkeys(reasons.values()):
        yield PlannedDays(why, tuple(day for day in reasons if reasons[day] == why))


def _compare_columns(warehouse: Warehouse, table: str, stale: StaleDays) -> dict[str, Any]:
    """Columns that the table would get, those that would be computed otherwise, and those that nothing declares."""
    opened = warehouse.table(table)
    if opened is None:
        return {}
    stored = [each.name for each in opened.schema().fields]
    return {
        "new": tuple(name for name in stale.identities if name not in stored),
        "changed": tuple(name for name in stale.columns if name in stored),
        "gone": tuple(name for name in stored if name not in stale.identities),
    }


def _add_cost(warehouse: Warehouse, costs: Costs, planned: PlannedTable) -> PlannedTable:
    state = warehouse.state(planned.table)
    if not planned.days:
        return planned
    known = state.day_states if state else {}
    days = {day for each in planned.days for day in each.days if each.why != GONE}
    new = estimate_rows(state, len(days - known.keys()))
    if new is None:
        return planned
    rows = new + sum(known[day].rows for day in days & known.keys())
    a_row, seconds = costs.bytes_a_row(planned.table), costs.seconds_a_row(planned.step)
    return replace(
        planned,
        rows=rows,
        bytes=None if a_row is None else round(rows * a_row),
        seconds=None if seconds is None else rows * seconds,
    )
