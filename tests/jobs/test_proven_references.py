"""A reference is taken for whole by what changed alone: never where all days show a key that is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expectations.release import Reference
from expectations.verdict import Result
from jobs import proven_references
from jobs.proven_references import Proof, find_proven, select_compared
from jobs.publishing.records import append_results, name_versions, read_held_expectations
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from reference.published import DAYS
from reference.worlds import FEW

SESSIONS_OF_PLAYS = Reference("sessions", "plays", "play_id")
PLAYS_OF_TRACKS = Reference("plays", "tracks", "track_id", "warning")
BEFORE, NOW = 1, 2
# sets alone: so many take a second
MANY = settings(FEW, max_examples=150)
# A table without days has one part, under None.
Days = dict[object, frozenset]


@dataclass
class Twin:
    """Two versions of two tables, as sets of keys by day, in the place of a job."""

    versions: dict[tuple[str, int], Days]

    def at(self, table, version, days=None):
        held = self.versions[table, version]
        return [key for day, keys in held.items() if days is None or day in days for key in keys]

    def state(self, table, version):
        days = {
            # equal keys are equal content
            day: DayState(len(keys), hash(keys), 0, "")
            for day, keys in self.versions[table, version].items()
        }
        return TableState(version, days)


def count_missing(pairs):
    """`count_missing_keys` in sets; a key of None is of nothing."""
    return {
        name: len(set(child.rows) - {key for each in parents for key in each.rows if key is not None})
        for name, (child, parents) in pairs.items()
    }


def count_orphans(twin, reference, version):
    """Over all days."""
    child, parent = (twin.state(name, version) for name in (reference.child, reference.parent))
    days = None if None in child.day_states else [*select_compared(child, parent)]
    known = {key for key in twin.at(reference.parent, version) if key is not None}
    return len(set(twin.at(reference.child, version, days)) - known)


def find(patch, twin, reference):
    states = {name: twin.state(name, NOW) for name in (reference.child, reference.parent)}
    proof = Proof(twin.state(reference.child, BEFORE), twin.state(reference.parent, BEFORE))
    patch.setattr(proven_references, "_find_proofs", lambda *_: {reference: proof})
    patch.setattr(proven_references, "count_missing_keys", count_missing)
    return find_proven(SimpleNamespace(warehouse=None, at=twin.at), [reference], states)


_keys = st.frozensets(st.sampled_from(["a", "b", "c", None]), max_size=3)
_by_day = st.dictionaries(st.sampled_from(DAYS), _keys, max_size=4)
_whole = _keys.map(lambda keys: {None: keys})


@MANY
@given(_by_day, st.dictionaries(st.sampled_from(DAYS), _keys, max_size=2), _by_day, _by_day, st.data())
def test_no_reference_is_proven_that_all_days_show_broken(parent, changes, child, later, data):
    parent_now = {**parent, **changes}
    dropped = data.draw(st.sampled_from([None, *DAYS]))
    parent_now.pop(dropped, None)
    # what a release was made of
    known = frozenset().union(*parent.values()) - {None}
    child = {day: keys & known for day, keys in child.items()}
    child_now = {**child, **later}
    twin = Twin(
        {
            ("plays", BEFORE): parent,
            ("plays", NOW): parent_now,
            ("sessions", BEFORE): child,
            ("sessions", NOW): child_now,
        }
    )
    assert count_orphans(twin, SESSIONS_OF_PLAYS, BEFORE) == 0
    with pytest.MonkeyPatch.context() as patch:
        proven = find(patch, twin, SESSIONS_OF_PLAYS)
    if proven:
        assert count_orphans(twin, SESSIONS_OF_PLAYS, NOW) == 0, "all days show a key that is missing"


@MANY
@given(_whole, _whole, _by_day, _by_day)
@example({None: frozenset("ab")}, {None: frozenset("b")}, {DAYS[0]: frozenset("a")}, {})
def test_no_reference_to_a_table_without_days_is_proven_either(tracks, tracks_now, plays, later):
    plays = {day: keys & (tracks[None] - {None}) for day, keys in plays.items()}
    twin = Twin(
        {
            ("tracks", BEFORE): tracks,
            ("tracks", NOW): tracks_now,
            ("plays", BEFORE): plays,
            ("plays", NOW): {**plays, **later},
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        proven = find(patch, twin, PLAYS_OF_TRACKS)
    if proven:
        assert count_orphans(twin, PLAYS_OF_TRACKS, NOW) == 0, "all days show a key that is missing"


def test_a_night_of_new_plays_and_of_late_ones_is_proven_by_its_own_days(monkeypatch):
    before = {DAYS[0]: frozenset("ab"), DAYS[1]: frozenset("cd")}
    now = {DAYS[0]: frozenset("abx"), DAYS[1]: frozenset("cd"), DAYS[2]: frozenset("e")}
    versions = {
        ("plays", BEFORE): before,
        ("sessions", BEFORE): before,
        ("plays", NOW): now,
        ("sessions", NOW): now,
    }
    twin, reads = Twin(versions), []
    real = twin.at
    twin.at = lambda table, version, days=None: (
        reads.append((table, version, days)) or real(table, version, days)
    )
    assert find(monkeypatch, twin, SESSIONS_OF_PLAYS) == [SESSIONS_OF_PLAYS]
    changed = [DAYS[0], DAYS[2]]
    assert [each for each in reads if each[2] not in ([DAYS[1]], [DAYS[0]])] == [
        ("plays", NOW, changed),
        ("sessions", NOW, changed),
    ], "what did not change was read"


def test_listeners_of_long_ago_are_proven_by_the_day_before(monkeypatch):
    """A row for each listener there ever was, of whom one played today."""
    features = Reference("user_features", "plays", "user_id")
    plays = {DAYS[0]: frozenset("abc"), DAYS[1]: frozenset("a")}
    versions = {
        ("plays", BEFORE): plays,
        ("plays", NOW): {**plays, DAYS[2]: frozenset("d")},
        ("user_features", BEFORE): {DAYS[1]: frozenset("abc")},
        ("user_features", NOW): {DAYS[1]: frozenset("abc"), DAYS[2]: frozenset("abcd")},
    }
    assert find(monkeypatch, Twin(versions), features) == [features]
    versions["plays", NOW][DAYS[0]] = frozenset("bc")
    assert find(monkeypatch, Twin(versions), features) == [], "one listener's only other day was taken out"


def test_what_held_is_read_from_the_quality_results_newest_first(tmp_path):
    warehouse = Warehouse(str(tmp_path))
    about = {"run_id": "r", "attempt_id": "a", "table_name": "releases", "rows": 1, "outcome": "passed"}
    for version, success in ((1, True), (2, True), (3, False)):
        result = Result(SESSIONS_OF_PLAYS.name, "play_id", "critical", success, "", "")
        id_ = name_versions({"plays": version, "sessions": version + 10})
        append_results(warehouse, {**about, "batch_id": id_}, [result])
    now = datetime.now(UTC)
    held = {SESSIONS_OF_PLAYS.name: {"plays": 2, "sessions": 12}}
    assert read_held_expectations(warehouse, now - timedelta(days=1)) == held
    assert read_held_expectations(warehouse, now + timedelta(days=1)) == {}
