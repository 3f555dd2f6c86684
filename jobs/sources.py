"""Sources: how files of others are laid out, and how their columns become ours.

A source is a TOML file: its name, the format, and one table of SQL expressions per contract:

    name = "triplej"
    format = "csv"                  # csv, json (a line a row), parquet, or sessions (a line a session)
    [plays]                         # column of `plays` = SQL over the file's columns
    track_id = "trackname"

Reading yields `raw`, `file`, `broken` and the file's own columns as text (parquet: as they are).
"""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import JobError, WrongUsage
from jobs.session import is_submitted

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

# A play in a line of text, about, and in a file that is compressed.
BYTES_PER_ROW, BYTES_PER_COMPRESSED_ROW = 100, 10
# The first line of a wide file, and no more of it.
HEADER_BYTES = 65_536

FORMATS = ("csv", "json", "parquet", "sessions")


@dataclass(frozen=True)
class Source:
    """`encoding` is a Python codec; `header` names the columns of files that have none of their own.

    A file is read by many tasks where a line is a row and the encoding UTF-8; with another encoding,
    another line end, or quoted line ends (`multiline`), by one task (of at most 2 GiB, uncompressed or gzip).
    """

    name: str
    format: str = "csv"
    encoding: str = "utf-8"
    line_end: str = "\n"
    separator: str = ","
    quote: str = '"'
    escape: str = '"'
    multiline: bool = False
    header: tuple[str, ...] = ()
    plays: Mapping[str, str] = field(default_factory=dict)
    tracks: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_line(self) -> bool:
        plain = not self.multiline and self.line_end == "\n" and codecs.lookup(self.encoding).name == "utf-8"
        return plain and self.format != "sessions"

    @property
    def open_quote(self) -> str:
        """What keeps a line end inside a field from ending the record."""
        return self.quote if self.multiline else ""


def load_source(path: str) -> Source:
    """The source that a TOML file describes.

    Raises:
        WrongUsage: no such file, no TOML, an unknown setting or an unknown format.
    """
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(f"source {path}: {error}; deploy/sources has examples") from None
    known = {f.name for f in fields(Source)}
    if unknown := sorted(set(given) - known):
        raise WrongUsage(
            f"source {path}: unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )
    source = Source(**{**given, "header": tuple(given.get("header", ()))})
    if source.format not in FORMATS:
        raise WrongUsage(f"source {path}: format {source.format!r} is unknown; known: {', '.join(FORMATS)}")
    return source


def column_map(source: Source, table: str, allowed: Sequence[str]) -> Mapping[str, str]:
    """The source's column map for one table, checked against the table's columns."""
    columns: Mapping[str, str] = getattr(source, table)
    if not columns:
        raise WrongUsage(
            f"source {source.name} says nothing of {table}; add a section [{table}] with its columns"
        )
    if unknown := sorted(set(columns) - set(allowed)):
        raise WrongUsage(
            f"source {source.name}: [{table}] has no column {', '.join(unknown)}; columns: {', '.join(allowed)}"
        )
    return columns


@dataclass(frozen=True)
class InputFile:
    """`modified` in milliseconds since 1970."""

    path: str
    bytes: int
    modified: int


def list_files(inputs: Sequence[str], session: Callable[[], SparkSession]) -> list[InputFile]:
    """Every file that the inputs (files, folders, globs; on any storage Spark reads) stand for.

    Files and folders of this machine are listed without `session`, so that an ingest with nothing to do needs no JVM.

    Raises:
        JobError: there is none.
    """
    here = not is_submitted() and all(os.path.exists(each) for each in inputs)
    listed = _list_local_files(inputs) if here else _list_files_by_spark(inputs, session())
    files = sorted({file for file in listed if file.bytes}, key=lambda file: file.path)
    if not files:
        raise JobError(
            f"input {', '.join(inputs)} holds no file with anything in it; give files, folders or globs"
        )
    return files


def _list_local_files(inputs: Iterable[str]) -> Iterator[InputFile]:
    """As Spark lists them: without files and folders that other programs hide."""
    for top in map(os.path.abspath, inputs):
        walk = os.walk(top, followlinks=True) if os.path.isdir(top) else [("", [], [top])]
        for folder, folders, names in walk:
            folders[:] = [name for name in folders if not _is_hidden(name)]
            for path in (
                os.path.join(folder, name) for name in names if not _is_hidden(os.path.basename(name))
            ):
                seen = os.stat(path)
                yield InputFile(f"file:{path}", seen.st_size, seen.st_mtime_ns // 1_000_000)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def _list_files_by_spark(inputs: Sequence[str], spark: SparkSession) -> list[InputFile]:
    from pyspark.errors import AnalysisException

    try:
        listed = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(list(inputs))
        found = listed.selectExpr("path", "length", "unix_millis(modificationTime) modified").collect()
    except AnalysisException as error:
        raise JobError(f"input {', '.join(inputs)} cannot be read: {str(error).splitlines()[0]}") from None
    return [InputFile(row.path, row.length, row.modified) for row in found]


def estimate_rows(files: Iterable[InputFile]) -> int:
    """About how many rows there are, by the sizes of the files."""
    text = (".csv", ".tsv", ".txt", ".json", ".jsonl")
    return sum(
        file.bytes // (BYTES_PER_ROW if file.path.endswith(text) else BYTES_PER_COMPRESSED_ROW)
        for file in files
    )


def read_rows(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One row per row of the files: `raw`, `file`, `broken` and the columns that the files have."""
    if source.format == "parquet":
        return _read_parquet(spark, paths)
    if source.format == "csv":
        return _read_csv(spark, source, paths)
    records = _read_records(spark, source, paths)
    return _explode_sessions(records, source) if source.format == "sessions" else _parse_json(records)


def _read_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    from pyspark.sql import functions as F

    rows = spark.read.parquet(*paths)
    raw = F.to_json(F.struct(*[F.col(f"`{name}`") for name in rows.columns]))
    return rows.select(
        "*", raw.alias("raw"), F.col("_metadata.file_path").alias("file"), F.lit(False).alias("broken")
    )


def _read_records(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    return _read_lines(spark, paths) if source.by_line else _split_whole_files(spark, source, paths)


def _read_lines(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    from pyspark.sql import functions as F

    lines = spark.read.text(list(paths)).select(
        F.regexp_replace("value", "\r$", "").alias("raw"), F.col("_metadata.file_path").alias("file")
    )
    return lines.where(F.trim("raw") != "").withColumn("line", F.lit(None).cast("bigint"))


def _split_whole_files(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One task per file: only a reader from the start knows which line ends stand inside quotes."""

    def split(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import gzip

        import pandas as pd

        from features.records import split_records

        for batch in batches:
            for path, content in zip(batch["path"], batch["content"], strict=True):
                plain = gzip.decompress(content) if path.endswith(".gz") else content
                found = split_records(
                    plain.decode(source.encoding, errors="replace"), source.line_end, source.open_quote
                )
                frame = pd.DataFrame(found, columns=["line", "raw"])
                yield frame.assign(file=path)[["raw", "file", "line"]]

    files = spark.read.format("binaryFile").load(list(paths)).select("path", "content")
    return files.repartition(max(1, len(paths))).mapInPandas(split, "raw string, file string, line bigint")


def _read_csv(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """Each file by its own header; files that share one are read together."""
    from functools import reduce

    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    if source.header:
        return _parse_csv(_read_records(spark, source, paths), source, list(source.header))
    parts = [
        _parse_csv(
            _read_records(spark, source, files).where(F.col("raw") != header),
            source,
            _parse_header(source, header),
        )
        for header, files in _group_by_header(source, paths).items()
    ]
    return reduce(lambda a, b: DataFrame.unionByName(a, b, allowMissingColumns=True), parts)


def _group_by_header(source: Source, paths: Sequence[str]) -> dict[str, list[str]]:
    """Header line -> the files that begin with it; opening a file costs a round trip, so by many at once."""
    from concurrent.futures import ThreadPoolExecutor

    found: dict[str, list[str]] = {}
    with ThreadPoolExecutor(16) as pool:
        for path, header in zip(paths, pool.map(lambda path: _read_header(source, path), paths), strict=True):
            found.setdefault(header, []).append(path)
    return found


def _read_header(source: Source, path: str) -> str:
    from pyarrow import fs

    from features.records import split_records

    files, inner = fs.FileSystem.from_uri(re.sub("^file:/+", "file:///", path))
    compression = "gzip" if path.endswith(".gz") else None
    with files.open_input_stream(inner, compression=compression) as stream:
        head = stream.read(HEADER_BYTES).decode(source.encoding, errors="replace")
    return next((text for _, text in split_records(head, source.line_end, source.open_quote)), "")


def _parse_header(source: Source, header: str) -> list[str]:
    import csv

    names = next(csv.reader([header], delimiter=source.separator, quotechar=source.quote or None))
    return [name.strip().lstrip("\ufeff") for name in names]


def _parse_csv(records: DataFrame, source: Source, names: Sequence[str]) -> DataFrame:
    from pyspark.sql import functions as F

    options = {
        "sep": source.separator,
        "quote": source.quote,
        "escape": source.escape,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_broken",
    }
    schema = ", ".join([f"`{name}` string" for name in names] + ["_broken string"])
    parsed = records.withColumn("_row", F.from_csv("raw", schema, options))
    return parsed.select(
        "raw",
        "file",
        "line",
        F.col("_row._broken").isNotNull().alias("broken"),
        *[f"_row.`{n}`" for n in names],
    )


def _parse_json(records: DataFrame) -> DataFrame:
    """Columns are the keys of the top level; values stay text, as numbers may be too long for a double."""
    from pyspark.sql import functions as F

    keys = records.select(F.explode(F.expr("json_object_keys(raw)"))).distinct().collect()
    schema = ", ".join([f"`{row[0]}` string" for row in sorted(keys)] + ["_broken string"])
    parsed = records.withColumn("_row", F.from_json("raw", schema, {"columnNameOfCorruptRecord": "_broken"}))
    return parsed.select("raw", "file", F.col("_row._broken").isNotNull().alias("broken"), "_row.*").drop(
        "_broken"
    )


def _explode_sessions(records: DataFrame, source: Source) -> DataFrame:
    """A line is a session: its items by `position` (from 0), its `line` in the file (from 0)."""
    from pyspark.sql import functions as F

    items = F.posexplode(F.split(F.trim("raw"), source.separator)).alias("position", "item")
    return records.select("file", "line", items).select(
        "*", F.concat_ws(":", "line", "position", "item").alias("raw"), F.lit(False).alias("broken")
    )


def check_column_map(rows: DataFrame, columns: Mapping[str, str], source: Source) -> DataFrame:
    """`rows`, once every expression of the column map is known to fit them.

    Raises:
        JobError: one does not, named with the columns that the files have.
    """
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as F

    for name, expression in columns.items():
        try:
            rows.select(F.expr(expression))
        except AnalysisException as error:
            there = [column for column in rows.columns if column not in ("raw", "file", "broken")]
            raise JobError(
                f"source {source.name}: {name} = {expression!r} does not fit the files: "
                f"{str(error).splitlines()[0].split(' SQLSTATE')[0]} Their columns: {', '.join(there)}"
            ) from None
    return rows


def identify_files(files: Sequence[InputFile]) -> list[tuple[Any, ...]]:
    """What identifies an input without reading it."""
    return [(file.path, file.bytes, file.modified) for file in files]
