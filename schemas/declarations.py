"""Features declared as data; a column's name, type and lineage follow from the declaration.

`schemas/operations.py` says what each operation means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import sqlglot

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, bucket
from schemas.contract import Column, Contract
from schemas.operations import LIFETIME, OPERATIONS, DeclarationError, Operation, window_days
from schemas.parts import SKETCHES, Part, PlayInput
from schemas.sessions import SESSIONS

# Of a feature, what no value depends on; `windows` make columns, and each has an identity of its own.
_NOT_COMPUTED = ("meaning", "owner", "windows")

# The entities that features are declared for: the columns that name one.
USER, TRACK, ARTIST = ("user_id",), ("track_id",), ("artist_id",)
USER_TRACK, USER_ARTIST = ("user_id", "track_id"), ("user_id", "artist_id")

# What names a listener, or what only one listener did: kept only where the listener can be erased from.
IDENTIFYING_COLUMNS = ("user_id", "session_id", "play_id")

# Spans of partials: days in them. The longest, 45 years, lets a lifetime be merged from 15 at most.
SPANS = tuple(2**level for level in range(15))
SPAN = Column("span", "int", "days that the row sums up, ds the last of them; a power of two", "days", False)
# Which of a group's windows a tile is in is a bigint with a bit for each.
MAX_WINDOWS = 62


@dataclass(frozen=True)
class Feature:
    """`what` is counted, summed, … : one column `<what>_<op>_<window>` per window.

    `input`, `where` (plays for which it is not true are left out) and `per` are SQL over a row of
    `sessions`; `type` is the input's, where that is more than a column. `default` takes the place of null
    where an operation has no value of no plays, in rows and for entities without one. `k`, `at`, `edges` and
    `per` belong to the operations that need them.
    """

    what: str
    op: str
    input: str
    meaning: str
    windows: tuple[str, ...] = ("1d", "7d", "30d")
    where: str = "true"
    type: str = ""
    default: Any = None
    owner: str = ""
    per: str = ""
    k: int = 0
    at: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if problems := list(_feature_problems(self)):
            raise DeclarationError(f"feature {self.what}: {'; '.join(problems)}")

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.op]

    @property
    def input_type(self) -> str:
        return self.type or (SESSIONS.column(self.input).type if self.input in SESSIONS.names else "")

    @property
    def empty_value(self) -> Any:
        """The value of an entity without plays, as JSON has it; None is null."""
        if self.default is not None:
            value = self.default
        elif self.op == "histogram":
            value = (0,) * (len(self.edges) + 1)
        else:
            value = self.operation.empty_value
        return list(value) if isinstance(value, tuple) else value

    @property
    def lineage(self) -> tuple[str, ...]:
        """The columns of `sessions` that it is computed from, the instant of a play included: it decides the window."""
        read = {"played_at", *(name for sql in self.expressions.values() for name in _column_names(sql))}
        return tuple(name for name in SESSIONS.names if name in read)

    @property
    def expressions(self) -> dict[str, str]:
        """Its SQL, by option."""
        return {option: sql for option in ("input", "where", "per") if (sql := getattr(self, option))}

    def name(self, window: str) -> str:
        return f"{self.what}_{self.op}_{window}"

    def identity(self, window: str) -> dict[str, Any]:
        """What decides the values of a column, for fingerprints: a typo mended in `meaning` computes nothing anew."""
        # options at their defaults are left out: one that is added to this class later changes no identity of before
        chosen = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        return {name: value for name, value in chosen.items() if name not in _NOT_COMPUTED} | {
            "window": window
        }

    def parts(self, window: str) -> list[Part]:
        source = PlayInput(self.input, self.where, self.input_type, self.per, self.k, self.edges)
        return self.operation.parts(source, window)

    def lookback_days(self, window: str) -> int | None:
        """None for all there are."""
        windows = self.operation.total_windows(window)
        return None if LIFETIME in windows else max(map(window_days, windows))

    def columns(self) -> Iterator[Column]:
        sum_type = "double" if self.input_type == "double" else "bigint"
        type_ = self.operation.type.replace("{T}", self.input_type).replace("{S}", sum_type)
        for window in self.windows:
            yield Column(
                self.name(window),
                type_,
                f"{self.meaning}, {window}",
                self.operation.unit,
                nullable=self.empty_value is None,
                default=self.empty_value,
            )


@dataclass(frozen=True)
class FeatureGroup:
    """All features of one entity: a table, one row per entity and day.

    `keys` name the entity. `where` keeps plays out of every feature. An entity has a row from its first
    play on. Without `daily` there is no such table, as pairs of listener and track would fill a row a day for
    each that ever was: the features are merged from the partials when labels ask for them.
    """

    table: str
    keys: tuple[str, ...]
    meaning: str
    features: tuple[Feature, ...]
    where: str = "true"
    owner: str = "the Segue authors"
    daily: bool = True

    def __post_init__(self) -> None:
        if problems := list(_group_problems(self)):
            raise DeclarationError(f"table {self.table}: {'; '.join(problems)}")

    @property
    def feature_windows(self) -> tuple[tuple[Feature, str], ...]:
        """Every feature over every window of its own: a column each."""
        return tuple((feature, window) for feature in self.features for window in feature.windows)

    @property
    def identities(self) -> dict[str, dict[str, Any]]:
        """Of every column, what decides its values beyond `keys` and `where`."""
        return {feature.name(window): feature.identity(window) for feature, window in self.feature_windows}

    @property
    def tables(self) -> tuple[str, ...]:
        """Partials come before what is merged from them."""
        return (self.partials_table, self.table) if self.daily else (self.partials_table,)

    @property
    def partials_table(self) -> str:
        return f"{self.table.removesuffix('_features')}_partials"

    @property
    def parts(self) -> tuple[Part, ...]:
        """What a day is folded into, each once."""
        return tuple(dict.fromkeys(part for f, w in self.feature_windows for part in f.parts(w)))

    def longest_span(self, part: Part) -> int:
        """Days of the longest span that a window needs of a part; longer spans leave it out."""
        return max(f.lookback_days(w) or SPANS[-1] for f, w in self.feature_windows if part in f.parts(w))

    @property
    def deterministic(self) -> bool:
        """Whether the same plays give the same bytes."""
        return not any(part.kind in SKETCHES for part in self.parts)

    def contract(self) -> Contract:
        declared = tuple(column for feature in self.features for column in feature.columns())
        return self._contract(self.table, self.meaning, (FEATURE_AT, *declared), ("ds",), "feature_at")

    def partials_contract(self) -> Contract:
        """The table of daily partials, and of their merges over 2, 4, 8 … days."""
        parts = tuple(Column(part.name, part.type, part.meaning) for part in self.parts)
        meaning = f"What {self.table} is merged from: one row per entity, last day and span."
        return self._contract(self.partials_table, meaning, (SPAN, *parts), ("span", "ds"), None)

    def _contract(
        self,
        name: str,
        meaning: str,
        columns: tuple[Column, ...],
        key: tuple[str, ...],
        event_time: str | None,
    ) -> Contract:
        entity = (Column(name, "string", "as in plays", nullable=False) for name in self.keys)
        return Contract(
            name=name,
            meaning=meaning,
            columns=(*entity, *columns, bucket(self.keys[0]), AVAILABLE_AT, DS),
            key=(*self.keys, *key),
            entity=self.keys[0],
            event_time=event_time,
            buckets=BUCKETS,
            statistics=("bucket", "span") if "span" in key else ("bucket",),
        )


def _feature_problems(feature: Feature) -> Iterator[str]:
    if feature.op not in OPERATIONS:
        yield f"operation {feature.op!r} is unknown; known: {', '.join(OPERATIONS)}"
        return
    if not re.fullmatch(r"[a-z][a-z0-9_]*", feature.what):
        yield f"its name {feature.what!r} is no column's; use a-z, 0-9 and _"
    for option, sql in feature.expressions.items():
        yield from _sql_problems(option, sql)
    yield from _type_problems(feature)
    yield from _option_problems(feature)
    for window in feature.windows:
        yield from _window_problems(feature, window)


def _sql_problems(option: str, sql: str) -> Iterator[str]:
    try:
        unknown = [name for name in _column_names(sql) if name not in SESSIONS.names]
    except sqlglot.errors.SqlglotError as problem:
        first_line = str(problem).partition("\n")[0]
        yield f"{option} {sql!r} is no SQL expression: {first_line}"
        return
    if unknown:
        yield f"{option} names {', '.join(unknown)}, which sessions does not have ({', '.join(SESSIONS.names)})"


def _type_problems(feature: Feature) -> Iterator[str]:
    operation, given = feature.operation, feature.input_type
    stored = SESSIONS.column(feature.input).type if feature.input in SESSIONS.names else ""
    if operation.input_types and given not in operation.input_types:
        expected = " or ".join(operation.input_types)
        yield f"{feature.op} takes {expected}, the type of {feature.input!r} is {given or 'unknown (say type=…)'}"
    if stored and feature.type not in ("", stored):
        yield f"{feature.input} is {stored}, not {feature.type}; leave type out"
    if "{T}" in operation.type and not given:
        yield f"{feature.op} gives what it takes; say the type of {feature.input!r} by type=…"


def _option_problems(feature: Feature) -> Iterator[str]:
    empty = feature.operation.empty_value
    if feature.default is not None and empty is not None:
        value = list(empty) if isinstance(empty, tuple) else empty
        yield f"{feature.op} of no plays is {value} by definition, so it takes no default"
    for option in feature.operation.options:
        if not getattr(feature, option):
            yield f"{feature.op} needs {option}=…"
    if list(feature.edges) != sorted(set(feature.edges)):
        yield f"edges {feature.edges} are not in order, each once"
    if not all(0 <= rank <= 1 for rank in feature.at):
        yield f"at {feature.at} is not within 0 and 1"


def _window_problems(feature: Feature, window: str) -> Iterator[str]:
    operation = feature.operation
    if window == LIFETIME:
        if not (operation.allows_lifetime or operation.longest == 0):
            yield f"{feature.op} has no window 'lifetime'"
        return
    try:
        length = window_days(window)
    except DeclarationError as problem:
        yield str(problem)
        return
    if length > operation.longest:
        longest = f"the longest is {operation.longest}d" if operation.longest else "only 'lifetime'"
        yield f"{feature.op} has no window {window!r}; {longest}"


def _group_problems(group: FeatureGroup) -> Iterator[str]:
    names = [feature.name(window) for feature, window in group.feature_windows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield (
            f"{', '.join(twice)} declared twice; a name follows from what, op and window, so give one of them another"
        )
    yield from _sql_problems("where", group.where)
    if len({part.name for part in group.parts}) < len(set(group.parts)):
        yield "one expression is declared with two types; give it one"
    windows = {LIFETIME, *(over for f, w in group.feature_windows for over in f.operation.total_windows(w))}
    if len(windows) > MAX_WINDOWS:
        yield f"{len(windows)} different windows; {MAX_WINDOWS} fit"
    if unknown := [key for key in group.keys if key not in SESSIONS.names]:
        yield f"{', '.join(unknown)} is no column of sessions, so it names no entity"
    if "user_id" not in group.keys:
        yield from _personal_features(group)


def _personal_features(group: FeatureGroup) -> Iterator[str]:
    for feature in group.features:
        lists_input = feature.op in ("top_k", "entropy")
        listed = {*_column_names(feature.input)} & {*IDENTIFYING_COLUMNS} if lists_input else set()
        if feature.operation.personal or listed:
            yield (
                f"{feature.what}_{feature.op} would keep what one listener did "
                "where no listener can be erased from"
            )


@cache
def _column_names(sql: str) -> tuple[str, ...]:
    """The columns that an expression reads, each once; variables of lambdas are none."""
    columns = sqlglot.parse_one(sql, dialect="spark").find_all(sqlglot.exp.Column)
    return tuple(dict.fromkeys(column.parts[0].name for column in columns))
