"""Sources: the layout of foreign files, and how their columns map to the columns of the contracts.

A source is a TOML file: its name, the format, and one table of SQL expressions per contract:

    name = "triplej"
    grace = "3h"                    # after midnight, until a day's last rows are delivered (0h)
    format = "csv"                  # csv, json (a line a row), parquet, or sessions (a line a session)
    [plays]                         # column of `plays` = SQL over the file's columns
    track_id = "trackname"
    [searches]                      # the same for a table of events that the project declares
    search_id = "id"

It can begin with `extends = "spotify_extended"`, a source that comes with Segue, and say only what is otherwise.
"""

from __future__ import annotations

import codecs
import os
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from features.records import split_records
from features.settings import SettingsError, SettingsModel
from jobs import pseudonyms
from jobs.errors import WrongUsage
from jobs.known_sources import list_known_sources, read_known_source
from jobs.publishing.records import are_known_empty
from schemas import EVENT_TABLES, Contract
from schemas.impressions import IMPRESSIONS
from schemas.sql import find_syntax_problems
from segue.settings import parse_duration

if TYPE_CHECKING:
    from jobs.job import Job

# Most sources cut no sessions, and then ours are cut by silence: nothing is lost that features are made of.
OPTIONAL_COLUMNS = ("source_session_id",)
# What no row depends on: when rows come, prose, and how files are recognised.
NOT_IN_ROWS = ("grace", "about", "signature", "line_pattern")
# Not a part of a fingerprint while unset: what was ingested before there were such settings is known without them.
LATER_SETTINGS = (
    "events",
    "records",
    "where",
    "optional",
    "listener",
    "personal",
    "pseudonymise",
    "unicode_form",
    "longest_row",
)
MOST_NAME = 200
# What a project declares to have more columns of a table.
MORE_COLUMNS = {"plays": "PlayColumns", "tracks": "CatalogueColumns"}


class Source(SettingsModel):
    """`encoding` is a Python codec; `header` names the columns of files that have none of their own.

    A file is read by many tasks where a line is a row and the encoding UTF-8; with another encoding,
    another line end, or quoted line ends (`multiline`), by one task (of at most 2 GiB, uncompressed or gzip).
    """

    refusal: ClassVar[str] = "the settings cannot be used"

    name: str
    format: Literal["csv", "json", "parquet", "sessions"] = "csv"
    encoding: str = "utf-8"
    # CR alone where an old Mac wrote the file
    line_end: str = "\n"
    separator: str = ","
    quote: str = '"'
    # a quote inside quotes is doubled, as spreadsheet programs write it; Spark would expect a backslash
    escape: str = '"'
    multiline: bool = False
    header: tuple[str, ...] = ()
    # é is one character or two, to a computer two names: the form that columns are brought to, if they come in several
    unicode_form: Literal["", "NFC", "NFKC"] = ""
    # bytes of text; a longer row is a reject without its text, whose length would be the memory of its task
    longest_row: int = Field(default=2**24, ge=1000, le=2**30)
    # how long after midnight, UTC, the last rows of a day are delivered
    grace: str = "0h"
    # what it is, in a line
    about: str = ""
    # columns that only such files have; or else a regular expression that their first lines match
    signature: tuple[str, ...] = ()
    line_pattern: str = ""
    # of JSON documents, where the records are: playlists[].tracks[], each with what is said of its playlist
    records: str = ""
    # SQL that is false for rows of other kinds, such as podcasts: these are left out, and counted
    where: str = ""
    # columns that some files lack: null there
    optional: tuple[str, ...] = ()
    # who listened, where the files are of one listener and do not say; SQL has it as `listener`
    listener: str = ""
    # files that say more of a person than is taken: of a reject only those columns are kept that SQL reads
    personal: bool = False
    # columns of plays and events whose ids are replaced by a keyed hash before anything is written
    pseudonymise: tuple[str, ...] = ()
    # SQL over the file's columns, so that a source needs no code of ours; empty where it has no such rows
    plays: dict[str, str] = Field(default_factory=dict)
    tracks: dict[str, str] = Field(default_factory=dict)
    # by table: sections of tables that a project declares
    events: dict[str, dict[str, str]] = Field(default_factory=dict)

    def section(self, table: str) -> Mapping[str, str]:
        """The column map of a table; empty where the source has none."""
        return {"plays": self.plays, "tracks": self.tracks, **self.events}.get(table, {})

    def parameters(self, table: str) -> dict[str, Any]:
        """What decides the rows of a table besides the files."""
        unset = {name for name in LATER_SETTINGS if getattr(self, name) == _default(name)}
        values = {name: value for name, value in vars(self).items() if name not in {*NOT_IN_ROWS, *unset}}
        if self.pseudonymise:
            values["key"] = pseudonyms.identify_key()
        if table in self.events:
            layout = {name: value for name, value in values.items() if name not in ("plays", "tracks")}
            return {**layout, "events": self.events[table]}
        return {name: value for name, value in values.items() if name != "events"}

    @field_validator("grace")
    @classmethod
    def _check_grace(cls, grace: str) -> str:
        try:
            parse_duration(grace)
        except ValueError as problem:
            raise ValueError(f"grace is {problem}") from None
        return grace

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            # some of Python's codecs turn bytes into bytes, and are refused by this alone
            bytes(4).decode(encoding, errors="replace")
        except LookupError:
            raise ValueError(
                f"encoding is {encoding!r}, must be a text encoding, as utf-8 or latin-1"
            ) from None
        return encoding

    @field_validator("separator", "line_end")
    @classmethod
    def _check_text(cls, text: str, field: ValidationInfo) -> str:
        if not text or text.startswith("\\"):
            raise ValueError(
                f'{field.field_name} is {text!r}, must be one character or more; in TOML a tab is "\\t"'
            )
        return text

    @field_validator("quote", "escape")
    @classmethod
    def _check_character(cls, text: str, field: ValidationInfo) -> str:
        if len(text) > 1:
            raise ValueError(f"{field.field_name} is {text!r}, must be one character, or empty for none")
        return text

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        # it is a part of ids of plays, and of what a terminal gets
        if not name.strip() or not name.isprintable() or len(name) > MOST_NAME:
            raise ValueError(
                f"name is {name[:MOST_NAME]!r}, must be 1 to {MOST_NAME} characters that can be printed"
            )
        return name

    @model_validator(mode="after")
    def _check_expressions(self) -> Source:
        sections = {"plays": self.plays, "tracks": self.tracks, **self.events}
        for section, columns in sections.items():
            for name, sql in columns.items():
                option = f"[{section}] {name}"
                if not sql.strip():
                    raise ValueError(f"{option} is empty, must be SQL; take the line out for no value")
                # those are read here too, for the names in them
                if self.personal or self.pseudonymise or name == "user_id":
                    _raise_first(find_syntax_problems(option, sql))
        known = dict.fromkeys(name for columns in sections.values() for name in columns)
        if unknown := [name for name in self.pseudonymise if name not in known]:
            # ids would be written as they are, without a word
            raise ValueError(
                f"pseudonymise names {', '.join(unknown)}, must be of {', '.join(known) or 'a section'}"
            )
        if self.records and self.format != "json":
            raise ValueError(f"records is {self.records!r}, must be empty where format is {self.format}")
        return self

    @model_validator(mode="after")
    def _check_separator(self) -> Source:
        if self.separator == self.quote:
            raise ValueError(f"separator and quote are both {self.quote!r}")
        return self

    @property
    def by_line(self) -> bool:
        # by codec, as `utf8` and `UTF-8` are the same
        plain = not self.multiline and self.line_end == "\n" and codecs.lookup(self.encoding).name == "utf-8"
        # a session is known by its line number, which a task that starts in mid-file cannot know
        return plain and self.format != "sessions"

    def make_split(self) -> Callable[[str], Iterator[tuple[int, str]]]:
        """What cuts a file's text into records; executors get it without the source and what that imports."""
        # no quote where a row is a line: one that was never closed would swallow rows
        quote = self.quote if self.multiline else ""
        form = {"quote": quote, "separator": self.separator, "escape": self.escape}
        return partial(split_records, line_end=self.line_end, **form)


def _default(name: str) -> Any:
    return Source.model_fields[name].get_default(call_default_factory=True)


def _raise_first(problems: Iterable[str]) -> None:
    """Raises ValueError with the first one, if there is one."""
    for problem in problems:
        raise ValueError(problem)


def load_source(path: str) -> Source:
    """Raises WrongUsage: no such file, no TOML, or a setting that is unknown or has no such value."""
    try:
        content = _read_source(path)
        if "events" in content:
            raise SettingsError("[events] is no section; that of a table of events has the table's name")
        sections = {table.name: content.pop(table.name) for table in EVENT_TABLES if table.name in content}
        if IMPRESSIONS.name in content:
            remedy = "from schemas.impressions import IMPRESSIONS"
            raise SettingsError(
                f"[{IMPRESSIONS.name}] is of a table that no declaration has; write there: {remedy}"
            )
        return Source(**{**content, **({"events": sections} if sections else {})})
    except (OSError, ValueError) as error:  # of TOML, UTF-8 and settings
        raise WrongUsage(f"source {path}: {error}; segue sources lists examples") from None


def _read_source(path: str) -> dict[str, Any]:
    # a project's settings are paths, so a name there is one in its folder
    name = os.path.basename(path)
    if name in list_known_sources() and not os.path.exists(path):
        return read_known_source(name)
    # Windows' editors write a mark in front
    content = tomllib.loads(_open_path(path).read_text(encoding="utf-8-sig"))
    base = content.pop("extends", None)
    if base is None:
        return content
    if base not in list_known_sources():
        raise SettingsError(f"extends is {base!r}, must be one of {', '.join(list_known_sources())}")
    known = read_known_source(base)
    # a section says which of its columns are otherwise; all others stay
    sections = {
        name: {**known.get(name, {}), **value} for name, value in content.items() if isinstance(value, dict)
    }
    return {**known, **content, **sections}


def _open_path(path: str) -> Path | zipfile.Path:
    """A file on disk, or one of a project that travels as an archive."""
    archive, inside, name = path.partition(".zip/")
    return zipfile.Path(f"{archive}.zip", name) if inside and os.path.isfile(f"{archive}.zip") else Path(path)


def column_map(source: Source, table: str, allowed: Sequence[str]) -> Mapping[str, str]:
    """The source's column map for one table, checked against the table's columns."""
    columns = source.section(table)
    # checked here, before a session; whether the SQL fits the files is checked when they are read
    if not columns:
        raise WrongUsage(
            f"source {source.name} has no columns for {table}; add a section [{table}] with its columns"
        )
    if unknown := sorted(set(columns) - set(allowed)):
        more = f"; a project adds others by {MORE_COLUMNS[table]}" if table in MORE_COLUMNS else ""
        raise WrongUsage(
            f"source {source.name}: [{table}] has no column {', '.join(unknown)}; columns: {', '.join(allowed)}{more}"
        )
    return {
        name: pseudonyms.wrap(sql) if name in source.pseudonymise else sql for name, sql in columns.items()
    }


def find_missing_columns(
    job: Job, source: Source, contract: Contract, fields: Sequence[str], columns: Mapping[str, str]
) -> dict[str, str]:
    """Why a column has no value, in words, for each of `fields` that the source's column map leaves out."""
    # without a column that may not be null every row is a reject, which says so
    missing = [name for name in fields if name not in columns and contract.column(name).nullable]
    why = {name: f"source {source.name} has no {name}" for name in missing}
    # said once, where the source is read, so that no step after this one warns of it; and not every night
    absent = [name for name in missing if name not in OPTIONAL_COLUMNS]
    if absent and not are_known_empty(job.warehouse, contract.name, {name: why[name] for name in absent}):
        job.say(f"source {source.name} has no {', '.join(absent)}: everything computed from them is null")
    return why
