"""All that is known of a table, or of one of its columns: meaning, lineage, expectations, days, freshness, uses."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from jobs.catalogue.arguments import add_catalogue_arguments, add_source_argument, open_catalogue
from jobs.catalogue.catalogue import Catalogue
from jobs.catalogue.entries import Expectation
from jobs.catalogue.wording import list_column_facts, list_lineage_facts, list_table_facts
from segue import show

COLUMN_FIELDS = ("column", "type", "unit", "meaning")
EXPECTATION_FIELDS = ("of", "expected", "severity", "last audit", "reason")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("ref", metavar="TABLE[:COLUMN]", help="as user_features:plays_count_7d")
    add_catalogue_arguments(parser)
    add_source_argument(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def run(args: argparse.Namespace) -> int:
    catalogue = open_catalogue(args)
    table, column = catalogue.resolve(args.ref)
    if args.json:
        print(show.format_json_lines([_to_record(catalogue, table, column)]))
    elif column:
        print(format_column(catalogue, table, column))
    else:
        print(format_table(catalogue, table))
    return 0


def _to_record(catalogue: Catalogue, table: str, column: str | None) -> dict[str, object]:
    about = asdict(catalogue.describe_table(table))
    if column:
        # of its table what a reader of a column wants to know as well
        shared = ("made_by", "published", "max_lag_days")
        return asdict(catalogue.describe_column(table, column)) | {name: about[name] for name in shared}
    columns = [asdict(entry) for entry in catalogue.describe_columns(table)]
    expectations = [asdict(each) for each in catalogue.list_expectations(table)]
    return about | {"expectations": expectations, "columns": columns}


def format_column(catalogue: Catalogue, table: str, column: str) -> str:
    entry = catalogue.describe_column(table, column)
    lineage = list_lineage_facts(entry, catalogue.describe_table(table))
    facts = format_facts([*list_column_facts(entry), *lineage])
    # all of them are of this column, so it is named once
    expectations = _format_expectations(entry.expectations, EXPECTATION_FIELDS[1:])
    return f"{show.escape(f'{table}:{column}')}\n\n{facts}{expectations}"


def format_table(catalogue: Catalogue, table: str) -> str:
    facts = format_facts(list_table_facts(catalogue.describe_table(table)))
    rows = [(e.column, e.type, e.unit or None, e.meaning) for e in catalogue.describe_columns(table)]
    columns = show.format_table(COLUMN_FIELDS, rows)
    expectations = _format_expectations(catalogue.list_expectations(table), EXPECTATION_FIELDS)
    return f"{show.escape(table)}\n\n{facts}\n\n{columns}{expectations}"


def format_facts(facts: Iterable[tuple[str, str]]) -> str:
    """A line each, the values below one another."""
    lines = [(name, show.format_cell(value)) for name, value in facts]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _format_expectations(expectations: Iterable[Expectation], fields: Sequence[str]) -> str:
    rows = [(e.column, e.expected, e.severity, _format_result(e), e.reason or None) for e in expectations]
    cells = (row[-len(fields) :] for row in rows)
    return f"\n\n{show.format_table(fields, cells)}" if rows else ""


def _format_result(expectation: Expectation) -> str | None:
    return expectation.outcome and f"{expectation.outcome}: {expectation.observed}"
