"""Which days of a feature group's tables are stale, and of which of them only some columns."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import accumulate

from deltalake import DeltaTable

from features.windows.tiles import tiles_ending_on
from jobs.publishing.state import TableState, commit_metadata_at, digest, mark_provisional
from jobs.publishing.warehouse import Warehouse
from schemas import FeatureGroup
from schemas.declarations import ROWS_COLUMN

# Of every day, a name for what it was made of.
Names = Mapping[date, str]


@dataclass(frozen=True)
class StaleDays:
    """What a table lacks: `whole` days, and `columns` of the days `extended`, whose rows are up to date."""

    # of every day that the source has: the plays or partials, whatever is declared
    sources: Names
    # what computes each column of the contract, in its order; empty for one that nothing declares
    identities: Mapping[str, str]
    whole: tuple[date, ...] = ()
    extended: tuple[date, ...] = ()
    columns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.whole or self.extended)


def find_stale_partials(
    warehouse: Warehouse, group: FeatureGroup, events: TableState, tracks: TableState | None = None
) -> StaleDays:
    """Of the group's partials: what each day is made of are the days that its longest tile sums up.

    Args:
        events: of the group's source.
        tracks: the catalogue as it is now, if the group is made of columns of it.
    """
    sources = name_partials(group, events)
    stale = StaleDays(sources, _identify(group.partials_contract().names, group.part_identities))
    state = warehouse.state(group.partials_table)
    former = [
        (
            {day: digest(_declare_parts(each), total) for day, total in _sum_ranges(events).items()},
            _identify(each.partials_contract().names, each.part_identities),
        )
        for each in _find_former_groups(warehouse, group, state)
    ]
    stale = _compare(state, stale, former)
    reads_catalogue = bool(select_concerned(group, stale.columns).catalogue_columns)
    return widen_to_tiles(_keep_one_catalogue(stale, state, tracks)) if reads_catalogue else stale


def name_partials(group: FeatureGroup, events: TableState) -> Names:
    """What the partials of each day are made of, by the state of the group's source."""
    rows = _declare_rows(group)
    # of the catalogue nothing: a track that is added each night would make all history anew
    names = {day: digest(*rows, total) for day, total in _sum_ranges(events).items()}
    limits = list(events.provisional_days.items())
    return _mark(names, limits, lambda day: tiles_ending_on(day)[-1].first)


def find_stale_features(
    warehouse: Warehouse,
    group: FeatureGroup,
    partials: TableState,
    events: TableState,
    tracks: TableState | None = None,
) -> StaleDays:
    """Of its daily table: each day is made of the partials up to it, and of the plays for what is no part of those."""
    stale = StaleDays(
        name_features(partials, events), _identify(group.contract().names, group.day_identities)
    )
    state = warehouse.state(group.table)
    former = [
        (
            {day: digest(declared, *each) for day, each in _pair_fingerprints(partials, events).items()},
            # such a name does not tell which events counted for columns without parts, so neither do these
            _identify(former_group.contract().names, former_group.day_identities | former_group.identities),
        )
        for former_group in _find_former_groups(warehouse, group, state)
        # tables of before name a day by all that the declarations said, those of long ago with their prose
        for declared in (former_group.identities, [repr(feature) for feature in former_group.features])
    ]
    stale = _compare(state, stale, former)
    narrow = group.select(stale.columns)
    # what has no part counts plays again
    reads_catalogue = narrow.catalogue_columns and any(not f.parts(w) for f, w in narrow.feature_windows)
    return _keep_one_catalogue(stale, state, tracks) if reads_catalogue else stale


def name_features(partials: TableState, events: TableState) -> Names:
    """What the features of each day are made of, by the states of its partials and of the group's source."""
    names = {day: digest(*each) for day, each in _pair_fingerprints(partials, events).items()}
    limits = [*partials.provisional_days.items(), *events.provisional_days.items()]
    return _mark(names, limits, lambda day: date.min)


def _pair_fingerprints(partials: TableState, events: TableState) -> dict[date, tuple[str, str]]:
    # a lifetime holds all plays, so a late one changes every later day; the fingerprints are cumulative
    so_far, plays = partials.cumulative_fingerprints(), events.cumulative_fingerprints()
    return {day: (so_far[day], plays[day]) for day in plays if day in so_far}


def _mark(
    sources: Names, limits: Sequence[tuple[date, datetime]], find_first: Callable[[date], date]
) -> Names:
    """Names that say so where a day from the first that a day is made of up to itself is provisional."""
    first = min((day for day, _ in limits), default=date.max)
    return {
        # mostly there are none, or the last one
        day: name
        if day < first
        else mark_provisional(name, [limit for each, limit in limits if find_first(day) <= each <= day])
        for day, name in sources.items()
    }


def select_concerned(group: FeatureGroup, parts: Collection[str]) -> FeatureGroup:
    """The group with the features that need some of these parts."""
    return group.select(
        [f.name(w) for f, w in group.feature_windows if any(part.name in parts for part in f.parts(w))]
    )


def _keep_one_catalogue(stale: StaleDays, state: TableState | None, tracks: TableState | None) -> StaleDays:
    """Days whose other columns are of another catalogue are made as a whole: it can have other keys."""
    known, catalogue = state.day_states if state else {}, tracks.version if tracks else None
    others = {day for day in stale.extended if known[day].catalogue not in (None, catalogue)}
    extended = tuple(day for day in stale.extended if day not in others)
    return replace(stale, whole=tuple(sorted({*stale.whole, *others})), extended=extended)


def widen_to_tiles(stale: StaleDays) -> StaleDays:
    """Days of tiles that sum up a day that is made as a whole are, too: until it is made it lacks the columns."""
    whole = sorted(stale.whole)

    def is_whole(day: date) -> bool:
        return bisect_left(whole, tiles_ending_on(day)[-1].first) < bisect_right(whole, day)

    # tiles are nested, so none of the days that this adds concerns one more
    days = (*stale.whole, *filter(is_whole, stale.extended))
    extended = tuple(day for day in stale.extended if not is_whole(day))
    return replace(stale, whole=tuple(sorted(days)), extended=extended)


def _compare(
    state: TableState | None, stale: StaleDays, former: Collection[tuple[Names, Mapping[str, str]]]
) -> StaleDays:
    whole, extended, columns = [], [], set()
    for day, source in stale.sources.items():
        known = _find_known_columns(state, day, source, former)
        lacks = {name for name, each in stale.identities.items() if known and known.get(name) != each}
        # other rows are no columns beside those that there are
        if not known or ROWS_COLUMN in lacks:
            whole.append(day)
        elif lacks:
            extended.append(day)
            columns |= lacks
    # in the order of the contract, which names a batch
    ordered = tuple(name for name in stale.identities if name in columns)
    return StaleDays(stale.sources, stale.identities, tuple(whole), tuple(extended), ordered)


def _find_known_columns(
    state: TableState | None,
    day: date,
    source: str,
    former: Collection[tuple[Names, Mapping[str, str]]],
) -> Mapping[str, str]:
    """What computed the columns of a day that is made of what it should be; empty for any other day."""
    part = state.day_states.get(day) if state else None
    if state is None or part is None:
        return {}
    if part.columns:
        return state.declared_columns(day) if part.upstream == source else {}
    # of days from before the log had their columns the name tells: it is that of one of these, or the day is stale
    return next((columns for names, columns in former if names.get(day) == part.upstream), {})


def _identify(names: Collection[str], identities: Mapping[str, object]) -> dict[str, str]:
    # 16 characters of each: the log has them in every commit
    return {name: digest(identities[name]) if name in identities else "" for name in names}


def _find_former_groups(
    warehouse: Warehouse, group: FeatureGroup, state: TableState | None
) -> Iterator[FeatureGroup]:
    """The group, and the group with only what its published table has columns for; none where all days name columns."""
    # each costs a digest of all declarations per day of history, and every step and plan comes here
    if state is None or all(part.columns for part in state.day_states.values()):
        return
    yield group
    if (table := find_last_published(warehouse, group.tables[-1])) is None:
        return
    stored = {field.name for field in table.schema().fields}
    if group.daily:
        former = group.select(stored)
    else:
        parts = {part.name for part in group.parts} & stored
        former = group.select(
            [f.name(w) for f, w in group.feature_windows if {part.name for part in f.parts(w)} <= parts]
        )
    if former.features and former.features != group.features:
        yield former


def find_last_published(warehouse: Warehouse, name: str) -> DeltaTable | None:
    """The table as it was last published to: maintenance and erasures add columns that no day has yet."""
    if (table := warehouse.table(name)) is None:
        return None
    for version in range(table.version(), -1, -1):
        if (metadata := commit_metadata_at(table, version)) is None:
            break
        if metadata.get("kind") == "publish":
            return warehouse.table(name, version)
    return table


def _declare_parts(group: FeatureGroup) -> list[object]:
    # as days of before were named; lists of rules are none of it, as there were no rules then
    return [*_declare_rows(group), [(repr(part), group.longest_span(part)) for part in group.parts]]


def _declare_rows(group: FeatureGroup) -> list[object]:
    return [group.keys, group.where, *([group.rows_identity] if group.rows_identity else [])]


def _sum_ranges(events: TableState) -> dict[date, int]:
    """Of every day of the calendar, what the days of the longest tile that ends there consist of, as one number."""
    # days without plays are among them, as tiles end there too
    first, last = events.days[0].toordinal(), events.days[-1].toordinal()
    calendar = [date.fromordinal(n) for n in range(first, last + 1)]
    # sums of hashes tell ranges of days apart in one pass; a hash of each range would take all days squared
    hashes = (int(digest(events.published_hashes([day])), 16) for day in calendar)
    until = [0, *accumulate(hashes)]
    # a tile may reach back to before the first play
    spans = [min(tiles_ending_on(day)[-1].span, n) for n, day in enumerate(calendar, 1)]
    return {day: until[n + 1] - until[n + 1 - spans[n]] for n, day in enumerate(calendar)}
