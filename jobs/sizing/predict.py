"""What a night of another size would cost, step by step, from what its runs cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any

from jobs import FLOW, Step
from jobs.publishing.commits import list_data_files
from jobs.publishing.layout import count_pieces, find_file_bytes
from jobs.publishing.record_tables import COSTS
from jobs.publishing.warehouse import Warehouse
from jobs.sizing.fit import Fit, Rows, TooFewRuns, fit_costs
from jobs.sizing.meter import LISTENERS, PLAYS, TRACKS
from schemas import CONTRACTS, FEATURE_GROUPS

KINDS = (PLAYS, LISTENERS, TRACKS)
# Columns of `run_costs` that are fitted.
FITTED = ("core_seconds", "shuffle_bytes", "bytes_written", "driver_bytes")
# A run is of one night where it took in a day of plays, within this factor.
_NIGHT = 2.0
_INGEST = "ingest-plays"
_TABLES = {LISTENERS: "user_features", TRACKS: "track_features"}
_PIECE = "bytes of a file"

Run = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """Plays of a day, listeners with a row of features on a day, and tracks with one."""

    plays: float
    listeners: float | None
    tracks: float | None

    def compare(self, requested: World) -> dict[str, float]:
        """By kind of rows, how many times as many there will be. What is not known here grows with plays."""
        plays = requested.plays / self.plays
        pairs = {LISTENERS: (self.listeners, requested.listeners), TRACKS: (self.tracks, requested.tracks)}
        return {PLAYS: plays} | {kind: to / now if now and to else plays for kind, (now, to) in pairs.items()}


@dataclass(frozen=True)
class Prediction:
    """Of one step. `why_not` says why there is none."""

    step: str
    runs: int
    why_not: str = ""
    # of the night that is requested, by kind
    rows: Rows = field(default_factory=dict)
    # times the rows of the largest run, of the kind that is farthest beyond it
    beyond: float = 1.0
    # times the most extreme ratio of two kinds of rows in any run
    mix: float = 1.0
    fits: Mapping[str, Fit] = field(default_factory=dict)
    piece_bytes: float = 0.0
    task: Fit | None = None
    # its tables, each with its share of the bytes that are written
    tables: Mapping[str, float] = field(default_factory=dict)

    def predict(self, cost: str) -> float | None:
        return self.fits[cost].predict(self.rows) if cost in self.fits else None

    @property
    def task_bytes(self) -> float | None:
        return self.task.predict({_PIECE: self.piece_bytes}) if self.task else None


def read_runs(warehouse: Warehouse) -> list[dict[str, Any]]:
    """What was recorded, newest first."""
    return COSTS.read(warehouse, COSTS.contract.names).sort_by([("ended_at", "descending")]).to_pylist()


def measure_world(warehouse: Warehouse) -> World | None:
    """As the tables have it on their newest days, which the newest run made; None without plays."""
    plays = _count_newest(warehouse, "plays")
    entities = {kind: _count_newest(warehouse, table) for kind, table in _TABLES.items()}
    return World(plays, entities[LISTENERS], entities[TRACKS]) if plays else None


def _count_newest(warehouse: Warehouse, table: str) -> int | None:
    state = warehouse.state(table)
    return state.day_states[state.days[-1]].rows if state and state.days else None


def predict_steps(
    runs: Iterable[Run], world: World, requested: World, sizes: Mapping[str, int] = MappingProxyType({})
) -> list[Prediction]:
    """Of each step with a run that published something and of which nothing is lost, in the order of the flow.

    Args:
        runs: rows of `run_costs`, newest first.
        world: in which the newest of them ran.
        sizes: as `measure_sizes` has them.
    """
    by_step: dict[str, list[Run]] = defaultdict(list)
    taken: dict[str, int] = defaultdict(int)
    for run in runs:
        if run["rows_published"] and not run["lost"]:
            by_step[run["step"]].append(run)
        if run["step"] == _INGEST:
            taken[run["run_id"]] += run["rows_published"]
    # where plays were taken in by a run of their own, nothing says how many days another run was of
    others = {
        id_ for id_, plays in taken.items() if not world.plays / _NIGHT <= plays <= world.plays * _NIGHT
    }
    scale, predictions = world.compare(requested), []
    for step in FLOW:
        if of_step := by_step.get(step.name):
            night = next((run for run in of_step if run["run_id"] not in others), None)
            found = _predict(step.name, of_step, night, scale)
            predictions.append(
                found if found.why_not else _add_task(found, of_step, _share_bytes(step, sizes))
            )
    return predictions


def _predict(step: str, runs: Sequence[Run], night: Run | None, scale: Mapping[str, float]) -> Prediction:
    kinds = [kind for kind in KINDS if any(run[kind] for run in runs)]
    rows = [{kind: run[kind] for kind in kinds} for run in runs]
    try:
        fits = {cost: fit_costs(rows, [run[cost] or 0 for run in runs]) for cost in FITTED}
    except TooFewRuns as problem:
        return Prediction(step, len(runs), str(problem))
    if night is None:
        return Prediction(step, len(runs), "no run took in the plays of about one day")
    requested = {kind: night[kind] * scale[kind] for kind in kinds}
    beyond = max(requested[kind] / max(run[kind] for run in rows) for kind in kinds)
    return Prediction(step, len(runs), "", requested, beyond, find_mix(rows, requested), fits)


def _add_task(fit: Prediction, runs: Sequence[Run], tables: Mapping[str, float]) -> Prediction:
    """Memory of a task goes with the bytes of a file: there are as many tasks as files, up to one for each bucket."""
    pieces = [{_PIECE: measure_piece(tables, run["bytes_written"])} for run in runs]
    piece = measure_piece(tables, fit.fits["bytes_written"].predict(fit.rows))
    try:
        task = fit_costs(pieces, [run["task_bytes"] for run in runs])
    except TooFewRuns:
        task = None
    return replace(fit, piece_bytes=piece, task=task, tables=tables)


def measure_piece(tables: Mapping[str, float], size: float) -> float:
    """Bytes of the largest file, where a step writes `size` bytes into tables: as large as files are to get, or as
    buckets let them be."""
    pieces = [
        part / count_pieces(part, find_file_bytes(table), CONTRACTS[table].buckets)
        for table, share in tables.items()
        if (part := size * share)
    ]
    return max(pieces, default=size)


def list_result_tables(step: Step) -> list[str]:
    """Those with buckets that what a step writes is in, but for rejects and what is on the way to another of them."""
    with_buckets = [name for name in step.makes if name in CONTRACTS and CONTRACTS[name].buckets]
    if step.section:
        return [name for name in with_buckets if name == step.section]
    on_the_way = {group.partials_table for group in FEATURE_GROUPS if group.daily}
    return [name for name in with_buckets if name not in on_the_way]


def measure_sizes(warehouse: Warehouse) -> dict[str, int]:
    """Bytes that are published of tables which one step makes several of."""
    several = [names for step in FLOW if len(names := list_result_tables(step)) > 1]
    opened = {name: table for names in several for name in names if (table := warehouse.table(name))}
    return {name: sum(f["size_bytes"] for f in list_data_files(table)) for name, table in opened.items()}


def _share_bytes(step: Step, sizes: Mapping[str, int]) -> dict[str, float]:
    """Of each table of a step its share of what that writes, as it was so far; equal ones where that is not known."""
    names = list_result_tables(step)
    total = sum(sizes.get(name, 0) for name in names)
    return {name: sizes.get(name, 0) / total if total else 1 / len(names) for name in names}


def find_mix(runs: Sequence[Rows], requested: Rows) -> float:
    """How many times two kinds of rows are farther from each other than in any run."""
    factors = [1.0]
    for one, other in combinations(requested, 2):
        ratios = [run[one] / run[other] for run in runs if run[one] and run[other]]
        if ratios and requested[one] and requested[other]:
            ratio = requested[one] / requested[other]
            factors += [min(ratios) / ratio, ratio / max(ratios)]
    return max(factors)
