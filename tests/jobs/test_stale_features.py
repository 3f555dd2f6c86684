"""Which days are stale, and of which only some columns, from logs alone: no row is read, and no session opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from jobs.planned_changes import NEW_DAY, OTHER_ROWS, OTHER_SOURCE, _explain_day
from jobs.publishing.commits import Change, swap
from jobs.publishing.protocol import DayProfile, _name_columns, _replace_rows
from jobs.publishing.state import DayState, TableState, digest, read_state
from jobs.publishing.warehouse import Warehouse
from jobs.stale_features import find_stale_features, find_stale_partials
from jobs.verify import examine
from reference import own_events
from reference.golden import unpack
from reference.staged import LaidJob
from reference.three_features import THREE_FEATURES as GROUP
from schemas import FEATURE_GROUPS
from schemas.declarations import Feature
from schemas.parts import RULES

DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(4)]
LONGEST = Feature("longest", "max", "ms_played", "m", ("7d",))
MORE = GROUP.extend(LONGEST)


def hold(hashes):
    """A table whose days hold rows of these hashes."""
    return TableState(
        1, {day: DayState(0, each, each, "batch") for day, each in zip(DAYS, hashes, strict=True)}
    )


SESSIONS, PARTIALS = hold([1, 2, 3, 4]), hold([5, 6, 7, 8])


def put(warehouse, contract, names, columns=None, catalogue=None):
    """A version of a table whose days were made of what these name."""
    table, key = warehouse.create(contract), _name_columns(columns or {})
    days = {day: DayState(0, 0, 0, "batch", names[day], key, catalogue) for day in DAYS}
    state = TableState(table.version(), days, declarations={key: columns} if columns else {})
    swap(table, Change("batch-1", "publish", state))


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(str(tmp_path / "root"))


@pytest.fixture
def published(warehouse):
    """By today's code, of `MORE`."""
    stale = find_stale_features(warehouse, MORE, PARTIALS, SESSIONS)
    assert list(stale.whole) == DAYS
    put(warehouse, MORE.contract(), stale.sources, stale.identities)
    return warehouse


def find(warehouse, group, partials=PARTIALS):
    stale = find_stale_features(warehouse, group, partials, SESSIONS)
    return list(stale.whole), list(stale.extended), stale.columns


def test_days_are_made_as_a_whole_where_other_rows_belong_to_them(published):
    """Without rows of idle entities, as these depend on the longest window; a feature of no longer one is added."""
    few = replace(MORE, idle_rows=False)
    assert find(published, few) == (DAYS, [], ())
    stale = find_stale_features(published, few, PARTIALS, SESSIONS)
    put(published, few.contract(), stale.sources, stale.identities)
    assert find(published, few) == ([], [], ())
    week, quarter = (Feature("listening", "count", "ms_played", "m", (window,)) for window in ("7d", "90d"))
    assert find(published, few.extend(week)) == ([], DAYS, ("listening_count_7d",))
    assert find(published, few.extend(quarter)) == (DAYS, [], ())
    assert find(published, MORE) == (DAYS, [], ())
    state = published.state(MORE.table)
    assert (
        _explain_day(state, find_stale_features(published, MORE, PARTIALS, SESSIONS), DAYS[0]) == OTHER_ROWS
    )
    assert _explain_day(state, stale, DAYS[0]) == OTHER_SOURCE
    assert _explain_day(state, stale, DAYS[0] - timedelta(days=1)) == NEW_DAY


def name_as_before(declared):
    partials, plays = PARTIALS.cumulative_fingerprints(), SESSIONS.cumulative_fingerprints()
    return {day: digest(declared, partials[day], plays[day]) for day in DAYS}


def test_days_that_the_golden_root_holds_are_up_to_date(tmp_path):
    unpack(tmp_path)
    warehouse = Warehouse(str(tmp_path / "root"))
    sessions = warehouse.state("sessions")
    for group in FEATURE_GROUPS:
        assert not find_stale_partials(warehouse, group, sessions), group.partials_table
        partials = warehouse.state(group.partials_table)
        assert not group.daily or not find_stale_features(warehouse, group, partials, sessions), group.table


def test_features_declared_after_the_golden_root_are_all_that_it_lacks(tmp_path):
    unpack(tmp_path)
    warehouse = Warehouse(str(tmp_path / "root"))
    sessions = warehouse.state("sessions")
    for group in FEATURE_GROUPS:
        more = group.extend(LONGEST)
        stale = find_stale_partials(warehouse, more, sessions)
        assert (stale.whole, stale.columns) == ((), ("max_ms_played",)), group.table
        assert len(stale.extended) == len(stale.sources)
        if group.daily:
            partials = warehouse.state(group.partials_table)
            stale = find_stale_features(warehouse, more, partials, sessions)
            assert (stale.whole, stale.columns) == ((), ("longest_max_7d",))


@pytest.mark.parametrize("declared", [GROUP.identities, [repr(feature) for feature in GROUP.features]])
def test_days_of_before_the_log_had_their_columns_are_known_by_their_names(warehouse, declared):
    put(warehouse, GROUP.contract(), name_as_before(declared))
    assert find(warehouse, GROUP) == ([], [], ())
    assert find(warehouse, MORE) == ([], DAYS, ("longest_max_7d",))
    # of what was taken away they cannot say whether all else is the same
    assert find(warehouse, replace(GROUP, features=GROUP.features[1:]))[0] == DAYS


@pytest.mark.parametrize("kind", ["compact", "erase"])
def test_a_table_of_before_that_has_the_new_column_already_lacks_no_more_than_that(warehouse, kind):
    """Maintenance and erasures add columns to all tables, whenever they come."""
    put(warehouse, GROUP.contract(), name_as_before(GROUP.identities))
    table = warehouse.add_missing_columns(MORE.contract())
    swap(table, Change(f"{kind}-1", kind, read_state(table)))
    assert find(warehouse, MORE) == ([], DAYS, ("longest_max_7d",))


def test_a_feature_taken_away_makes_nothing_stale_and_declared_again_it_is_there(published):
    assert find(published, GROUP) == ([], [], ())
    assert find(published, MORE) == ([], [], ())


def test_a_feature_declared_otherwise_under_its_name_is_computed_alone(published):
    other = GROUP.extend(replace(LONGEST, where="not is_bot"))
    assert find(published, other) == ([], DAYS, ("longest_max_7d",))


GENRES = replace(
    GROUP,
    table="genre_features",
    keys=("genre",),
    derived_keys={"genre": "genres[0]"},
    features=(Feature("tracks", "distinct", "track_id", "m", ("7d",)),),
)


@pytest.mark.parametrize("other", [{"where": "not skipped"}, {"derived_keys": {"genre": "genres[1]"}}])
def test_other_events_of_a_group_make_columns_stale_that_have_no_parts(warehouse, other):
    """The rows of its partials are entities alone, and these can be the same."""
    stale = find_stale_features(warehouse, GENRES, PARTIALS, SESSIONS)
    put(warehouse, GENRES.contract(), stale.sources, stale.identities)
    assert find(warehouse, GENRES) == ([], [], ())
    stale = find_stale_features(warehouse, replace(GENRES, **other), PARTIALS, SESSIONS)
    assert [*stale.whole, *stale.extended] == DAYS and stale.columns == ("tracks_distinct_7d",)


def test_days_of_before_the_log_had_their_columns_tell_nothing_of_the_events_of_a_group(warehouse):
    put(warehouse, GENRES.contract(), name_as_before(GENRES.identities))
    assert find(warehouse, GENRES) == ([], DAYS, ("tracks_distinct_7d",))


def test_columns_of_the_starting_set_keep_the_identities_that_they_were_published_by():
    for group in FEATURE_GROUPS:
        assert group.day_identities == group.identities, group.table
        other = replace(group, where="saved")
        changed = {name for name, each in other.day_identities.items() if each != group.identities[name]}
        assert changed == {f.name(w) for f, w in group.feature_windows if f.op == "distinct"}


def test_words_about_a_feature_make_nothing_stale(published):
    assert find(published, GROUP.extend(replace(LONGEST, meaning="x", deprecated="y"))) == ([], [], ())


def test_other_plays_make_whole_days_stale(published):
    # a day holds all before it, too
    assert find(published, MORE, hold([5, 6, 9, 8])) == (DAYS[2:], [], ())


def test_a_mended_rule_of_a_part_makes_what_is_made_of_it_stale(published, monkeypatch):
    stale = find_stale_partials(published, MORE, SESSIONS)
    put(published, MORE.partials_contract(), stale.sources, stale.identities)
    monkeypatch.setitem(RULES, "max", 2)
    assert find(published, MORE) == ([], DAYS, ("longest_max_7d",))
    stale = find_stale_partials(published, MORE, SESSIONS)
    assert (stale.whole, list(stale.extended), stale.columns) == ((), DAYS, ("max_ms_played",))


def test_a_batch_of_other_columns_is_another_batch(tmp_path):
    """Declarations may lie outside the code, and a window more may need no other part."""
    job = LaidJob("test", str(tmp_path / "root"), "run", say=lambda text: None)
    batches = [job.batch("user_features", DAYS, columns={"x": name}) for name in ("a", "b")]
    assert batches[0].fingerprint != batches[1].fingerprint


def test_a_table_says_what_is_declared_no_more_and_lets_it_be_null(published):
    deprecated = replace(GROUP.features[0], deprecated="use another")
    table = published.add_missing_columns(
        replace(GROUP, features=(deprecated, *GROUP.features[1:])).contract()
    )
    column = next(field for field in table.schema().fields if field.name == "longest_max_7d")
    assert column.nullable and column.metadata["segue.removed"]
    (first, *_) = [field for field in table.schema().fields if field.name == deprecated.name("1d")]
    assert (first.nullable, first.metadata["segue.deprecated"]) == (False, "use another")
    # a second look changes nothing, nor is anything wrong with such a log
    assert published.add_missing_columns(
        replace(GROUP, features=(deprecated, *GROUP.features[1:])).contract()
    )
    assert table.version() == published.table("user_features").version()
    assert not [each for each in examine(published.root) if each.wrong and "audit" not in each.what]
    again = published.add_missing_columns(MORE.contract())
    marks = [(field.metadata or {}).get("segue.removed") for field in again.schema().fields]
    assert not any(marks)


@pytest.fixture
def albums(warehouse):
    """A group by a column of the catalogue, each of whose days was made with version 3 of it."""
    _, groups = own_events.declare()
    group = groups["album_features"]
    stale = find_stale_partials(warehouse, group, SESSIONS, TableState(3))
    put(warehouse, group.partials_contract(), stale.sources, stale.identities, catalogue=3)
    stale = find_stale_features(warehouse, group, PARTIALS, SESSIONS, TableState(3))
    put(warehouse, group.contract(), stale.sources, stale.identities, catalogue=3)
    return group


def test_a_newer_catalogue_makes_no_day_stale(warehouse, albums):
    assert not find_stale_partials(warehouse, albums, SESSIONS, TableState(4))
    assert not find_stale_features(warehouse, albums, PARTIALS, SESSIONS, TableState(4))


@pytest.mark.parametrize(("version", "is_whole"), [(3, False), (4, True)])
def test_a_part_is_added_to_a_day_by_the_catalogue_of_its_other_columns_alone(
    warehouse, albums, version, is_whole
):
    stale = find_stale_partials(warehouse, albums.extend(LONGEST), SESSIONS, TableState(version))
    assert stale.columns == ("max_ms_played",)
    assert [*stale.whole] == (DAYS if is_whole else [])
    assert [*stale.extended] == ([] if is_whole else DAYS)


def test_a_tile_of_a_day_that_is_made_as_a_whole_is_made_with_it(warehouse, albums):
    """That day has no value of the new part yet, or one by another declaration, when columns are added."""
    table = warehouse.table("album_partials")
    state = warehouse.state("album_partials")
    versions = dict.fromkeys(DAYS, 4) | {DAYS[1]: 3}
    days = {day: replace(state.day_states[day], catalogue=versions[day]) for day in DAYS}
    swap(table, Change("batch-2", "publish", replace(state, day_states=days)))
    stale = find_stale_partials(warehouse, albums.extend(LONGEST), SESSIONS, TableState(4))
    # of these days the third one ends a tile of two
    assert ([*stale.whole], [*stale.extended]) == (DAYS[1:3], [DAYS[0], DAYS[3]])


@pytest.mark.parametrize(("op", "is_whole"), [("distinct", True), ("max", False)])
def test_what_is_merged_from_parts_reads_no_catalogue(warehouse, albums, op, is_whole):
    more = albums.extend(Feature("others", op, "ms_played", "m", ("7d",)))
    stale = find_stale_features(warehouse, more, PARTIALS, SESSIONS, TableState(4))
    assert ([*stale.whole], [*stale.extended]) == ((DAYS, []) if is_whole else ([], DAYS))


@pytest.mark.parametrize(("read", "kept"), [(None, 3), (4, 4)])
def test_days_that_get_columns_of_no_catalogue_keep_their_version(tmp_path, warehouse, albums, read, kept):
    before = warehouse.state("album_partials")
    job = LaidJob("test", str(tmp_path / "root"), "run", say=lambda text: None)
    batch = replace(job.batch("user_partials", DAYS, extends=["max_ms_played"]), catalogue=read)
    profile = SimpleNamespace(days={day: DayProfile(1, 1) for day in DAYS})
    after, _ = _replace_rows(before, SimpleNamespace(batch=batch, profile=profile))
    assert [after.day_states[day].catalogue for day in DAYS] == [kept] * len(DAYS)


def test_another_source_makes_every_day_stale(published):
    stale = find_stale_partials(published, MORE, SESSIONS)
    put(published, MORE.partials_contract(), stale.sources, stale.identities)
    assert find_stale_partials(published, replace(MORE, source="plays"), SESSIONS).whole == (*DAYS,)
