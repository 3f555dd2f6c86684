"""What a table of features served, night after night: rows as a plain read found them, and from when on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random

from reference.publications import Publication, find_served, join
from reference.rows import Row, midnight_after

US, SECOND = timedelta(microseconds=1), timedelta(seconds=1)


@dataclass
class ServedLog:
    """`publications` in order of time; of an erasure only its instant is kept."""

    publications: list[Publication] = field(default_factory=list)
    erased_at: datetime | None = None
    _last: dict[date, dict[str, Row]] = field(default_factory=dict)

    def observe(self, rows: Iterable[Row], at: datetime) -> None:
        """Every day that has other rows than when it was looked at last was published at this instant."""
        by_day: dict[date, dict[str, Row]] = defaultdict(dict)
        for row in rows:
            by_day[row["ds"]][row["user_id"]] = row
        for day in sorted(by_day.keys() | self._last.keys()):
            if by_day.get(day, {}) != self._last.get(day, {}):
                self.publications.append(Publication(day, at, tuple(by_day.get(day, {}).values())))
        self._last = dict(by_day)

    def erase(self, user: str, at: datetime) -> None:
        """From now on the listener has never been there; what was replaced before is lost to everybody."""
        self.erased_at = at
        self.publications = [
            replace(each, rows=tuple(row for row in each.rows if row["user_id"] != user))
            for each in self.publications
        ]
        for of_day in self._last.values():
            of_day.pop(user, None)

    def is_lost(self, label_at: datetime | None) -> bool:
        """Whether the rows that such a label saw were replaced before the erasure."""
        seen = find_served(self.publications, label_at)
        if seen is None or self.erased_at is None:
            return False
        later = (
            each for each in self.publications if each.ds == seen.ds and each.available_at > seen.available_at
        )
        return any(each.available_at < self.erased_at for each in later)

    def draw_labels(self, draw: Random, count: int, users: int) -> list[Row]:
        """At any hour of the month, and right before and after publications; of nobody and of strangers, too."""
        instants = sorted({each.available_at for each in self.publications})
        first, last = instants[0] - timedelta(days=1), instants[-1] + timedelta(days=1)
        hours = int((last - first) / timedelta(hours=1))
        labels = []
        for n in range(count):
            at = draw.choice(instants) + draw.choice((-US, SECOND))
            if n % 2:
                at = first + draw.randrange(hours) * timedelta(hours=1) + timedelta(minutes=29, seconds=3)
            user = draw.choice([*(f"u{draw.randrange(users)}" for _ in range(8)), "stranger", None])
            labels.append({"user_id": user, "label_at": at, "n": n})
        return labels

    def expect(self, labels: Iterable[Row], table: str, columns: list[str], defaults: Row) -> list[Row]:
        return list(join(labels, table, self.publications, ["user_id"], columns, defaults))

    @property
    def replaced(self) -> int:
        """Publications of days that were published before."""
        return len(self.publications) - len({each.ds for each in self.publications})


def after_midnight(day: date, hours: float) -> datetime:
    return midnight_after(day) + hours * timedelta(hours=1)
