"""Shows how files would come in: ten rows, the rejects, and a source file for files that none is known for. Nothing is
written."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.ingest import parse_and_validate_events, parse_and_validate_plays, play_fields
from features.tracks import parse_and_validate_tracks, select_tracks, track_fields
from jobs.arrow_values import list_values
from jobs.column_values import WHOLE_FLOAT, WHOLE_NUMBER_SQL
from jobs.errors import JobError
from jobs.file_heads import FileHead
from jobs.input_files import InputFile
from jobs.long_rows import PACKED_SUFFIXES
from jobs.parquet_files import filesystem_of_listed
from jobs.propose_source import Proposal, propose_extension, propose_source
from jobs.recognise_source import (
    AUTO,
    find_base,
    find_source,
    is_auto,
    list_input_files,
    read_heads,
    recognise,
)
from jobs.session import open_step_session, tune
from jobs.source_rows import read_rows
from jobs.sources import Source, column_map, load_source
from schemas import CONTRACTS, EVENT_TABLES
from schemas.sql import list_columns
from schemas.tracks import TRACKS
from segue import show
from segue.project import find_project

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 10
# Rows that are looked at, and bytes of files: a try is over in seconds, also of a year of deliveries.
MOST_ROWS = 10_000
MOST_BYTES = 2**28
CUT_BYTES = 2**24
LONGEST = 40
LISTENER = "(listener)"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = " ".join(__doc__.split())
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="files, folders or globs")
    source = find_project().resolve("source").value or AUTO
    layout = "TOML file or a name that `segue sources` lists: how the files are laid out (%(default)s)"
    add("--source", default=source, help=layout)
    add("--table", metavar="TABLE", help="only rows of this table (default: of all that the source fills)")
    shown = "rows to show of each table (%(default)s)"
    add("--rows", type=_parse_count, default=ROWS, metavar="N", help=shown)
    add("--json", action="store_true", help="rows, rejects and proposal as JSON objects, a line each")


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows, expected 0 to 99999")
    return int(text)


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="segue-try-") as folder:
        return _try(args, Path(folder))


def _try(args: argparse.Namespace, folder: Path) -> int:
    # Spark writes its messages to a file, and this one goes with the folder
    open_session = partial(open_step_session, "try", folder / "spark.log")
    files = list_input_files(args.files, open_session)
    heads = read_heads(files) if is_auto(args.source) else []
    proposal = None
    if heads and not any(map(recognise, heads)):
        # a page to read first has no columns
        proposal = _propose(next((head for head in heads if head.columns), heads[0]), args.json)
        if proposal.missing:
            return JobError.exit_code
    source = _load(args, heads, proposal, folder)
    _say(args.json, f"source {source.name}{f': {source.about}' if source.about else ''}")
    spark = open_session()
    tune(spark, MOST_ROWS)
    looked_at = list(_select_first(files))
    _say_files(args.json, files, looked_at)
    looked_at = [_cut(source, file, folder) for file in looked_at]
    for table in _list_tables(source, args.table):
        _try_table(spark, source, looked_at, table, args)
    return 0


def _load(
    args: argparse.Namespace, heads: Sequence[FileHead], proposal: Proposal | None, folder: Path
) -> Source:
    if proposal is not None:
        path = folder / "proposal.toml"
        path.write_text(proposal.text, encoding="utf-8")
        return load_source(str(path))
    source = load_source(find_source(heads) if heads else args.source)
    if source.listener or "listener" not in list_columns(source.plays.get("user_id", "null")):
        return source
    _say(
        args.json,
        f"where the files do not say who listened, {LISTENER!r} stands here. To ingest them, write a source file with "
        f'extends = "{source.name}" and listener = "an id"',
    )
    return source.replace(listener=LISTENER)


def _propose(head: FileHead, as_json: bool) -> Proposal:
    """Raises JobError where the file has no columns."""
    if not head.columns:
        raise JobError(
            f"nothing can be read of {head.describe()}; expected CSV, JSON or parquet with columns"
        )
    base = find_base(head)
    proposal = propose_extension(head, base) if base else propose_source(head)
    if as_json:
        print(show.format_json_lines([{"proposal": proposal.text, "missing": list(proposal.missing)}]))
        return proposal
    todo = "; fill in what is missing" if proposal.missing else ""
    print(f"no known source: {show.escape(head.describe())}\nA source file for it, to be checked{todo}:\n")
    print(show.escape(proposal.text))
    return proposal


def _select_first(files: Sequence[InputFile]) -> Iterator[InputFile]:
    total = 0
    for file in files:
        if total and total + file.bytes > MOST_BYTES:
            return
        total += file.bytes
        yield file


def _cut(source: Source, file: InputFile, folder: Path) -> InputFile:
    """Of a file of text that is larger than all that is looked at, the first lines, as a file of this machine."""
    # a part of an archive could not be read, and of parquet only the rows that are shown are read anyway
    if file.bytes <= MOST_BYTES or source.format == "parquet" or file.path.endswith(PACKED_SUFFIXES):
        return file
    files, inner = filesystem_of_listed(file.path)
    with files.open_input_stream(inner, compression=None) as stream:
        content = bytes(stream.read(CUT_BYTES))
    # expressions of a source may read the name, which may be that of another file here
    path = folder / "cut" / file.path.rpartition("/")[2]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content[: content.rfind(b"\n") + 1] or content)
    return InputFile(f"file:{path}", path.stat().st_size, file.modified)


def _list_tables(source: Source, table: str | None) -> list[str]:
    known = ["plays", TRACKS.name, *(each.name for each in EVENT_TABLES)]
    filled = [name for name in known if source.section(name)]
    if table is not None and table not in filled:
        raise JobError(f"source {source.name} fills {', '.join(filled) or 'no table'}, and not {table!r}")
    return filled if table is None else [table]


# --- one table


def _try_table(
    spark: SparkSession, source: Source, files: Sequence[InputFile], table: str, args: argparse.Namespace
) -> None:
    columns, rows = _parse_rows(spark, source, files, table)
    rows = rows.limit(MOST_ROWS)
    # read once: what is wrong, what is right and how many are one scan
    parsed = _collect(rows.drop("former_id", "ds", "source"))
    # of rows that the source leaves out there are no reasons
    left_out = sum(row["reasons"] is None for row in parsed)
    events = [row for row in parsed if row["reasons"] == []]
    rejects = [row for row in parsed if row["reasons"] and not row["is_header"]]
    key = CONTRACTS[table].key[0]
    distinct = len({row[key] for row in events})
    counts = {"rows": len(events) + len(rejects) + left_out, table: distinct}
    counts |= {"duplicates": len(events) - distinct, "rejected": len(rejects), "left out": left_out}
    _print_counts(args, table, counts, len(parsed) == MOST_ROWS)
    _warn_of_float_ids(args.json, events)
    if table == TRACKS.name and events:
        # of several rows of a track that which stands
        unique = select_tracks(rows, CONTRACTS[table]).orderBy(key).limit(args.rows)
        events = _collect(unique)
    _print_rows(args, table, list(columns), events[: args.rows])
    _print_rejects(args, table, rejects)


def _parse_rows(
    spark: SparkSession, source: Source, files: Sequence[InputFile], table: str
) -> tuple[Mapping[str, str], DataFrame]:
    contract = CONTRACTS[table]
    if table == TRACKS.name:
        columns = column_map(source, table, track_fields(contract))
        rows = read_rows(spark, source, files, columns)
        today = datetime.now(UTC).date()
        return columns, parse_and_validate_tracks(rows, columns, contract, source.name, today)
    event_table = next((each for each in EVENT_TABLES if each.name == table), None)
    if event_table is None:
        fields, parse = play_fields(contract), partial(parse_and_validate_plays, contract=contract)
        columns = column_map(source, table, fields)
        rows = read_rows(spark, source, files, columns)
        return columns, parse(rows, columns, source.name, datetime.now(UTC))
    columns = column_map(source, table, event_table.fields)
    rows = read_rows(spark, source, files, columns)
    return columns, parse_and_validate_events(rows, columns, event_table, source.name, datetime.now(UTC))


def _collect(rows: DataFrame) -> list[dict[str, Any]]:
    # by Arrow: Spark's own rows have instants in the zone of the machine
    return list_values(rows.toArrow())


# --- what is shown


def _say(as_json: bool, text: str) -> None:
    if not as_json:
        print(show.escape(text))


def _say_files(as_json: bool, files: Sequence[InputFile], looked_at: Sequence[InputFile]) -> None:
    if len(looked_at) < len(files):
        _say(as_json, f"looked at {len(looked_at)} of {len(files)} files, the first in order of their names")


def _warn_of_float_ids(as_json: bool, events: Sequence[Mapping[str, Any]]) -> None:
    """Of artists, whose ids are names in many sources, so that such a one is no reject: here they are numbers."""
    ids = {row["artist_id"] for row in events if row.get("artist_id")}
    if ids and all(WHOLE_FLOAT.fullmatch(id_) for id_ in ids):
        remedy = f'write artist_id = "{WHOLE_NUMBER_SQL.format("...")}", ... being what stands there'
        _say(
            as_json,
            f"artist_id: {min(ids)} and all others are whole numbers with a point, as pandas writes them;",
        )
        _say(
            as_json,
            f"where a file has {min(ids).partition('.')[0]} it is another artist. To read both alike {remedy}",
        )


def _print_counts(args: argparse.Namespace, table: str, counts: Mapping[str, int], is_cut: bool) -> None:
    if args.json:
        print(show.format_json_lines([{"table": table, "counts": dict(counts)}]))
        return
    first, *others = (f"{count:,} {name}" for name, count in counts.items())
    cut = f" (no more than {MOST_ROWS:,} are looked at)" if is_cut else ""
    print(f"\n{first} read{cut} = {' + '.join(others)}")


def _print_rows(
    args: argparse.Namespace, table: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    names = [name for name in CONTRACTS[table].names if name in {*names, *CONTRACTS[table].key}]
    if not rows:
        return
    if args.json:
        print(show.format_json_lines([{"table": table, "row": {n: row[n] for n in names}} for row in rows]))
    else:
        cells = [[row[name] for name in names] for row in rows]
        print(f"\n{table}:\n{show.format_table(names, cells, LONGEST)}")


def _print_rejects(args: argparse.Namespace, table: str, rejects: Sequence[Mapping[str, Any]]) -> None:
    """Each reason once, with how many rows have it, and the text of one."""
    counts = Counter(reason for row in rejects for reason in row["reasons"])
    examples = {reason: row["raw"] for row in reversed(rejects) for reason in row["reasons"]}
    if args.json:
        found = [
            {"table": table, "reason": r, "rows": n, "raw": examples[r]} for r, n in counts.most_common()
        ]
        print(show.format_json_lines(found), end="\n" if found else "")
    elif counts:
        cells = [(reason, count, examples[reason]) for reason, count in counts.most_common()]
        print(f"\nrejected:\n{show.format_table(('reason', 'rows', 'such as'), cells, show.LONGEST_VALUE)}")
