"""Features declared as data; a column's name, type and lineage follow from the declaration.

`schemas/operations.py` says what each operation means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, bucket
from schemas.contract import Column, Contract
from schemas.operations import LIFETIME, OPERATIONS, Operation
from schemas.parts import SKETCHES, Part
from schemas.sessions import SESSIONS

# The entities that features are declared for: the columns that name one.
USER, TRACK, ARTIST = ("user_id",), ("track_id",), ("artist_id",)
USER_TRACK, USER_ARTIST = ("user_id", "track_id"), ("user_id", "artist_id")

# What names a listener, or what only one listener did: kept only where the listener can be erased from.
IDENTIFYING_COLUMNS = ("user_id", "session_id", "play_id")

_SQL_WORDS = (
    "and", "or", "not", "is", "null", "true", "false", "between", "in", "like", "case", "when", "then",
    "else", "end", "cast", "as", "distinct", "div", "interval", "int", "bigint", "double", "string",
    "boolean", "date", "timestamp", "day", "hour", "minute",
)  # fmt: skip

# Spans of partials: days in them. The longest, 45 years, lets a lifetime be made of 15 at most.
SPANS = tuple(2**level for level in range(15))
SPAN = Column("span", "int", "days that the row sums up, ds the last of them; a power of two", "days", False)


# Which of a group's windows a tile is in is a number of so many bits.
MAX_WINDOWS = 62


class DeclarationError(ValueError):
    """A feature that cannot be computed as declared."""


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
        if wrong := list(_feature_problems(self)):
            raise DeclarationError(f"feature {self.what}: {'; '.join(wrong)}")

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.op]

    @property
    def input_type(self) -> str:
        return self.type or (SESSIONS.column(self.input).type if self.input in SESSIONS.names else "")

    @property
    def empty_value(self) -> Any:
        """The value of an entity without plays, as JSON has it; None is null."""
        empty_value = self.operation.empty_value if self.default is None else self.default
        if self.op == "histogram" and self.default is None:
            empty_value = (0,) * (len(self.edges) + 1)
        return list(empty_value) if isinstance(empty_value, tuple) else empty_value

    @property
    def lineage(self) -> tuple[str, ...]:
        """The columns of `sessions` that it is made of; the instant of a play says in which window it is."""
        named = " ".join((self.input, self.where, self.per))
        return tuple(name for name in SESSIONS.names if name in {*_column_names(named), "played_at"})

    def name(self, window: str) -> str:
        return f"{self.what}_{self.op}_{window}"

    def lookback_days(self, window: str) -> int | None:
        """How many days it looks back; None for all there are."""
        if window == LIFETIME or self.op == "decayed":
            return None
        return days(window) * (2 if self.op == "trend" else 1)

    def part(self, kind: str, expression: str = "", detail: str = "") -> Part:
        return Part(kind, expression or self.input, self.where, detail, self.input_type)

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
    play on; with `keep`, only while it has a play in that window, which no feature may then look beyond:
    pairs of listener and track would otherwise fill a row a day for each that ever was. Without `daily` there
    is no such table: the features are merged from the partials when labels ask for them.
    """

    table: str
    keys: tuple[str, ...]
    meaning: str
    features: tuple[Feature, ...]
    where: str = "true"
    owner: str = "the Segue authors"
    keep: str = LIFETIME
    daily: bool = True

    def __post_init__(self) -> None:
        if wrong := list(_group_problems(self)):
            raise DeclarationError(f"table {self.table}: {'; '.join(wrong)}")

    @property
    def feature_windows(self) -> tuple[tuple[Feature, str], ...]:
        """Every feature over every window of its own: a column each."""
        return tuple((feature, window) for feature in self.features for window in feature.windows)

    @property
    def tables(self) -> tuple[str, ...]:
        """Partials come before what is made of them."""
        return (self.partials_table, self.table) if self.daily else (self.partials_table,)

    @property
    def partials_table(self) -> str:
        return f"{self.table.removesuffix('_features')}_partials"

    @property
    def parts(self) -> tuple[Part, ...]:
        """What a day is folded into, each once."""
        needed = (part for f, w in self.feature_windows for part in f.operation.parts(f, w))
        return tuple(dict.fromkeys(needed))

    def longest(self, part: Part) -> int:
        """Days of the longest span that a window needs of a part; longer spans leave it out."""
        return max(
            feature.lookback_days(window) or SPANS[-1]
            for feature, window in self.feature_windows
            if part in feature.operation.parts(feature, window)
        )

    @property
    def deterministic(self) -> bool:
        """Whether the same plays give the same bytes."""
        return not any(part.kind in SKETCHES for part in self.parts)

    def contract(self) -> Contract:
        declared = tuple(column for feature in self.features for column in feature.columns())
        return self._contract(self.table, self.meaning, (FEATURE_AT, *declared), ("ds",), "feature_at")

    def partials(self) -> Contract:
        """The table of daily partials, and of their merges over 2, 4, 8 … days."""
        held = tuple(Column(part.name, part.type, part.meaning) for part in self.parts)
        meaning = f"What {self.table} is made of: one row per entity, last day and span."
        return self._contract(self.partials_table, meaning, (SPAN, *held), ("span", "ds"), None)

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


def days(window: str) -> int:
    """The length of a window such as '7d', in days."""
    if not (window.endswith("d") and window[:-1].isdecimal() and int(window[:-1]) > 0):
        raise DeclarationError(f"window {window!r} is none; write days as '7d', or 'lifetime'")
    return int(window[:-1])


def _feature_problems(feature: Feature) -> Iterator[str]:
    if feature.op not in OPERATIONS:
        yield f"operation {feature.op!r} is unknown; known: {', '.join(OPERATIONS)}"
        return
    if not re.fullmatch(r"[a-z][a-z0-9_]*", feature.what):
        yield f"its name {feature.what!r} is no column's; use a-z, 0-9 and _"
    yield from _column_problems(feature)
    yield from _option_problems(feature)
    for window in feature.windows:
        yield from _window_problems(feature, window)


def _option_problems(feature: Feature) -> Iterator[str]:
    operation = feature.operation
    if operation.input_types and feature.input_type not in operation.input_types:
        asked, got = " or ".join(operation.input_types), feature.input_type or "unknown (say type=…)"
        yield f"{feature.op} takes {asked}, the type of {feature.input!r} is {got}"
    if (
        feature.type
        and feature.input in SESSIONS.names
        and feature.type != SESSIONS.column(feature.input).type
    ):
        yield f"{feature.input} is {SESSIONS.column(feature.input).type}, not {feature.type}; leave type out"
    if "{T}" in operation.type and not feature.input_type:
        yield f"{feature.op} gives what it takes; say the type of {feature.input!r} by type=…"
    if feature.default is not None and operation.empty_value is not None:
        yield f"{feature.op} of no plays is {_shown_empty(operation.empty_value)} by definition, so it takes no default"
    yield from (
        f"{feature.op} needs {option}=…" for option in operation.options if not getattr(feature, option)
    )
    if list(feature.edges) != sorted(set(feature.edges)):
        yield f"edges {feature.edges} are not in order, each once"
    if not all(0 <= rank <= 1 for rank in feature.at):
        yield f"at {feature.at} is not within 0 and 1"


def _shown_empty(empty_value: Any) -> str:
    return str(list(empty_value) if isinstance(empty_value, tuple) else empty_value)


def _column_problems(feature: Feature) -> Iterator[str]:
    for option in ("input", "where", "per"):
        if unknown := _unknown_columns(getattr(feature, option)):
            yield f"{option} names {', '.join(unknown)}, which sessions does not have ({', '.join(SESSIONS.names)})"


def _window_problems(feature: Feature, window: str) -> Iterator[str]:
    operation = feature.operation
    if window == LIFETIME:
        if not (operation.allows_lifetime or operation.longest == 0):
            yield f"{feature.op} has no window 'lifetime'"
        return
    try:
        length = days(window)
    except DeclarationError as problem:
        yield str(problem)
        return
    if length > operation.longest:
        longest = f"the longest is {operation.longest}d" if operation.longest else "only 'lifetime'"
        yield f"{feature.op} has no window {window!r}; {longest}"


def _group_problems(group: FeatureGroup) -> Iterator[str]:
    names = [column.name for feature in group.features for column in feature.columns()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield (
            f"{', '.join(twice)} declared twice; a name follows from what, op and window, so give one of them another"
        )
    if unknown := _unknown_columns(group.where):
        yield f"where names {', '.join(unknown)}, which sessions does not have"
    if len({part.name for part in group.parts}) < len(set(group.parts)):
        yield "one expression is declared with two types; give it one"
    if len(_window_lengths(group)) > MAX_WINDOWS:
        yield f"{len(_window_lengths(group))} different windows; {MAX_WINDOWS} fit"
    if unknown := [key for key in group.keys if key not in SESSIONS.names]:
        yield f"{', '.join(unknown)} is no column of sessions, so it names no entity"
    for feature in group.features:
        yield from _entity_problems(group, feature)


def _window_lengths(group: FeatureGroup) -> set[int | None]:
    """Of all windows; what is made of two windows counts for both."""
    lengths = {feature.lookback_days(window) for feature, window in group.feature_windows}
    return lengths | {days(w) for f in group.features if f.op == "trend" for w in f.windows} | {None}


def _entity_problems(group: FeatureGroup, feature: Feature) -> Iterator[str]:
    """What is right in itself and wrong for this entity."""
    listed = feature.op in ("top_k", "entropy") and set(_column_names(feature.input)) & set(
        IDENTIFYING_COLUMNS
    )
    if "user_id" not in group.keys and (feature.operation.personal or listed):
        yield f"{feature.what}_{feature.op} would keep what one listener did where no listener can be erased from"
    if group.keep != LIFETIME:
        kept = days(group.keep)
        if any((feature.lookback_days(window) or SPANS[-1]) > kept for window in feature.windows):
            yield f"{feature.what}_{feature.op} looks beyond {group.keep}, after which rows are not kept"


def _unknown_columns(sql: str) -> list[str]:
    return [name for name in _column_names(sql) if name not in SESSIONS.names]


def _column_names(sql: str) -> list[str]:
    """Names of columns in an expression: what is no string, no function and no word of SQL."""
    unquoted = re.sub(r"'[^']*'", "''", sql).replace("`", "")
    return [n for n in re.findall(r"\b[a-zA-Z_]\w*\b(?!\s*\()", unquoted) if n.lower() not in _SQL_WORDS]
