"""The same month three ways: night by night, in one backfill, and its steps in random order. Each ends as plain Python
has it, with nothing left to build."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from simulation.month import (
    Action,
    Forget,
    Ingest,
    Night,
    Restate,
    list_good_files,
    make_month,
    shuffle,
)
from simulation.root import FEATURES, GROUPS, SimulatedRoot, maybe_kill, wait
from simulation.served import ServedLog, after_midnight

import segue
from reference.rows import Row
from schemas import CONTRACTS
from segue.errors import SegueError

COLUMNS = ["plays_count_7d", "tracks_distinct_7d", "plays_days_since_first_lifetime", "longest_max_7d"]
LABELS = pa.schema([("user_id", pa.string()), ("label_at", pa.timestamp("us", "UTC")), ("n", pa.int64())])


@dataclass(frozen=True)
class Size:
    nights: int
    listeners: int
    allowed_days: int
    labels: int
    seed: int = 5

    def month(self) -> list[Night]:
        return make_month(self.nights, self.listeners, self.allowed_days, self.seed)


Hashes = dict[str, str]


def live_by_nights(folder: Path, size: Size) -> Hashes:
    """And labels as published, before the erasure and at the end, against the log of what was served."""
    with pytest.MonkeyPatch.context() as patch:
        root, log, draw = SimulatedRoot(folder, patch, size.allowed_days), ServedLog(), Random(size.seed)
        for night in size.month():
            wait(root, after_midnight(night.day, 1))
            for action in night.actions:
                if isinstance(action, Forget):
                    check_labels(root, log, draw, size)
                _act(root, log, night, action)
            wait(root, after_midnight(night.day, 2))
            _build(root, night)
            log.observe(root.read(FEATURES), root.now)
        assert log.replaced > size.nights, "hardly a day was published again"
        check_labels(root, log, draw, size)
        return _end(root)


def _act(root: SimulatedRoot, log: ServedLog, night: Night, action: Action) -> None:
    wait(root, root.now)
    if "plays" in night.kills and isinstance(action, Ingest):
        root.kill(lambda: root.run(action), "plays", after=True)
        root.ledger.apply(action)
    else:
        root.apply(action)
    if isinstance(action, Forget):
        log.erase(action.user, root.now)
    if not isinstance(action, Ingest):
        log.observe(root.read(FEATURES), root.now)


def _build(root: SimulatedRoot, night: Night) -> None:
    if "sessions" in night.kills:
        root.kill(root.build_sessions, "sessions", after=True)
    root.build_sessions()
    if FEATURES in night.kills:
        root.kill(root.build_features, FEATURES, after=False)
    root.build_features()


def check_labels(root: SimulatedRoot, log: ServedLog, draw: Random, size: Size) -> None:
    """Labels whose rows an erasure has taken are refused; all others get what was served."""
    root.release()
    store = segue.open(root.root)
    labels = log.draw_labels(draw, size.labels, size.listeners)
    # a label of nobody needs no rows
    lost = [each for each in labels if each["user_id"] is not None and log.is_lost(each["label_at"])]
    kept = [each for each in labels if not log.is_lost(each["label_at"])]
    columns = [name for name in COLUMNS if name in root.group.contract().names]
    defaults = {
        column.name: column.default for column in CONTRACTS[FEATURES].columns if column.default is not None
    }
    expected = log.expect(kept, FEATURES, columns, defaults)
    actual = _join(store, kept, columns)
    for label, served, joined in zip(kept, expected, actual, strict=True):
        assert served == joined, f"label {label}: served {served}, the training set has {joined}"
    # after an erasure, labels of days that were published again before it have nothing left to see
    assert len(kept) >= size.labels / (20 if log.erased_at else 1)
    assert bool(lost) == bool(log.erased_at)
    for label in lost[:5]:
        with pytest.raises(SegueError, match="erased a listener"):
            _join(store, [label], columns)


def _join(store: segue.Store, labels: list[Row], columns: list[str]) -> list[Row]:
    features = [f"{FEATURES}:{name}" for name in columns]
    table = store.training_set(pa.Table.from_pylist(labels, LABELS), features, as_published=True)
    return table.drop(LABELS.names).to_pylist()


def live_by_backfill(folder: Path, size: Size) -> Hashes:
    """What was delivered right, all at once."""
    with pytest.MonkeyPatch.context() as patch:
        root, month = SimulatedRoot(folder, patch, size.allowed_days), size.month()
        files = list(list_good_files(month))
        root.ingest(files)
        root.ledger.apply(Ingest("all", tuple(each for file in files for each in file.plays)))
        root.group = GROUPS[1]
        for night in month:
            for action in night.actions:
                if not isinstance(action, Ingest | Restate) and not hasattr(action, "file"):
                    root.apply(action)
        root.build()
        return _end(root)


def live_at_random(folder: Path, size: Size) -> Hashes:
    """Files in any order, steps between them, some for single days, some killed at a commit."""
    with pytest.MonkeyPatch.context() as patch:
        root, draw, kills = SimulatedRoot(folder, patch, size.allowed_days), Random(size.seed), list[str]()
        for action in shuffle(size.month(), draw):
            wait(root, root.now)
            with maybe_kill(draw, 0.6, kills):
                root.run(action)
            root.apply(action)
            root.check_plays()
            with maybe_kill(draw, 0.6, kills):
                _step_at_random(root, draw)
        assert len(kills) > 2, f"steps were killed at {kills}, so this shows little"
        root.build()
        return _end(root)


def _step_at_random(root: SimulatedRoot, draw: random.Random) -> None:
    step = draw.choice(("sessions", "sessions of a day", "features", "features of a day", "nothing"))
    days = {"sessions": root.days("plays"), "features": root.days("sessions")}
    name, _, of_a_day = step.partition(" ")
    if not days.get(name):
        return
    arguments = ["--day", str(draw.choice(days[name]))] if of_a_day else []
    (root.build_sessions if name == "sessions" else root.build_features)(*arguments)


def _end(root: SimulatedRoot) -> Hashes:
    root.check()
    root.check_up_to_date()
    states = {table: root.warehouse.state(table) for table in ("plays", "sessions", FEATURES)}
    return {table: state.content_hash for table, state in states.items() if state}
