"""The command `segue skew`: reads what was logged, prints how it differs from what was released, and may keep that."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

import segue
from segue import show
from segue.errors import SegueError, UsageError, first_line
from segue.keys import is_text, value_type
from segue.skew import ROWS, Columns, Comparison, Difference, Feature, Skew
from segue.small_files import replace_file
from segue.storage import filesystem, join_path
from segue.store import Store
from segue.training_set import FRAME

RELEASE_COLUMN, DAY_COLUMN = "release_id", "ds"
# Of a name, it becomes that of a file.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Something is wrong, where nothing failed; as of `segue plan --exit-code`.
DIFFERS = 4


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compares features that were logged where they were served with the release that each row names in a column "
        "release_id, else with the newest by its instant, value by value. A day is that of a column ds, else the one "
        "that a look-up takes. Ends with 4 where a feature differs in more rows than the bound."
    )
    add = parser.add_argument
    add("--logged", required=True, metavar="FILE", help="Parquet: keys, and columns <table>__<column>")
    add("--table", help="columns named as those of this table are features too")
    add("--at", metavar="COLUMN", help="the instant at which a row was served")
    add("--release", metavar="ID", help="hold all rows to this one")
    tolerance = "numbers are equal within this share of the larger one (default: %(default)s)"
    add("--tolerance", type=_parse_share, default=1e-6, metavar="SHARE", help=tolerance)
    bound = "of the rows of a feature, those that may differ (default: %(default)s)"
    add("--bound", type=_parse_share, default=0.001, metavar="SHARE", help=bound)
    add("--show-keys", action="store_true", help="keys of examples as they are, and not as SHA-256")
    add("--record", metavar="NAME", help="keep the outcome under the root, for segue health")


def _parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")
    return share


def run(args: argparse.Namespace) -> int:
    if args.record is not None and not NAME.fullmatch(args.record):
        raise UsageError(f"--record {args.record!r} is no name; expected letters, digits, '.', '_' and '-'")
    store, logged = segue.open(args.root), _open_logged(args.logged)
    columns = find_columns(store, logged.schema, args.table, args.at, args.release)
    skew = compare_logged(args.root, store, logged, columns, args.tolerance)
    if args.record is not None:
        _record(args, skew)
    rows = [to_record(each, skew.rows, args.bound, args.show_keys) for each in _sort_worst_first(skew)]
    if args.json:
        print(show.format_json_lines(rows))
    else:
        print(_format(skew, args))
    return DIFFERS if skew.exceeds(args.bound) else 0


def find_columns(
    store: Store, schema: pa.Schema, table: str | None, at: str | None, release: str | None
) -> Columns:
    """What each column of logged rows is.

    Raises:
        UsageError: none is a feature, or a column that is needed is missing.
    """
    features = list(_find_features(store, schema, table))
    if not features:
        raise UsageError(
            f"no column is a feature; got {', '.join(schema.names) or 'no columns'}",
            "name them <table>__<column>, as training sets do, or give the table with --table",
        )
    needed = [store.entity(name) for name in dict.fromkeys(each.table for each in features)]
    for name in [*needed, *([] if at is None else [at])]:
        if name not in schema.names:
            raise UsageError.unknown("column", name, schema.names, "the logged rows")
    if at is not None:
        _check_instants(at, schema.field(at).type)
    names = schema.names
    return Columns(
        features,
        RELEASE_COLUMN if RELEASE_COLUMN in names and release is None else None,
        DAY_COLUMN if DAY_COLUMN in names else None,
        at,
        release,
    )


def _check_instants(at: str, type_: pa.DataType) -> None:
    kinds = (pa.types.is_timestamp, pa.types.is_date, is_text)
    if not any(kind(value_type(type_)) for kind in kinds):
        # a whole number would be cast as one of microseconds, also where seconds were logged
        raise UsageError(
            f"--at {at} needs instants, as timestamps, days or text; got {type_}", "make timestamps of it"
        )


def _find_features(store: Store, schema: pa.Schema, table: str | None) -> Iterator[Feature]:
    if table is not None:
        names = _list_values(store, table) - {store.entity(table), RELEASE_COLUMN}
        yield from (Feature(name, table, name) for name in schema.names if name in names)
    for name in schema.names:
        of_table, separator, column = name.partition("__")
        if separator and of_table in store.tables and column in _list_values(store, of_table):
            yield Feature(name, of_table, column)


def _list_values(store: Store, table: str) -> set[str]:
    # of which day a row is and when it was published, training sets and look-ups add: those are no features
    return set(store.columns(table)).difference(FRAME)


def compare_logged(root: str, store: Store, logged: pads.Dataset, columns: Columns, tolerance: float) -> Skew:
    """Raises UsageError where a column has another type than it needs; SegueError where no row can be compared."""
    entities = [store.entity(each.table) for each in columns.features]
    names = [each.logged for each in columns.features] + entities
    names += [name for name in (columns.release, columns.day, columns.at) if name]
    comparison = Comparison(root, columns, tolerance)
    try:
        for rows in _read(logged, list(dict.fromkeys(names))):
            comparison.add(rows)
    except (pa.ArrowException, OSError) as problem:
        raise UsageError(f"the logged rows cannot be read or compared: {first_line(problem)}") from problem
    skew = comparison.skew
    if not any(each.rows for each in skew.differences):
        reasons = "; ".join(skew.skipped) or "there are none"
        raise SegueError(f"none of {skew.rows:,} logged rows can be compared: {reasons}")
    return skew


def _open_logged(path: str) -> pads.Dataset:
    try:
        files, inner = filesystem(path)
        return pads.dataset(inner, format="parquet", filesystem=files)
    except (OSError, pa.ArrowException, ValueError) as problem:
        text = f"{path} cannot be read as Parquet: {first_line(problem)}"
        raise UsageError(text, "give a Parquet file, or a folder of them") from None


def _read(logged: pads.Dataset, names: Sequence[str]) -> Iterator[pa.Table]:
    """Portions of about `ROWS`: files may have row groups of any size."""
    batches: list[pa.RecordBatch] = []
    for batch in logged.to_batches(columns=list(names), batch_size=ROWS):
        batches.append(batch)
        if sum(map(len, batches)) >= ROWS:
            yield pa.Table.from_batches(batches)
            batches = []
    if any(map(len, batches)):
        yield pa.Table.from_batches(batches)


# --- what is shown and kept


def _sort_worst_first(skew: Skew) -> list[Difference]:
    return sorted(skew.differences, key=lambda each: (-each.share, each.feature.logged))


def to_record(difference: Difference, rows: int, bound: float, shows_keys: bool) -> dict[str, Any]:
    """Of one feature; `rows` were logged."""
    feature = difference.feature
    return {
        "feature": f"{feature.table}:{feature.column}",
        "rows": difference.rows,
        "not_compared": rows - difference.rows,
        "equal": difference.equal,
        "differing_share": difference.share,
        "null_logged": difference.null_logged,
        "null_released": difference.null_released,
        "largest_difference": difference.largest,
        "beyond_bound": difference.share > bound,
        "examples": [
            {
                "key": _name_key(each.key, shows_keys),
                "logged": _to_plain(each.logged),
                "released": _to_plain(each.released),
            }
            for each in difference.examples
        ],
    }


def _to_plain(value: Any) -> Any:
    """What JSON has no kind for, as decimals, as its text: any column may be logged."""
    if isinstance(value, list):
        return [_to_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _to_plain(each) for name, each in value.items()}
    return value if value is None or isinstance(value, str | int | float | date) else str(value)


def _name_key(key: str, shows_keys: bool) -> str:
    # as in receipts: what is printed may end in a log that no erasure reaches
    return key if shows_keys else sha256(key.encode()).hexdigest()


def _format(skew: Skew, args: argparse.Namespace) -> str:
    worst = _sort_worst_first(skew)
    beyond = [each for each in worst if each.share > args.bound]
    head = (
        f"{len(beyond) or 'none'} of {len(worst)} features differ in more than {args.bound:.3%} of {skew.rows:,} "
        f"logged rows (numbers by more than {args.tolerance:g} of the larger one)"
    )
    header = ("feature", "rows", "differ", "null logged", "null released", "largest difference")
    unequal = [each for each in worst if each.equal < each.rows]
    rows = [
        (
            f"{each.feature.table}:{each.feature.column}",
            each.rows,
            f"{each.share:.3%}",
            each.null_logged,
            each.null_released,
            _show_distance(each.largest),
        )
        for each in unequal
    ]
    parts = [
        head,
        *([show.format_table(header, rows)] if rows else []),
        *_format_examples(beyond, args.show_keys),
    ]
    parts += [f"{n:,} rows not compared: {show.escape(why)}" for why, n in skew.skipped.items()]
    return "\n\n".join(parts)


def _format_examples(beyond: Sequence[Difference], shows_keys: bool) -> Iterator[str]:
    rows = [
        (
            f"{each.feature.table}:{each.feature.column}",
            _name_key(example.key, shows_keys)[:16] if not shows_keys else example.key,
            example.logged,
            example.released,
        )
        for each in beyond
        for example in each.examples
    ]
    if rows:
        key = "key" if shows_keys else "key (SHA-256)"
        yield show.format_table(("feature", key, "logged", "released"), rows, show.LONGEST_VALUE)


def _show_distance(distance: float | None) -> float | str | None:
    return "no number" if distance is not None and math.isinf(distance) else distance


def _record(args: argparse.Namespace, skew: Skew) -> None:
    """For `segue health`: without keys and values, which an erasure would not reach."""
    features = [to_record(each, skew.rows, args.bound, False) for each in _sort_worst_first(skew)]
    content = {
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": skew.rows,
        "bound": args.bound,
        "tolerance": args.tolerance,
        "features": [{k: v for k, v in each.items() if k != "examples"} for each in features],
    }
    files, path = filesystem(join_path(args.root, "quality", "skew", f"{args.record}.json"))
    text = show.format_json_lines([content])
    try:
        replace_file(files, path, text)
    except OSError as problem:
        raise SegueError(f"{path} cannot be written: {first_line(problem)}") from problem
