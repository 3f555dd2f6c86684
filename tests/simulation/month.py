"""A month of nights that go wrong, as data; and what is published and what waits after each action, by two rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random

from reference.rows import Row
from reference.worlds import play

# Long ago, so that no play is in the future, and over a leap day.
FIRST = date(2024, 2, 12)
DAY = timedelta(days=1)
# What a delivery gone wrong says of each play.
WRONG_MS = 86_000_000


@dataclass(frozen=True)
class Play:
    """One play, as a source delivers it."""

    play_id: str
    user: str
    track: str
    at: datetime
    ms: int

    @property
    def day(self) -> date:
        return self.at.date()

    def row(self) -> Row:
        columns = {"play_id": self.play_id, "user_id": self.user, "track_id": self.track, "artist_id": None}
        return play(**columns, played_at=self.at, ms_played=self.ms, track_ms=None)


@dataclass(frozen=True)
class Ingest:
    """A file of plays, by its name."""

    name: str
    plays: tuple[Play, ...]


@dataclass(frozen=True)
class Retract:
    """All plays of a file."""

    file: Ingest


@dataclass(frozen=True)
class Restate:
    """What waits of all days."""


@dataclass(frozen=True)
class Forget:
    user: str


@dataclass(frozen=True)
class Declare:
    """One feature more."""


Action = Ingest | Retract | Restate | Forget | Declare


@dataclass(frozen=True)
class Night:
    """What happens in the night after a day; `kills` are steps that are killed on the way and begun again."""

    day: date
    actions: tuple[Action, ...]
    kills: tuple[str, ...] = ()


@dataclass
class Ledger:
    """Plays that are published and that wait, by id: what came first stays, and what is too old waits."""

    allowed_days: int
    published: dict[str, Play] = field(default_factory=dict)
    late: dict[str, Play] = field(default_factory=dict)
    # of published plays; an erasure leaves the days that it empties
    days: set[date] = field(default_factory=set)

    def apply(self, action: Action) -> None:
        if isinstance(action, Ingest):
            self._ingest(action.plays)
        elif isinstance(action, Retract):
            self.remove(each.play_id for each in action.file.plays)
        elif isinstance(action, Restate):
            self.restate(date.min, max(self.days))
        elif isinstance(action, Forget):
            self.forget(action.user)

    def _ingest(self, plays: Iterable[Play]) -> None:
        first = max(self.days) - self.allowed_days * DAY if self.days else date.min
        for each in plays:
            if each.play_id in self.published or (each.day < first and each.play_id in self.late):
                continue
            (self.late if each.day < first else self.published)[each.play_id] = each
        self.days |= {each.day for each in self.published.values()}

    def restate(self, first: date, last: date) -> None:
        for each in [each for each in self.late.values() if first <= each.day <= last]:
            del self.late[each.play_id]
            if each.play_id not in self.published:
                self.published[each.play_id] = each
                self.days.add(each.day)

    def remove(self, play_ids: Iterable[str]) -> None:
        """Days that lose their plays are days no more, but between others."""
        before = len(self.published)
        for play_id in set(play_ids):
            self.published.pop(play_id, None)
            self.late.pop(play_id, None)
        if len(self.published) < before:
            full = {each.day for each in self.published.values()}
            self.days = {day for day in self.days if full and min(full) <= day <= max(full)}

    def forget(self, user: str) -> None:
        for plays in (self.published, self.late):
            for play_id in [each.play_id for each in plays.values() if each.user == user]:
                del plays[play_id]


def make_month(nights: int, listeners: int, allowed_days: int, seed: int) -> list[Night]:
    """Every kind of bad night once; at least six nights."""
    draw = Random(seed)
    deliveries = _deliver(draw, nights, listeners, allowed_days)
    half, sent_again, declared, wrong, restated, erased = (
        int(nights * share) for share in (0.17, 0.34, 0.5, 0.55, 0.7, 0.84)
    )
    first_half = [each for each in deliveries[half] if int(each.user[1:]) % 2]
    deliveries[half + 1] += [each for each in deliveries[half] if each not in set(first_half)]
    deliveries[half] = first_half
    gone = "u7"
    for night in range(erased, nights):
        deliveries[night] = [each for each in deliveries[night] if each.user != gone]
    files = [Ingest(f"{FIRST + n * DAY}", tuple(plays)) for n, plays in enumerate(deliveries)]
    spoiled = Ingest("wrong", tuple(replace(each, ms=WRONG_MS) for each in files[wrong].plays))
    actions: list[list[Action]] = [[file] for file in files]
    actions[sent_again].append(Ingest("again", files[sent_again - 1].plays))
    actions[declared].insert(0, Declare())
    actions[wrong].remove(files[wrong])
    actions[wrong].append(spoiled)
    actions[wrong + 1][:0] = [Retract(spoiled), Ingest("mended", files[wrong].plays)]
    actions[restated].append(Restate())
    actions[erased].insert(0, Forget(gone))
    actions[-1].append(Restate())
    kills = {half: ("sessions",), sent_again: ("user_features",), wrong + 1: ("plays",)}
    return [Night(FIRST + n * DAY, tuple(of), kills.get(n, ())) for n, of in enumerate(actions)]


def _deliver(draw: Random, nights: int, listeners: int, allowed_days: int) -> list[list[Play]]:
    """The plays of each night: of its day, and a few of days before it."""
    deliveries: list[list[Play]] = [[] for _ in range(nights)]
    for n in range(nights):
        for user in range(listeners):
            for each in _listen(draw, n, f"u{user}"):
                delay = draw.choices(
                    (0, draw.randint(1, allowed_days), draw.randint(allowed_days + 1, allowed_days + 3)),
                    (90, 7, 3),
                )[0]
                deliveries[min(n + delay, nights - 1)].append(each)
    return deliveries


def _listen(draw: Random, n: int, user: str) -> Iterator[Play]:
    """Plays that follow one another; some go on over midnight."""
    at = (
        datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
        + n * DAY
        + draw.randrange(86_400) * DAY / 86_400
    )
    for m in range(draw.choice((0, 1, 2, 2, 4))):
        ms = draw.randrange(5_000, 400_000)
        yield Play(f"{n:02}-{user}-{m}", user, f"t{int(draw.paretovariate(1)) % 50}", at, ms)
        at += timedelta(milliseconds=ms) + draw.choice((0, 0, 3600)) * timedelta(seconds=1)
        if at.date() > FIRST + n * DAY:
            return


def list_good_files(nights: Iterable[Night]) -> Iterator[Ingest]:
    """What the source should have delivered: each play once, and right."""
    for night in nights:
        yield from (
            each for each in night.actions if isinstance(each, Ingest) and each.name not in ("wrong", "again")
        )


def shuffle(nights: Iterable[Night], draw: Random) -> list[Action]:
    """The actions in any order in which they end the same: a file goes only once it is there, a listener last."""
    actions = [each for night in nights for each in night.actions]
    last = [each for each in actions if isinstance(each, Forget | Declare)]
    rest = [each for each in actions if each not in last and not isinstance(each, Restate)]
    repair = [
        each for each in rest if isinstance(each, Retract) or getattr(each, "name", "") in ("wrong", "mended")
    ]
    others = [each for each in rest if each not in repair]
    draw.shuffle(others)
    for each, place in zip(repair, sorted(draw.sample(range(len(others) + 1), len(repair))), strict=True):
        others.insert(place + repair.index(each), each)
    for _ in range(2):
        others.insert(draw.randrange(1, len(others) + 1), Restate())
    others.insert(draw.randrange(len(others) + 1), Declare())
    return [*others, *(each for each in last if isinstance(each, Forget)), Restate()]
