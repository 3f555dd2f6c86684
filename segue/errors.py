"""What can go wrong, each as one line: what, got, expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice


class SegueError(Exception):
    """Base of all that this package raises on purpose; the command ends with `exit_code`."""

    exit_code = 1

    @classmethod
    def no_releases(cls, root: str) -> SegueError:
        return cls(
            f"there are no releases under {root!r}; expected the folder 'releases' there. "
            "Hint: give the right root, or publish and release a day first"
        )

    @classmethod
    def unreadable(cls, uri: str, version: int | None, problem: object) -> SegueError:
        which = "the newest version" if version is None else f"version {version}"
        return cls(f"{which} of the table at {uri!r} cannot be read: {_first_line(problem)}")

    @classmethod
    def vacuumed(cls, uri: str, version: int, path: object) -> SegueError:
        return cls(
            f"version {version} of the table at {uri!r} has lost files, such as {_first_line(path)}; "
            "they were vacuumed or removed. Hint: use a newer release"
        )

    @classmethod
    def expired(cls, release: str, ended: object, alive: Iterable[str]) -> SegueError:
        return cls(
            f"release {release} can no longer be read: its life ended {str(ended)[:16]} UTC, and maintenance removes "
            f"what only it holds. Hint: open one of {_listed(list(alive), 5)}"
        )

    @classmethod
    def spoiled(cls, uri: str, version: int, problem: object) -> SegueError:
        return cls(
            f"version {version} of the table at {uri!r} cannot be read: {_first_line(problem)}. "
            "Hint: segue verify finds the file; until it is restored, open another release"
        )

    @classmethod
    def overtaken(cls, newest: object) -> SegueError:
        return cls(
            f"release {newest} was made meanwhile; nothing was released. Hint: run release-tables again"
        )

    @classmethod
    def before_erasure(cls, release: str, table: str, version: int) -> SegueError:
        return cls(
            f"release {release} is from before version {version} of {table}, which erased a listener: going back "
            "would bring the listener back for good. Hint: publish the days that are wrong again, then release"
        )

    @classmethod
    def not_unique(cls, table: str, entity: str, rows: int, keys: int) -> SegueError:
        return cls(
            f"table {table} has {rows} rows for {keys} values of {entity} on one day; expected one each. "
            "Hint: roll back to an earlier release"
        )

    @classmethod
    def no_embedding(cls, track: str, day: object, tracks: int) -> SegueError:
        return cls(
            f"track {track!r} has no embedding; on {day} {tracks} tracks have one. "
            "Hint: a track has one from the training after it was first played or came into the catalogue"
        )

    @classmethod
    def nothing_known(cls, track: str, day: object) -> SegueError:
        return cls(
            f"track {track!r} is known, but on {day} nothing is known of it that a vector could be made of: too few "
            "plays, no other track of its artist, nothing in the catalogue. Hint: ask for another track"
        )

    @classmethod
    def many_spaces(cls, table: str, day: object, spaces: Iterable[str]) -> SegueError:
        return cls(
            f"the rows of {table} on {day} are of several spaces ({', '.join(sorted(spaces))}); vectors compare "
            "within one only. Hint: open a release whose days have one each"
        )

    @classmethod
    def ragged(cls, column: str, lengths: Iterable[int | None]) -> SegueError:
        seen = ", ".join("null" if length is None else str(length) for length in lengths)
        return cls(
            f"vectors in {column} must all have one length; got {seen}. Hint: roll back to an earlier release"
        )

    @classmethod
    def needs_spark(cls) -> SegueError:
        return cls("this command needs the Spark half: pip install 'segue-platform[spark]'")

    @classmethod
    def contended(cls, uri: str, attempts: int) -> SegueError:
        return cls(f"{attempts} commits to {uri!r} each lost to another writer; try again")


class UsageError(SegueError):
    """The caller asked for what cannot be: an unknown name, a value of the wrong kind."""

    exit_code = 2

    @classmethod
    def unknown(cls, kind: str, name: object, known: Iterable[object], where: str = "") -> UsageError:
        """`known` is listed in its order, the likeliest meant as a hint."""
        names = [str(each) for each in known]
        place = f" in {where}" if where else ""
        close = get_close_matches(str(name), names, n=3)
        hint = f". Hint: did you mean {' or '.join(map(repr, close))}?" if close else ""
        return cls(f"{kind} {str(name)!r} is unknown{place}; known: {_listed(names)}{hint}")

    @classmethod
    def not_a_list(cls, what: str, got: object) -> UsageError:
        return cls(f"{what} must be a list of strings; got {got}. Hint: for one, write [{what[:-1]}]")

    @classmethod
    def not_a_day(cls, got: object) -> UsageError:
        return cls(f"a day is a datetime.date or text like '2026-11-20'; got {got!r}")

    @classmethod
    def no_lookup(cls, table: str, key: Iterable[str], entity: str | None) -> UsageError:
        reason = f"many rows for one {entity}" if entity else "no column that look-ups ask by"
        return cls(f"table {table} has {reason} (its key is {', '.join(key)}). Hint: scan it instead")

    @classmethod
    def no_snapshots(cls, table: str, key: Iterable[str]) -> UsageError:
        return cls(
            f"table {table} has no daily snapshots of entities (its key is {', '.join(key)}). "
            "Hint: look it up or scan it instead"
        )

    @classmethod
    def not_labels(cls, got: str) -> UsageError:
        return cls(f"labels must be a pyarrow.Table; got {got}. Hint: pyarrow.Table.from_pandas makes one")

    @classmethod
    def wrong_column(cls, name: str, expected: str, got: str) -> UsageError:
        return cls(f"the labels need one column {name!r} of {expected}; got {got}")

    @classmethod
    def mixed_spaces(cls, since: Mapping[str, Mapping[str, object]]) -> UsageError:
        """`since` has, per space, the tables that labels get vectors of, and the first such day of each."""
        return cls(
            f"labels would get vectors of {len(since)} spaces ({_since(since)}); vectors compare within one only. "
            "Hint: give labels of days in one space, or say which by space=… (--space …): features of days in another "
            "come out null then"
        )

    @classmethod
    def mixed_scan(cls, table: str, columns: Iterable[str], since: Mapping[str, object]) -> UsageError:
        """`since` has the first day of each space."""
        spaces = _since({space: {table: day} for space, day in since.items()})
        return cls(
            f"{', '.join(columns)} of all days would be of {len(since)} spaces ({spaces}); vectors compare within one "
            "only. Hint: give a day, or ask for space_id too"
        )

    @classmethod
    def no_spaces(cls, space: str, tables: Iterable[str]) -> UsageError:
        return cls(
            f"space {space!r} was asked for, and no table of the features has spaces; got "
            f"{', '.join(tables) or 'no features'}. Hint: leave the space out"
        )

    @classmethod
    def taken(cls, names: Iterable[str]) -> UsageError:
        listed = _listed(list(names), 5)
        return cls(
            f"two columns would be called {listed}. Hint: rename the label's, or ask for one of them only"
        )


def _first_line(problem: object) -> str:
    return next(iter(str(problem).splitlines()), "no reason given")


def _since(spaces: Mapping[str, Mapping[str, object]]) -> str:
    return "; ".join(
        f"{space}: {', '.join(f'{table} from {day}' for table, day in tables.items())}"
        for space, tables in spaces.items()
    )


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(islice(names, most)) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
