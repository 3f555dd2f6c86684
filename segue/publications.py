"""The publications of a daily table: which rows a day had at which instant, as the log has kept it.

A day that is published again takes other files, and the log says until which version the former ones were there. So
what was served at an instant can be read as it was, or is refused once those files are gone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from pyarrow import fs as pafs

from segue.errors import SegueError
from segue.idle import list_chain
from segue.publication_record import EPOCH, LOST, newest_instants, read_record
from segue.storage import DataFile, Snapshot, filesystem

Ints = NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Publication:
    """What a table has, or had, of the day `ds` from `available_at` on; `version` as in `Earlier`."""

    ds: date
    available_at: datetime
    version: int | None = field(compare=False)
    # of days before, where the rows of entities are that have none on this day: see `segue.idle`
    earlier: tuple[Publication, ...] = field(default=(), compare=False)


class Publications:
    """Of one version of a table: its days, and if `as_published` all that they were before.

    They are in order of day, then of time; a place is one in this order. The log is read for what a day was before
    alone, so that by day nothing is read at all.
    """

    def __init__(self, snapshot: Snapshot, as_published: bool) -> None:
        self.snapshot = snapshot
        self._snapshots = {snapshot.version: snapshot}
        self._erased_in = 0
        if as_published:
            self.all = self._list_all()
            instants = [(each.available_at - EPOCH) // timedelta(microseconds=1) for each in self.all]
        else:
            days = {day: Publication(day, EPOCH, snapshot.version) for day in snapshot.days}
            self.all = [
                _add_earlier(day, days, snapshot.days) if snapshot.idle else days[day] for day in days
            ]
        # Not as datetimes of Python, which end with the year 9999.
        midnights = np.array([each.ds for each in self.all], "datetime64[D]") + np.timedelta64(1, "D")
        self.ends: Ints = midnights.astype("datetime64[us]").astype(np.int64)
        # Both, as a day can be published before it has ended: it is whole only afterwards.
        self.usable_from = np.maximum(self.ends, np.array(instants, np.int64)) if as_published else self.ends

    def find(self, at: Ints) -> Ints:
        """The place that each instant, in microseconds, sees: the last publication of the newest day; -1 for none."""
        places = _find_newest(self.usable_from, at)
        empty_places = (n for n in reversed(range(len(self.all))) if self.all[n].version is None)
        # Taken away: then it is the day before that is the newest, which may have been taken away as well.
        for place in empty_places:
            rest = np.flatnonzero(places == place)
            if len(rest):
                first = int(np.searchsorted(self.ends, self.ends[place]))
                places[rest] = _find_newest(self.usable_from[:first], at[rest])
        return places

    def is_newest(self, place: int) -> bool:
        """Whether the table still has it as it was."""
        publication = self.all[place]
        return all(each.version == self.snapshot.version for each in (publication, *publication.earlier))

    def files(self, place: int) -> list[DataFile]:
        """Of one publication that `check` found to be there."""
        return self._select(self.all[place])

    def earlier_files(self, place: int) -> Iterator[tuple[int, list[DataFile]]]:
        """Where the rows of entities are that have none there, newest first; and by how many days they are older."""
        publication = self.all[place]
        for each in publication.earlier:
            yield (publication.ds - each.ds).days, self._select(each)

    def spaces(self, place: int) -> frozenset[str]:
        """Those that the rows of a publication are of."""
        if self.is_newest(place):
            return self.snapshot.spaces(self.all[place].ds)
        return self.snapshot.spaces_of(self.files(place))

    def find_losses(self, places: Iterable[int]) -> dict[int, str]:
        """Why the rows of some publications can no longer be read, by place."""
        return {
            place: loss
            for place in places
            for each in (self.all[place], *self.all[place].earlier)
            if (loss := self._find_loss(each))
        }

    def check(self, places: Iterable[int]) -> None:
        """Raises SegueError where the rows of one of these publications are no longer there."""
        losses = self.find_losses(places)
        if not losses:
            return
        place = max(losses)
        publication = self.all[place]
        version = "" if publication.version == LOST else f" (up to version {publication.version})"
        others = f"; {len(losses) - 1} more are lost as well" if len(losses) > 1 else ""
        # the last one that is lost: from its end on, no label needs any of them
        ends = self.usable_from[place + 1 :]
        later = (
            f", or for labels from {EPOCH + timedelta(microseconds=int(ends.min()))} on" if len(ends) else ""
        )
        raise SegueError(
            f"table {self.snapshot.name}: some labels saw {publication.ds} as it was published "
            f"{publication.available_at}{version}, before it was published again, and {losses[place]}{others}",
            f"ask by day instead of as published{later}",
        )

    def _list_all(self) -> list[Publication]:
        record, self._erased_in = read_record(self.snapshot.uri, self.snapshot.version)
        instants = newest_instants(
            (file.partition["ds"], file.partition.get("available_at"))
            for file in self.snapshot.files
            if file.partition["ds"]
        )
        current = [Publication(day, at, self.snapshot.version) for day, at in instants.items() if at]
        publications = sorted(
            [*current, *(Publication(day, *each) for day in record for each in record[day])]
        )
        return sorted(_list_with_earlier(publications)) if self.snapshot.idle else publications

    def _find_loss(self, publication: Publication) -> str | None:
        """Why its rows cannot be read any more; None where they can."""
        version = publication.version
        if version is None or version == self.snapshot.version:
            return None
        # an erasure rewrites what is in the table, and nothing that was replaced before
        if version != LOST and version < self._erased_in:
            return f"version {self._erased_in} erased a listener, who may be in there"
        try:
            files = [] if version == LOST else self._snapshot_at(version).select(publication.ds)
        except SegueError:
            files = []
        if not files:
            return "the log does not reach back so far any more"
        source, path = filesystem(self.snapshot.uri)
        infos = source.get_file_info([f"{path}/{file.path}" for file in files])
        removed = sum(info.type == pafs.FileType.NotFound for info in infos)
        return f"{removed} of its {len(files)} files were removed by maintenance" if removed else None

    def _select(self, publication: Publication) -> list[DataFile]:
        version = publication.version
        return [] if version is None else self._snapshot_at(version).select(publication.ds)

    def _snapshot_at(self, version: int) -> Snapshot:
        # a version may have several of the days that labels get
        if version not in self._snapshots:
            self._snapshots[version] = Snapshot.at(self.snapshot.uri, version)
        return self._snapshots[version]


def _add_earlier(day: date, table: Mapping[date, Publication], days: Sequence[date]) -> Publication:
    return replace(table[day], earlier=tuple(table[each] for each in list_chain(day, days)[1:]))


def _list_with_earlier(publications: Iterable[Publication]) -> Iterator[Publication]:
    """The publications with their earlier ones; a day is there again from each instant on at which those are others."""
    table: dict[date, Publication] = {}
    served: dict[date, Publication] = {}
    in_time = sorted(publications, key=lambda each: each.available_at)
    for instant, changed in groupby(in_time, lambda each: each.available_at):
        changes = {each.ds: each for each in changed}
        table |= changes
        days = sorted(day for day, each in table.items() if each.version is not None)
        yield from (each for each in changes.values() if each.version is None)
        # a day leans on those before it alone
        for day in days[bisect_left(days, min(changes)) :]:
            publication = _add_earlier(day, table, days)
            before = served.get(day)
            served[day] = publication
            if day in changes or before is None or before.earlier != publication.earlier:
                yield replace(publication, available_at=instant)


def _find_newest(since: Ints, at: Ints) -> Ints:
    """For each instant the last place of `since`, in whatever order that is, that is not after it; -1 for none."""
    # In order of time, with the last place so far: a day that was published again is usable later than its successor.
    order = np.argsort(since, kind="stable")
    last = np.concatenate([[-1], np.maximum.accumulate(order)])
    return last[np.searchsorted(since[order], at, side="right")]
