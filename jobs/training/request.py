"""What a training set shall hold; the manifest keeps it, so that a replay can make it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.errors import WrongUsage
from schemas import CONTRACTS, FEATURE_GROUPS, FeatureGroup
from segue.storage import Snapshot
from segue.training_set import FRAME

# What fields of a request were called in manifests of before.
FORMER_NAMES = {"exact": "at_label_time", "known": "as_published"}


@dataclass(frozen=True)
class Request:
    """As given on the command line. `features` and `at_label_time` are `table:column`, or a table for all of it.

    `max_age` is in days. `space` is the one to take vectors of, where labels get days of several. `instants` and
    `shares` say where the splits are, `split_by` the column of `shares`.
    """

    labels: str
    features: tuple[str, ...] = ()
    at_label_time: tuple[str, ...] = ()
    at: str = "label_at"
    as_published: bool = False
    max_age: float | None = None
    instants: tuple[str, ...] = ()
    split_by: str | None = None
    shares: tuple[float, ...] = ()
    space: str | None = None

    @staticmethod
    def loads(saved: Mapping[str, Any]) -> Request:
        given: dict[str, Any] = {
            FORMER_NAMES.get(name, name): tuple(value) if isinstance(value, list) else value
            for name, value in saved.items()
        }
        return Request(**given)

    def with_columns(self, outputs: Sequence[str]) -> Request:
        """Every whole table replaced by its columns among `outputs`: tables get columns after a set was made."""
        return replace(
            self,
            features=_name_columns(self.features, outputs),
            at_label_time=_name_columns(self.at_label_time, outputs),
        )

    @property
    def age_limit(self) -> timedelta | None:
        return None if self.max_age is None else timedelta(days=self.max_age)

    @property
    def split_instants(self) -> list[datetime]:
        """Raises WrongUsage where one is no instant, or where they are not in order."""
        try:
            parsed = [datetime.fromisoformat(text) for text in self.instants]
        except ValueError as problem:
            raise WrongUsage(f"--split-at: {problem}; write 2026-11-01 or 2026-11-01T12:00:00") from None
        instants = [each if each.tzinfo else each.replace(tzinfo=UTC) for each in parsed]
        if len(instants) > 2 or instants != sorted(set(instants)):
            raise WrongUsage("--split-at takes one instant (where the test begins) or two in order")
        return instants


def daily_columns(
    refs: Sequence[str], tables: Iterable[str], snapshot: Callable[[str], Snapshot]
) -> dict[str, tuple[str, ...]]:
    """The columns of each daily table of a release that are requested, as the table's version there has them.

    Raises:
        WrongUsage: a table or column that there is not.
    """
    daily = [name for name in tables if name in CONTRACTS and CONTRACTS[name].event_time == "feature_at"]
    known: dict[str, tuple[str, ...]] = dict.fromkeys(daily, ())
    # a version holds features that are declared no more, and lacks those declared since
    for name in {ref.partition(":")[0] for ref in refs} & set(daily):
        version = snapshot(name)
        known[name] = tuple(c for c in version.schema.names if c not in (*FRAME, *version.key))
    return _resolve(refs, known, "release")


def label_time_columns(refs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The same, of what can be merged from partials at a label's own instant."""
    known = {group.table: tuple(f.name(w) for f, w in group.feature_windows) for group in FEATURE_GROUPS}
    return _resolve(refs, known, "declarations")


def group_of(table: str) -> FeatureGroup:
    return next(group for group in FEATURE_GROUPS if group.table == table)


def split_refs(request: Request) -> tuple[list[str], list[str]]:
    """Daily ones, and those at label time: a group without a daily table is always merged for the labels."""
    merged = {group.table for group in FEATURE_GROUPS if not group.daily}
    daily = [ref for ref in request.features if ref.partition(":")[0] not in merged]
    return daily, [*request.at_label_time, *(ref for ref in request.features if ref not in daily)]


def _name_columns(refs: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
    named: list[str] = []
    for ref in refs:
        columns = [output.removeprefix(f"{ref}__") for output in outputs if output.startswith(f"{ref}__")]
        named += [ref] if ":" in ref else [f"{ref}:{column}" for column in columns if column not in FRAME]
    return tuple(named)


def _resolve(
    refs: Sequence[str], known: Mapping[str, tuple[str, ...]], place: str
) -> dict[str, tuple[str, ...]]:
    resolved: dict[str, list[str]] = {}
    for ref in refs:
        table, _, column = ref.partition(":")
        if table not in known:
            tables = ", ".join(known)
            raise WrongUsage(
                f"feature {ref}: no table {table!r} with features in the {place}; there are: {tables}"
            )
        if column and column not in known[table]:
            raise WrongUsage(
                f"feature {ref}: table {table} has no {column!r}; it has: {', '.join(known[table])}"
            )
        resolved.setdefault(table, []).extend([column] if column else known[table])
    return {table: tuple(dict.fromkeys(columns)) for table, columns in resolved.items()}
