"""Rows of a source's files: `raw`, `file`, `broken` and the file's own columns as text (parquet: as they are)."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.records import split_records
from jobs.errors import JobError
from jobs.sources import Source
from segue.storage import filesystem

if TYPE_CHECKING:
    import pandas as pd

# The first line of a wide file, and no more of it.
HEADER_BYTES = 65_536


def read_rows(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One row per row of the files: `raw`, `file`, `broken` and the columns that the files have."""
    if source.format == "parquet":
        return _read_parquet(spark, paths)
    if source.format == "csv":
        return _read_csv(spark, source, paths)
    records = _read_records(spark, source, paths)
    return _explode_sessions(records, source) if source.format == "sessions" else _parse_json(records)


def check_column_map(rows: DataFrame, columns: Mapping[str, str], source: Source) -> DataFrame:
    """`rows`, once every expression of the column map is known to fit them.

    Raises:
        JobError: one does not, named with the columns that the files have.
    """
    for name, expression in columns.items():
        try:
            rows.select(F.expr(expression))
        except AnalysisException as error:
            present = [column for column in rows.columns if column not in ("raw", "file", "broken")]
            raise JobError(
                f"source {source.name}: {name} = {expression!r} does not fit the files: "
                f"{str(error).splitlines()[0].split(' SQLSTATE')[0]} Their columns: {', '.join(present)}"
            ) from None
    return rows


def _read_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    rows = spark.read.parquet(*paths)
    raw = F.to_json(F.struct(*[F.col(f"`{name}`") for name in rows.columns]))
    return rows.select(
        "*", raw.alias("raw"), F.col("_metadata.file_path").alias("file"), F.lit(False).alias("broken")
    )


def _read_records(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One row per record: `raw`, `file`, and `line`, its number in a file that was read as a whole."""
    if not source.by_line:
        return _split_whole_files(spark, source, paths)
    # As text first: Spark's CSV reader keeps the text only of lines that it could not parse, and a reject shall
    # show its text whatever is wrong with it.
    lines = spark.read.text(list(paths)).select(
        F.regexp_replace("value", "\r$", "").alias("raw"), F.col("_metadata.file_path").alias("file")
    )
    return lines.where(F.trim("raw") != "").withColumn("line", F.lit(None).cast("bigint"))


def _split_whole_files(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One task per file: only a reader from the start knows which line ends stand inside quotes."""
    encoding, line_end, quote = source.encoding, source.line_end, source.open_quote

    def split(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        for batch in batches:
            for path, content in zip(batch["path"], batch["content"], strict=True):
                plain = gzip.decompress(content) if path.endswith(".gz") else content
                # a byte that the encoding does not know becomes U+FFFD: the row may still be a play
                records = split_records(plain.decode(encoding, errors="replace"), line_end, quote)
                frame = pd.DataFrame(records, columns=["line", "raw"])
                yield frame.assign(file=path)[["raw", "file", "line"]]

    files = spark.read.format("binaryFile").load(list(paths)).select("path", "content")
    return files.repartition(max(1, len(paths))).mapInPandas(split, "raw string, file string, line bigint")


def _read_csv(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """Each file by its own header; files that share one are read together."""
    if source.header:
        return _parse_csv(_read_records(spark, source, paths), source, source.header)
    parts = []
    for header, files in _group_by_header(source, paths).items():
        records = _read_records(spark, source, files).where(F.col("raw") != header)
        parts.append(_parse_csv(records, source, _parse_header(source, header)))
    # A file of another month may lack a column: there it is null.
    return reduce(lambda a, b: DataFrame.unionByName(a, b, allowMissingColumns=True), parts)


def _group_by_header(source: Source, paths: Sequence[str]) -> dict[str, list[str]]:
    """Header line -> the files that begin with it; opening a file costs a round trip, so by many at once."""
    groups: dict[str, list[str]] = {}
    with ThreadPoolExecutor(16) as pool:
        headers = pool.map(lambda path: _read_header(source, path), paths)
        for path, header in zip(paths, headers, strict=True):
            groups.setdefault(header, []).append(path)
    return groups


def _read_header(source: Source, path: str) -> str:
    # a file of this machine as a path: in a URI its spaces and percent signs would mean something else
    files, inner = filesystem(re.sub("^file:/+", "/", path))
    compression = "gzip" if path.endswith(".gz") else None
    with files.open_input_stream(inner, compression=compression) as stream:
        head = stream.read(HEADER_BYTES).decode(source.encoding, errors="replace")
    return next((text for _, text in split_records(head, source.line_end, source.open_quote)), "")


def _parse_header(source: Source, header: str) -> list[str]:
    # spreadsheet programs begin a file with a byte order mark, which is no part of the first name
    names = next(csv.reader([header], delimiter=source.separator, quotechar=source.quote or None))
    return [name.strip().lstrip("\ufeff") for name in names]


def _parse_csv(records: DataFrame, source: Source, names: Sequence[str]) -> DataFrame:
    options = {
        "sep": source.separator,
        "quote": source.quote,
        "escape": source.escape,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_broken",
    }
    # all as text: a value that is no number is a reject with its text, not a null
    parsed = records.withColumn("_row", F.from_csv("raw", _text_schema(names), options))
    broken = F.col("_row._broken").isNotNull().alias("broken")
    return parsed.select("raw", "file", "line", broken, *[f"_row.`{name}`" for name in names])


def _parse_json(records: DataFrame) -> DataFrame:
    """Columns are the keys of the top level; values stay text, as numbers may be too long for a double."""
    # One more pass over the files, as lines of JSON declare no columns.
    keys = records.select(F.explode(F.expr("json_object_keys(raw)"))).distinct().collect()
    schema = _text_schema([row[0] for row in sorted(keys)])
    parsed = records.withColumn("_row", F.from_json("raw", schema, {"columnNameOfCorruptRecord": "_broken"}))
    broken = F.col("_row._broken").isNotNull().alias("broken")
    return parsed.select("raw", "file", broken, "_row.*").drop("_broken")


def _text_schema(names: Iterable[str]) -> str:
    return ", ".join([f"`{name}` string" for name in names] + ["_broken string"])


def _explode_sessions(records: DataFrame, source: Source) -> DataFrame:
    """A line is a session: its items by `position` (from 0), its `line` in the file (from 0)."""
    items = F.posexplode(F.split(F.trim("raw"), source.separator)).alias("position", "item")
    return records.select("file", "line", items).select(
        "*", F.concat_ws(":", "line", "position", "item").alias("raw"), F.lit(False).alias("broken")
    )
