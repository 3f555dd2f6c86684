"""Features declared as data; a column's name, type and lineage follow from the declaration.

`schemas/operations.py` says what each operation means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from schemas.catalogue_columns import find_catalogue
from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, bucket
from schemas.contract import Column, Contract
from schemas.declaration_problems import find_feature_problems, find_group_problems
from schemas.event_tables import BUILT_IN, Events, find_events, list_sources, row_of
from schemas.mistakes import is_refused, note_place, refuse
from schemas.operations import LIFETIME, OPERATIONS, Operation, window_days
from schemas.parts import RULES, SKETCHES, Part, PlayInput
from schemas.play_columns import extend_plays, find_play_columns
from schemas.row_problems import find_row_problems
from schemas.sessions import SESSIONS
from schemas.sql import list_columns
from schemas.tracks import TRACKS

# Of a feature, what no value depends on; `windows` make columns, and each has an identity of its own.
_NOT_COMPUTED = ("meaning", "owner", "windows", "deprecated", "row", "of_events")

# The entities that features are declared for: the columns that name one.
USER, TRACK, ARTIST = ("user_id",), ("track_id",), ("artist_id",)
USER_TRACK, USER_ARTIST = ("user_id", "track_id"), ("user_id", "artist_id")

# Spans of partials: days in them. The longest, 45 years, lets a lifetime be merged from 15 at most.
SPANS = tuple(2**level for level in range(15))
SPAN = Column("span", "int", "days that the row sums up, ds the last of them; a power of two", "days", False)

# The column whose identity says which rows a day of features has.
ROWS_COLUMN = FEATURE_AT.name
# The `where` of groups whose days were published before identities had any; of all others "true".
_FIRST_WHERE = {"track_features": "not is_bot", "artist_features": "not is_bot"}


@dataclass(frozen=True)
class Feature:
    """`what` is counted, summed, … : one column `<what>_<op>_<window>` per window.

    `input`, `where` and `per` are SQL over a row of the group's source, with the catalogue's columns of its track.
    """

    # fields, their order and their values are hashed, by repr, into fingerprints: a new one makes all days again
    what: str
    op: str
    input: str
    meaning: str
    windows: tuple[str, ...] = ("1d", "7d", "30d")
    # plays for which it is not true, null included, are left out
    where: str = "true"
    # the input's, where that is more than a column
    type: str = ""
    # takes the place of null where an operation has no value of no plays, in rows and for entities without one
    default: Any = None
    owner: str = ""
    # these four belong to the operations that need them
    per: str = ""
    k: int = 0
    at: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    # why nobody should begin to use it: it is computed until it is taken out of its group. In no repr, see above
    deprecated: str = field(default="", repr=False)
    # what the SQL is over; the group sets it. In no repr, by which days of before are known
    row: Contract = field(default=SESSIONS, repr=False, compare=False)

    def __post_init__(self) -> None:
        note_place(self)
        refuse(self, f"feature {self.what}", list(find_feature_problems(self)))

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.op]

    @property
    def input_type(self) -> str:
        return self.type or (self.row.column(self.input).type if self.input in self.row.names else "")

    @property
    def empty_value(self) -> Any:
        """The value of an entity without plays, as JSON has it; None is null."""
        by_operation = self.operation.empty_value
        if self.op == "histogram":
            by_operation *= len(self.edges) + 1
        value = by_operation if self.default is None else self.default
        # JSON has no tuples, and a list could not be hashed with the declaration
        return list(value) if isinstance(value, tuple) else value

    @property
    def lineage(self) -> tuple[str, ...]:
        """The columns of a row that it is computed from."""
        # the instant of a play is among them whatever the SQL says: it decides the window
        names = (name for sql in self.expressions.values() for name in list_columns(sql))
        inputs = {self.row.event_time, *names}
        return tuple(name for name in self.row.names if name in inputs)

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
        computed = {name: value for name, value in chosen.items() if name not in _NOT_COMPUTED}
        # first rules are left out as well, so that columns of before the first mend keep their identities
        rules = {
            f"rules of {part.kind}": RULES[part.kind] for part in self.parts(window) if part.kind in RULES
        }
        rules |= {"rules": self.operation.rules} if self.operation.rules > 1 else {}
        return computed | rules | {"window": window}

    def parts(self, window: str) -> list[Part]:
        source = PlayInput(self.input, self.where, self.input_type, self.per, self.k, self.edges)
        return self.operation.parts(source, window)

    def lookback_days(self, window: str) -> int | None:
        """None for all there are."""
        windows = self.operation.total_windows(window)
        return None if LIFETIME in windows else max(map(window_days, windows))

    def describe_idle(self, window: str) -> str:
        """What becomes of the value once all finite windows are empty: "same", "days" (a day more each day) or
        "halved 7d"; empty where it is that of no plays then."""
        if self.lookback_days(window) is not None:
            return ""
        idle = self.operation.idle
        return f"{idle} {window}" if idle == "halved" else idle

    def columns(self) -> Iterator[Column]:
        # a sum of ints is a bigint, as it is in Spark
        sum_type = "double" if self.input_type == "double" else "bigint"
        type_ = self.operation.type.replace("{T}", self.input_type).replace("{S}", sum_type)
        unit, empty = self.operation.unit, self.empty_value
        for w in self.windows:
            meaning, deprecated = f"{self.meaning}, {w}", self.deprecated
            yield Column(
                self.name(w), type_, meaning, unit, empty is None, default=empty, deprecated=deprecated
            )


@dataclass(frozen=True)
class FeatureGroup:
    """All features of one entity: a table, one row per entity and day, from the entity's first play on."""

    table: str
    keys: tuple[str, ...]
    meaning: str
    features: tuple[Feature, ...]
    # plays for which it is not true are in no feature
    where: str = "true"
    owner: str = "the Segue authors"
    # Otherwise there is no such table, as pairs of listener and track would fill a row a day for each that ever
    # was: the features are merged from the partials when labels ask for them.
    daily: bool = True
    # Otherwise an entity has no row on days on which all its finite windows are empty, but for a few: its values change
    # in known ways then, and readers work them out.
    idle_rows: bool = True
    # sessions, plays, or events that the project declares: themselves, or the name of a table declared before
    source: Events | str = SESSIONS.name
    # keys that are no columns: name and SQL, whose value is taken as text; null is nobody
    derived_keys: Mapping[str, str] = field(default_factory=dict, hash=False)
    # the contract of `tracks`, with what the project adds to it; set where files of declarations are loaded
    catalogue: Contract = field(default=TRACKS, repr=False, compare=False)
    # of plays and sessions, set as the catalogue is
    play_columns: tuple[Column, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        note_place(self)
        if (source := find_events(self.source)) is None:
            known = ", ".join(list_sources())
            refuse(
                self, f"table {self.table}", [f"source {self.source!r} is none of {known}; declare it before"]
            )
            return
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "catalogue", find_catalogue(self.catalogue))
        object.__setattr__(self, "play_columns", find_play_columns(self.play_columns))
        row = self.row
        for feature in self.features:
            refuse(feature, f"feature {feature.what}", list(find_row_problems(feature, row)))
        # what is wrong with a feature was said, and the group's checks would stumble over it
        if not any(is_refused(feature) for feature in self.features):
            object.__setattr__(self, "features", tuple(replace(f, row=row) for f in self.features))
            refuse(self, f"table {self.table}", list(find_group_problems(self)))

    @property
    def events(self) -> Contract:
        """The table of the events that it sums up."""
        if isinstance(self.source, Events):
            return self.source.contract
        return extend_plays(BUILT_IN[self.source], self.play_columns)

    @property
    def row(self) -> Contract:
        """A row of `events` as the SQL sees it."""
        return row_of(self.events, self.catalogue, self.derived_keys)

    @property
    def catalogue_columns(self) -> tuple[str, ...]:
        """Columns of `tracks` that it is made of, in the order of the row; mostly none."""
        sqls = [
            self.where,
            *self.derived_keys.values(),
            *(sql for f in self.features for sql in f.expressions.values()),
        ]
        read = {*self.keys, *(name for sql in sqls for name in list_columns(sql))}
        own = (*self.events.names, *self.derived_keys)
        return tuple(name for name in self.row.names if name in read and name not in own)

    @property
    def rows_identity(self) -> dict[str, Any]:
        """Of what identifies its rows, all that is not as it is for groups over sessions."""
        # nothing for those, whose days were published by `keys` and `where` alone
        chosen = {"source": self.events.name, "derived_keys": dict(self.derived_keys)}
        default = {"source": SESSIONS.name, "derived_keys": {}}
        return {name: value for name, value in chosen.items() if value != default[name]}

    def extend(self, *features: Feature) -> FeatureGroup:
        """The group with more features."""
        return replace(self, features=(*self.features, *features))

    def select(self, columns: Collection[str]) -> FeatureGroup:
        """The group with these of its columns alone; each has the values that it has among the others."""
        narrow = [
            replace(f, windows=tuple(w for w in f.windows if f.name(w) in columns)) for f in self.features
        ]
        return replace(self, features=tuple(feature for feature in narrow if feature.windows))

    @property
    def feature_windows(self) -> tuple[tuple[Feature, str], ...]:
        """Every feature over every window of its own: a column each."""
        return tuple((feature, window) for feature in self.features for window in feature.windows)

    @property
    def identities(self) -> dict[str, dict[str, Any]]:
        """Of every column, what decides its values beyond `keys` and `where`."""
        return {feature.name(window): feature.identity(window) for feature, window in self.feature_windows}

    @property
    def day_identities(self) -> dict[str, dict[str, Any]]:
        """The same of all that a day holds: of `ROWS_COLUMN`, what decides which rows."""
        # nothing where every day has a row: by that, days of before are known
        rows = {} if self.idle_rows else {ROWS_COLUMN: {"longest_lookback": self.longest_lookback}}
        return rows | self.identities | self._identify_without_parts()

    def _identify_without_parts(self) -> dict[str, dict[str, Any]]:
        """Of columns that no part tells of: partials can stay as they are where other events count for the group."""
        if self.where == _FIRST_WHERE.get(self.table, "true") and not self.rows_identity:
            return {}
        counted = {"where of group": self.where} | self.rows_identity
        names = [f.name(w) for f, w in self.feature_windows if not f.parts(w)]
        return {name: self.identities[name] | counted for name in names}

    @property
    def tables(self) -> tuple[str, ...]:
        # in the order in which a step publishes them: partials before what is merged from them
        return (self.partials_table, self.table) if self.daily else (self.partials_table,)

    @property
    def partials_table(self) -> str:
        return f"{self.table.removesuffix('_features')}_partials"

    @property
    def parts(self) -> tuple[Part, ...]:
        """What a day is folded into, each once: features and windows that need the same part share it."""
        return tuple(self._longest_spans)

    @property
    def part_identities(self) -> dict[str, list[Any]]:
        """Of every part, what decides its values beyond `keys` and `where`."""
        return {
            part.name: [
                repr(part),
                self.longest_span(part),
                *([RULES[part.kind]] if part.kind in RULES else []),
            ]
            for part in self.parts
        }

    @property
    def longest_lookback(self) -> int:
        """After so many days without a play, all that is of finite windows has the value of no plays."""
        lookbacks = (
            1 if f.operation.ends_with_a_day else f.lookback_days(w) or 0 for f, w in self.feature_windows
        )
        return max(lookbacks, default=0)

    def longest_span(self, part: Part) -> int:
        """Days of the longest span that a window needs of a part; longer spans leave it out."""
        return self._longest_spans[part]

    @cached_property
    def _longest_spans(self) -> dict[Part, int]:
        # read for each part of each row that loops fold; a lifetime has no length of its own
        spans: dict[Part, int] = {}
        for feature, window in self.feature_windows:
            days = feature.lookback_days(window) or SPANS[-1]
            spans |= {part: max(days, spans.get(part, 0)) for part in feature.parts(window)}
        return spans

    @property
    def deterministic(self) -> bool:
        """Whether the same plays give the same bytes: what a rerun can be held to."""
        return not any(part.kind in SKETCHES for part in self.parts)

    def contract(self) -> Contract:
        columns = (FEATURE_AT, *(column for feature in self.features for column in feature.columns()))
        if not self.idle_rows:
            # for clients, who know no declarations; there is always one
            idle = {f.name(w): f.describe_idle(w) for f, w in self.feature_windows}
            idle |= {FEATURE_AT.name: "instant"}
            columns = tuple(replace(column, idle=idle[column.name]) for column in columns)
        return self._contract(self.table, self.meaning, columns)

    def partials_contract(self) -> Contract:
        """The table of daily partials, and of their merges over 2, 4, 8 … days."""
        # rows of several spans lie side by side: over all of them, a distribution is one of nothing
        parts = tuple(Column(part.name, part.type, part.meaning, profile=False) for part in self.parts)
        meaning = f"What {self.table} is merged from: one row per entity, last day and span."
        return self._contract(self.partials_table, meaning, (SPAN, *parts))

    def _contract(self, table: str, meaning: str, columns: tuple[Column, ...]) -> Contract:
        # partials are found by the days that they sum up, features by the instant that they are of
        span = ("span",) if SPAN in columns else ()
        entity = (Column(name, "string", "as in plays", nullable=False) for name in self.keys)
        return Contract(
            name=table,
            meaning=meaning,
            columns=(*entity, *columns, bucket(self.keys[0]), AVAILABLE_AT, DS),
            key=(*self.keys, *span, "ds"),
            # of a pair the listener: who is erased, or looked up, is then in one bucket
            entity=self.keys[0],
            event_time=None if span else "feature_at",
            buckets=BUCKETS,
            statistics=("bucket", *span),
            declared=True,
        )
