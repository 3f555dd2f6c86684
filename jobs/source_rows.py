"""Rows of a source's files: RAW, FILE, BROKEN, IS_HEADER and its columns, as text (parquet: as they are)."""

from __future__ import annotations

import bz2
import gzip
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType

from features.documents import split_document
from features.ingest import BROKEN, FILE, IS_HEADER, LEFT_OUT, RAW, attempt
from features.records import split_objects
from jobs.column_names import check_expressions, check_volatility, choose_names, list_words
from jobs.errors import JobError
from jobs.file_starts import FileStart, read_starts, split_header
from jobs.input_files import InputFile
from jobs.long_rows import LONG, check_lines, cut_column, cut_texts
from jobs.parquet_files import read_parquet_by_schema, spell
from jobs.personal_rows import redact
from jobs.source_functions import register_functions
from jobs.sources import Source
from schemas.common import quote_name
from schemas.sql import list_columns

if TYPE_CHECKING:
    import pandas as pd

# Of a file that is read as a whole, unpacked: a gzip of a megabyte can hold a thousand.
MOST_BYTES = 2**31
CORRUPT = "_segue_corrupt"
# Types that Spark widens to one of them.
NUMBERS = {"tinyint", "smallint", "int", "bigint", "float", "double"}
Split = Callable[[str], Iterable[tuple[int, str]]]


def read_rows(
    spark: SparkSession, source: Source, files: Sequence[InputFile], columns: Mapping[str, str]
) -> DataFrame:
    """One row per row of the files: RAW, FILE, BROKEN, IS_HEADER and the columns that the files have.

    IS_HEADER is true of the first line of each file with a header, and of lines that repeat it: with many tasks per
    file nobody knows here which was the first. `file` and `raw` are there as well, where the files have no such column.

    Raises:
        JobError: a file cannot be read, or an expression of `columns`, the source's column map, does not fit them.
    """
    check_volatility(source, {**columns, "where": source.where})
    # an expression that raises must do so where it is caught: shared parts of several are computed ahead of them
    spark.conf.set("spark.sql.subexpressionElimination.enabled", "false")
    paths = [file.path for file in files]
    if source.format == "parquet":
        rows = _read_parquet(spark, paths, columns)
    else:
        starts = read_starts(source, paths)
        if not starts:
            raise JobError(f"the files of source {source.name} hold blank lines alone; give others")
        read = {"csv": _read_csv, "json": _read_json, "sessions": _read_sessions}
        if source.by_line:
            lines = {start.path for start in starts if _has_line_rows(source, start)}
            check_lines(source, [file for file in files if file.path in lines])
        rows = read[source.format](spark, source, starts, columns)
    if IS_HEADER not in rows.columns:
        rows = rows.withColumn(IS_HEADER, F.lit(False))
    present = {name.lower() for name in rows.columns}
    ours = {name: F.col(column) for name, column in (("raw", RAW), ("file", FILE)) if name not in present}
    rows = _add_optional_columns(rows.withColumns(ours) if ours else rows, source)
    if source.unicode_form:
        rows = _bring_to_form(rows, source.unicode_form, [*columns.values(), source.where])
    register_functions(spark, source)
    check_expressions(source, rows, {**columns, "where": source.where} if source.where else columns)
    if source.where:
        # null where the condition is, or where it raises: such a row is judged by its fields
        rows = rows.withColumn(LEFT_OUT, attempt(f"not ({source.where})") == "true")
    return redact(rows, source, columns)


def _add_optional_columns(rows: DataFrame, source: Source) -> DataFrame:
    # Spark compares names without case
    present = {name.lower() for name in rows.columns}
    _check_listener(source, present)
    values = {**dict.fromkeys(source.optional), "listener": source.listener or None}
    lacking = {name: value for name, value in values.items() if name.lower() not in present}
    return rows.withColumns({name: F.lit(value).cast("string") for name, value in lacking.items()})


def _check_listener(source: Source, present: set[str]) -> None:
    """Raises JobError where nothing can say who listened: all rows would be rejects."""
    names = {name.lower() for name in list_columns(source.plays.get("user_id", "null"))}
    if "listener" in names and not source.listener and not names & present:
        raise JobError(
            f"source {source.name}: the files do not say who listened. Write a source file with "
            f'extends = "{source.name}" and listener = "an id", and give that as --source'
        )


def _bring_to_form(rows: DataFrame, form: Literal["NFC", "NFKC"], expressions: Iterable[str]) -> DataFrame:
    def normalise(text: str | None) -> str | None:
        return None if text is None else unicodedata.normalize(form, text)

    to_form = F.udf(normalise, StringType(), useArrow=True)
    words = {word.lower() for word in list_words(expressions)}
    # RAW stays as it was read
    used = [name for name, type_ in rows.dtypes if type_ == "string" and name.lower() in words]
    return rows.withColumns({name: to_form(F.col(quote_name(name))) for name in used})


def _read_parquet(spark: SparkSession, paths: Sequence[str], columns: Mapping[str, str]) -> DataFrame:
    return _union(read_parquet_by_schema(spark, paths, partial(_name_rows, columns=columns)))


def _name_rows(rows: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    # a parquet row has no text of its own, and a reject shows one
    raw = F.to_json(F.struct(*[F.col(quote_name(name)) for name in rows.columns]))
    named = [F.col(quote_name(name)) for name in choose_names(rows.columns, columns)]
    no = [F.lit(False).alias(name) for name in (BROKEN, LONG)]
    return rows.select(*named, raw.alias(RAW), _find_path().alias(FILE), *no)


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    """A file of another month may lack a column, or have it in another type: there it is null, or a text in all.

    Numbers of several types stay numbers: as texts, 5 and 5.0 were two ids.
    """
    types: dict[str, set[str]] = defaultdict(set)
    for frame in frames:
        for name, type_ in frame.dtypes:
            types[name.lower()].add(type_)
    as_text = {name for name, kinds in types.items() if len(kinds) > 1 and not kinds <= NUMBERS}

    def unify(frame: DataFrame) -> DataFrame:
        names = [name for name in frame.columns if name.lower() in as_text]
        return frame.withColumns({name: F.col(quote_name(name)).cast("string") for name in names})

    unified = map(unify, frames) if as_text else frames
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), unified)


def _read_records(spark: SparkSession, source: Source, paths: Sequence[str]) -> DataFrame:
    """One row per record: RAW, FILE, LONG, and `line`, its number in a file that was read as a whole."""
    if not source.by_line:
        return _split_whole_files(spark, source, paths, source.make_split())
    # as text first: Spark's CSV reader keeps the text only of lines that it could not parse, and a reject shall
    # show its text whatever is wrong with it
    lines = spark.read.text(list(map(spell, paths)))
    lines = lines.select(*cut_column(F.col("value"), source), _find_path().alias(FILE))
    return lines.where(F.trim(RAW) != "").withColumn("line", F.lit(None).cast("bigint"))


def _find_path() -> Column:
    """Of a row's file, as files that are read as a whole have it too: Spark gives a URI, in which signs are escaped."""
    uri = F.col("_metadata.file_path")
    # of forms: a plus would be a space
    decoded = F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B")))
    return F.when(uri.contains("%"), decoded).otherwise(uri)


def _split_whole_files(spark: SparkSession, source: Source, paths: Sequence[str], split: Split) -> DataFrame:
    encoding, longest_row = source.encoding, source.longest_row

    def split_files(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        for batch in batches:
            for path, content in zip(batch["path"], batch["content"], strict=True):
                # a byte that the encoding does not know becomes U+FFFD: the row may still be a play
                text = _unpack(path, content).decode(encoding, errors="replace").removeprefix("\ufeff")
                frame = pd.DataFrame(cut_texts(split(text), longest_row), columns=["line", RAW, LONG])
                yield frame.assign(**{FILE: path})[[RAW, FILE, LONG, "line"]]

    # a task per file: only a reader from the start knows which line ends stand inside quotes
    files = spark.read.format("binaryFile").load(list(map(spell, paths))).select("path", "content")
    # Spark reads many small files in one task, and to split them would be the work of one core
    schema = f"{RAW} string, {FILE} string, {LONG} boolean, line bigint"
    return files.repartition(max(1, len(paths))).mapInPandas(split_files, schema)


def _unpack(path: str, content: bytes) -> bytes:
    packed: gzip.GzipFile | bz2.BZ2File
    if path.endswith(".gz"):
        packed = gzip.GzipFile(fileobj=BytesIO(content))
    elif path.endswith(".bz2"):
        packed = bz2.BZ2File(BytesIO(content))
    else:
        return content
    try:
        with packed as stream:
            plain = bytes(stream.read(MOST_BYTES + 1))
    except (EOFError, OSError, zlib.error) as problem:
        raise ValueError(f"file {path} cannot be read: {problem}") from None
    if len(plain) > MOST_BYTES:
        raise ValueError(f"file {path} has more than {MOST_BYTES:,} bytes when unpacked; split it")
    return plain


def _read_csv(
    spark: SparkSession, source: Source, starts: Sequence[FileStart], columns: Mapping[str, str]
) -> DataFrame:
    if source.header:
        paths = [start.path for start in starts]
        return _parse_csv(_read_records(spark, source, paths), source, source.header, columns)
    # each file has its own header: columns come, go and change places from month to month
    by_header: dict[str, list[FileStart]] = defaultdict(list)
    for start in starts:
        by_header[start.header].append(start)
    parts = []
    for header, group in by_header.items():
        records = _read_records(spark, source, [start.path for start in group])
        rows = _parse_csv(records, source, split_header(source, group[0]), columns)
        parts.append(rows.withColumn(IS_HEADER, F.col(RAW) == header))
    return _union(parts)


def _parse_csv(
    records: DataFrame, source: Source, names: Sequence[str], columns: Mapping[str, str]
) -> DataFrame:
    form = {"sep": source.separator, "quote": source.quote, "escape": source.escape, "mode": "PERMISSIVE"}
    options = form | {"columnNameOfCorruptRecord": CORRUPT}
    # by place, as names of others may be empty, twice there, or ours; all as text: a value that is no number is a
    # reject with its text, not a null
    schema = ", ".join([f"_{place} string" for place in range(len(names))] + [f"{CORRUPT} string"])
    parsed = records.withColumn("_segue_row", F.from_csv(RAW, schema, options))
    named = [
        F.col(f"_segue_row._{place}").alias(name) for name, place in choose_names(names, columns).items()
    ]
    return parsed.select(RAW, FILE, LONG, _is_broken().alias(BROKEN), *named)


def _is_broken() -> Column:
    return F.col(f"_segue_row.{CORRUPT}").isNotNull() | F.col(LONG)


def _has_line_rows(source: Source, start: FileStart) -> bool:
    return source.format != "json" or (start.has_line_objects and not source.records)


def _read_json(
    spark: SparkSession, source: Source, starts: Sequence[FileStart], columns: Mapping[str, str]
) -> DataFrame:
    by_line = [each.path for each in starts if _has_line_rows(source, each)]
    whole = [each.path for each in starts if not _has_line_rows(source, each)]
    split = partial(split_document, path=source.records) if source.records else split_objects
    parts = [_read_records(spark, source, by_line)] if by_line else []
    parts += [_split_whole_files(spark, source, whole, split)] if whole else []
    records = reduce(DataFrame.unionByName, parts)
    # one more pass over the files, as lines of JSON declare no columns: those are the keys of the top level
    keys = records.select(F.explode(F.expr(f"json_object_keys({RAW})"))).distinct().collect()
    names = choose_names(sorted(row[0] for row in keys), columns)
    schema = StructType()
    for name in (*names, CORRUPT):
        # values stay text, as numbers may be too long for a double
        schema.add(name, StringType())
    parsed = records.withColumn(
        "_segue_row", F.from_json(RAW, schema, {"columnNameOfCorruptRecord": CORRUPT})
    )
    broken = (_is_broken() | _has_several_objects()).alias(BROKEN)
    return parsed.select(RAW, FILE, LONG, broken, "_segue_row.*").drop(CORRUPT)


def _has_several_objects() -> Column:
    """Of a line of JSON, of which Spark would read the first object and leave out the rest without a word."""
    # most lines have one brace, at their end, and a look for that costs a tenth of a regular expression
    ends_before = F.instr(RAW, "}") < F.length(F.rtrim(RAW))
    # a string may hold anything; first what stands for a quote, then strings
    unescaped = F.replace(F.replace(RAW, F.lit("\\\\"), F.lit("")), F.lit('\\"'), F.lit(""))
    return ends_before & F.regexp_replace(unescaped, '"[^"]*"', '""').rlike(r"\}\s*\{")


def _read_sessions(
    spark: SparkSession, source: Source, starts: Sequence[FileStart], columns: Mapping[str, str]
) -> DataFrame:
    """A line is a session: its items by `position` (from 0), its `line` in the file (from 0)."""
    records = _read_records(spark, source, [start.path for start in starts])
    # as it is written, where Spark takes a regular expression
    items = F.split(F.trim(RAW), re.escape(source.separator))
    items = F.posexplode(F.when(F.col(LONG), F.array(RAW)).otherwise(items)).alias("position", "item")
    # the item alone would be the same text for every play of a track
    raw = F.concat_ws(":", "line", "position", "item").alias(RAW)
    return records.select(FILE, LONG, "line", items).select("*", raw, F.col(LONG).alias(BROKEN))
