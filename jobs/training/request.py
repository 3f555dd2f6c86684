"""What a training set shall hold; the manifest keeps it, so that a replay can make it again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from jobs.errors import WrongUsage
from schemas import CONTRACTS, FEATURE_GROUPS, FeatureGroup
from schemas.common import DS
from schemas.operations import DeclarationError
from schemas.outcomes import Outcome, outcome_groups
from segue.storage import REMOVED, Snapshot
from segue.training_set import FRAME

Columns = tuple[str, ...]

# The column of the labels' instants, unless another is given.
AT = "label_at"
# What fields of a request were called in manifests of before.
FORMER_NAMES = {"exact": "at_label_time", "known": "as_published"}


@dataclass(frozen=True)
class Request:
    """As given on the command line; kept as text and numbers, so that a manifest can hold it."""

    labels: str
    # `table:column`, or a table for all of it
    features: tuple[str, ...] = ()
    at_label_time: tuple[str, ...] = ()
    at: str = AT
    as_published: bool = False
    # in days
    max_age: float | None = None
    # where the splits are: in time, and by shares of what is in the column `split_by`
    instants: tuple[str, ...] = ()
    split_by: str | None = None
    shares: tuple[float, ...] = ()
    # to take vectors of, where labels get days of several
    space: str | None = None
    # labels of days that are not complete are taken
    provisional: bool = False
    # `table:column`, whose window is the horizon
    outcomes: tuple[str, ...] = ()
    # labels with an outcome that is not known are left out
    ripe_only: bool = False
    # of the labels, by a hash of what is in the column `sample_by`
    sample: float | None = None
    sample_by: str | None = None
    # the column whose values are requests, of which none is cut
    groups: str | None = None
    # hashed with what is in `split_by`
    split_salt: str = ""

    @staticmethod
    def loads(saved: Mapping[str, Any]) -> Request:
        """Of the fields as a manifest or the command line has them."""
        fields: dict[str, Any] = {}
        for name, value in saved.items():
            # neither knows tuples
            fields[FORMER_NAMES.get(name, name)] = tuple(value) if isinstance(value, list) else value
        return Request(**fields)

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
        # a day or an instant without a zone is one in UTC, as in all tables
        instants = [each if each.tzinfo else each.replace(tzinfo=UTC) for each in parsed]
        if len(instants) > 2 or instants != sorted(set(instants)):
            raise WrongUsage("--split-at takes one instant (where the test begins) or two in order")
        return instants


def daily_columns(
    refs: Sequence[str], tables: Collection[str], snapshot: Callable[[str], Snapshot]
) -> dict[str, Columns]:
    """The columns of each daily table of a release that are requested, as the table's version there has them.

    Raises:
        WrongUsage: a table or column that there is not, or a table that is declared no more.
    """
    named = dict.fromkeys(ref.partition(":")[0] for ref in refs)
    if unknown := [name for name in named if name in tables and name not in CONTRACTS]:
        raise WrongUsage(
            f"features of {', '.join(unknown)}: the release has that, and nothing declares it here. Run this with the "
            "project that declared it; or store.training_set of the client reads it, which needs no declarations"
        )
    daily = [name for name in tables if name in CONTRACTS and CONTRACTS[name].event_time == "feature_at"]
    columns: dict[str, Columns] = dict.fromkeys(daily, ())
    # a version may hold features that are declared no more by now, and lacks those declared since
    for name in named.keys() & set(daily):
        version = snapshot(name)
        others = (*FRAME, *version.key, *version.list_marked(REMOVED))
        columns[name] = tuple(c for c in version.schema.names if c not in others)
    return _resolve(refs, columns, "release")


def label_time_columns(refs: Sequence[str]) -> dict[str, Columns]:
    """The same, of what can be merged from partials at a label's own instant."""
    columns = {group.table: tuple(f.name(w) for f, w in group.feature_windows) for group in FEATURE_GROUPS}
    return _resolve(refs, columns, "declarations")


def split_refs(request: Request) -> tuple[list[str], list[str]]:
    """Daily ones, and those at label time."""
    # pairs have no daily table: their features are merged for the labels, whichever way they are requested
    merged = {group.table for group in FEATURE_GROUPS if not group.daily}
    daily = [ref for ref in request.features if ref.partition(":")[0] not in merged]
    return daily, [*request.at_label_time, *(ref for ref in request.features if ref not in daily)]


def list_keys(request: Request) -> list[str]:
    """The columns by which the requested tables are looked up, once each."""
    keys = {group.table: group.keys for group in FEATURE_GROUPS}
    refs = (*request.features, *request.at_label_time, *request.outcomes)
    tables = dict.fromkeys(ref.partition(":")[0] for ref in refs)
    of_tables = (keys.get(table) or (CONTRACTS[table].key if table in CONTRACTS else ()) for table in tables)
    return [key for key in dict.fromkeys(chain.from_iterable(of_tables)) if key != DS.name]


def outcome_groups_of(refs: Iterable[str]) -> list[FeatureGroup]:
    """See `outcome_groups`, of what is declared now; raises WrongUsage where an outcome is not."""
    try:
        return outcome_groups(map(Outcome.parse, refs), FEATURE_GROUPS)
    except DeclarationError as problem:
        raise WrongUsage(str(problem)) from None


def _name_columns(refs: Sequence[str], outputs: Sequence[str]) -> Columns:
    names: list[str] = []
    for ref in refs:
        columns = [output.removeprefix(f"{ref}__") for output in outputs if output.startswith(f"{ref}__")]
        names += [ref] if ":" in ref else [f"{ref}:{column}" for column in columns if column not in FRAME]
    return tuple(names)


def _resolve(refs: Sequence[str], tables: Mapping[str, Columns], place: str) -> dict[str, Columns]:
    resolved: dict[str, Columns] = {}
    for ref in refs:
        table, _, column = ref.partition(":")
        if table not in tables:
            names = ", ".join(tables)
            raise WrongUsage(
                f"feature {ref}: no table {table!r} with features in the {place}; there are: {names}"
            )
        if column and column not in tables[table]:
            raise WrongUsage(
                f"feature {ref}: table {table} has no {column!r}; it has: {', '.join(tables[table])}"
            )
        resolved[table] = resolved.get(table, ()) + ((column,) if column else tables[table])
    # a column that is named twice, or by itself and with its table, is joined once
    return {table: tuple(dict.fromkeys(columns)) for table, columns in resolved.items()}
