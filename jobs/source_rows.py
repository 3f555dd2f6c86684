"""Rows of a source's files: `raw`, `file`, `broken`, `is_header` and its columns, as text (parquet: as they are)."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.documents import is_document, split_documents
from features.records import split_records
from jobs import pseudonyms
from jobs.errors import JobError
from jobs.parquet_files import filesystem_of_listed, read_parquet
from jobs.personal_rows import redact
from jobs.sources import InputFile, Source

if TYPE_CHECKING:
    import pandas as pd

# The first line of a wide file, and no more of it: on an object store one small read.
HEADER_BYTES = 65_536


def read_rows(
    spark: SparkSession, source: Source, files: Sequence[InputFile], columns: Mapping[str, str]
) -> DataFrame:
    """One row per row of the files: `raw`, `file`, `broken` and the columns that the files have.

    `is_header` is true of the first line of each file with a header, and of lines that repeat it: with many tasks per
    file nobody knows here which was the first.

    Raises:
        JobError: an expression of `columns`, the source's column map, does not fit them.
    """
    read = {"parquet": _read_parquet, "csv": _read_csv, "json": _read_json, "sessions": _read_sessions}
    rows = read[source.format](spark, source, [file.path for file in files])
    if "is_header" not in rows.columns:
        rows = rows.withColumn("is_header", F.lit(False))
    rows = _select_kind(_add_optional_columns(rows, source), source)
    if source.pseudonymise:
        pseudonyms.register(spark)
    # one at a time, so that the error names the column; this plans, and runs nothing
    for name, expression in columns.items():
        try:
            rows.select(F.expr(expression))
        except AnalysisException as error:
            present = [
                column for column in rows.columns if column not in ("raw", "file", "broken", "is_header")
            ]
            # Spark's first line names what is wrong, the rest is its plan
            raise JobError(
                f"source {source.name}: {name} = {expression!r} does not fit the files: "
                f"{str(error).splitlines()[0].split(' SQLSTATE')[0]} Their columns: {', '.join(present)}"
            ) from None
    return redact(rows, source, columns)


def _add_optional_columns(rows: DataFrame, source: Source) -> DataFrame:
    # Spark compares names without case
    present = {name.lower() for name in rows.columns}
    values = {**dict.fromkeys(source.optional), "listener": source.listener or None}
    lacking = {name: value for name, value in values.items() if name.lower() not in present}
    return rows.withColumns({name: F.lit(value).cast("string") for name, value in lacking.items()})


def _select_kind(rows: DataFrame, source: Source) -> DataFrame:
    if not source.where:
        return rows
    try:
        # of a broken line nobody knows of what kind it is
        return rows.where(
            F.col("broken") | F.col("is_header") | F.coalesce(F.expr(source.where), F.lit(True))
        )
    except AnalysisException as error:
        raise JobError(
            f"source {source.name}: where = {source.where!r} does not fit the files: "
            f"{str(error).splitlines()[0].split(' SQLSTATE')[0]}"
        ) from None


def _read_parquet(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    rows = read_parquet(spark, paths)
    # a parquet row has no text of its own, and a reject shows one
    raw = F.to_json(F.struct(*[F.col(f"`{name}`") for name in rows.columns]))
    return rows.select(
        "*", raw.alias("raw"), F.col("_metadata.file_path").alias("file"), F.lit(False).alias("broken")
    )


def _read_records(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One row per record: `raw`, `file`, and `line`, its number in a file that was read as a whole."""
    if not source.by_line:
        return _split_whole_files(spark, source, paths)
    # as text first: Spark's CSV reader keeps the text only of lines that it could not parse, and a reject shall
    # show its text whatever is wrong with it
    # lines are split at LF; the CR of a Windows file would be part of the last column
    text, file = F.regexp_replace("value", "\r$", ""), F.col("_metadata.file_path")
    lines = spark.read.text(list(paths)).select(text.alias("raw"), file.alias("file"))
    return lines.where(F.trim("raw") != "").withColumn("line", F.lit(None).cast("bigint"))


def _split_whole_files(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    encoding, line_end, quote = source.encoding, source.line_end, source.open_quote
    return _read_whole_files(spark, encoding, paths, lambda text: split_records(text, line_end, quote))


def _read_whole_files(
    spark: SparkSession, encoding: str, paths: Sequence[str], cut: Callable[[str], Iterable[tuple[int, str]]]
) -> DataFrame:
    """`raw`, `file` and `line`, of numbered records that `cut` finds in the text of a file."""

    def split(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        for batch in batches:
            for path, content in zip(batch["path"], batch["content"], strict=True):
                plain = gzip.decompress(content) if path.endswith(".gz") else content
                # a byte that the encoding does not know becomes U+FFFD: the row may still be a play
                records = cut(plain.decode(encoding, errors="replace"))
                frame = pd.DataFrame(records, columns=["line", "raw"])
                yield frame.assign(file=path)[["raw", "file", "line"]]

    # a task per file: only a reader from the start knows which line ends stand inside quotes
    files = spark.read.format("binaryFile").load(list(paths)).select("path", "content")
    # Spark reads many small files in one task, and to split them would be the work of one core
    return files.repartition(max(1, len(paths))).mapInPandas(split, "raw string, file string, line bigint")


def _read_csv(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    if source.header:
        return _parse_csv(_read_records(spark, source, paths), source, source.header)
    # each file has its own header: columns come, go and change places from month to month
    paths_by_header: dict[str, list[str]] = defaultdict(list)
    # opening a file costs a round trip, so many at once
    with ThreadPoolExecutor(16) as pool:
        for path, header in zip(paths, pool.map(partial(_read_header, source), paths), strict=True):
            paths_by_header[header].append(path)
    parts = []
    for header, group in paths_by_header.items():
        records = _read_records(spark, source, group)
        # spreadsheet programs begin a file with a byte order mark, which is no part of the first name
        names = next(csv.reader([header], delimiter=source.separator, quotechar=source.quote or None))
        rows = _parse_csv(records, source, [name.strip().lstrip("\ufeff") for name in names])
        parts.append(rows.withColumn("is_header", F.col("raw") == header))
    # a file of another month may lack a column: there it is null
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), parts)


def _read_head(source: Source, path: str) -> str:
    files, inner = filesystem_of_listed(path)
    compression = "gzip" if path.endswith(".gz") else None
    with files.open_input_stream(inner, compression=compression) as stream:
        # the cut may fall inside a character, so what cannot be decoded is no error
        return str(stream.read(HEADER_BYTES).decode(source.encoding, errors="replace"))


def _read_header(source: Source, path: str) -> str:
    head = _read_head(source, path)
    return next((text for _, text in split_records(head, source.line_end, source.open_quote)), "")


def _parse_csv(records: DataFrame, source: Source, names: Sequence[str]) -> DataFrame:
    form = {"sep": source.separator, "quote": source.quote, "escape": source.escape, "mode": "PERMISSIVE"}
    options = form | {"columnNameOfCorruptRecord": "_broken"}
    # all as text: a value that is no number is a reject with its text, not a null
    parsed = records.withColumn("_row", F.from_csv("raw", _text_schema(names), options))
    broken = F.col("_row._broken").isNotNull().alias("broken")
    # in backticks: foreign names hold dots and spaces
    return parsed.select("raw", "file", "line", broken, *[f"_row.`{name}`" for name in names])


def _read_json_records(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """A record a line, or those of whole documents, file by file: an export may have both."""
    with ThreadPoolExecutor(16) as pool:
        whole = list(
            pool.map(lambda path: bool(source.records) or is_document(_read_head(source, path)), paths)
        )
    records, encoding = source.records, source.encoding
    documents = [path for path, is_whole in zip(paths, whole, strict=True) if is_whole]
    lines = [path for path, is_whole in zip(paths, whole, strict=True) if not is_whole]
    parts = [_read_records(spark, source, lines)] if lines else []
    if documents:
        cut = lambda text: enumerate(split_documents(text, records))  # noqa: E731
        parts.append(_read_whole_files(spark, encoding, documents, cut))
    return reduce(DataFrame.unionByName, parts)


def _read_json(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    records = _read_json_records(spark, source, paths)
    # one more pass over the files, as lines of JSON declare no columns: those are the keys of the top level
    keys = records.select(F.explode(F.expr("json_object_keys(raw)"))).distinct().collect()
    # values stay text, as numbers may be too long for a double
    schema = _text_schema([row[0] for row in sorted(keys)])
    parsed = records.withColumn("_row", F.from_json("raw", schema, {"columnNameOfCorruptRecord": "_broken"}))
    broken = F.col("_row._broken").isNotNull().alias("broken")
    return parsed.select("raw", "file", broken, "_row.*").drop("_broken")


def _text_schema(names: Iterable[str]) -> str:
    return ", ".join([f"`{name}` string" for name in names] + ["_broken string"])


def _read_sessions(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """A line is a session: its items by `position` (from 0), its `line` in the file (from 0)."""
    records = _read_records(spark, source, paths)
    items = F.posexplode(F.split(F.trim("raw"), source.separator)).alias("position", "item")
    # the item alone would be the same text for every play of a track
    raw = F.concat_ws(":", "line", "position", "item").alias("raw")
    return records.select("file", "line", items).select("*", raw, F.lit(False).alias("broken"))
