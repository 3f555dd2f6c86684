"""Every declared feature: what it means, its type and windows, which columns of a row it is computed from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from jobs.catalogue.lineage import Lineage
from jobs.owners import check_table_names, find_owner
from schemas import FEATURE_GROUPS, FeatureGroup
from segue import show
from segue.errors import UsageError

FIELDS = ("feature", "type", "windows", "meaning", "made of", "of no plays")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="only these (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(args: argparse.Namespace) -> int:
    check_table_names()
    group_by_table = {group.table: group for group in FEATURE_GROUPS}
    # an empty name is unknown too, as of a variable of the shell that is not set
    if unknown := [name for name in args.tables if name not in group_by_table]:
        raise UsageError.unknown("table of features", unknown[0], group_by_table)
    groups = [group_by_table[name] for name in args.tables or group_by_table]
    if args.json:
        print(show.format_json_lines([row for group in groups for row in feature_entries(group)]))
        return 0
    for group in groups:
        # pairs of listener and track would fill too many rows a day
        storage = "a row a day" if group.daily else "merged for the labels that ask; no daily table"
        events = "plays" if isinstance(group.source, str) else group.events.name
        over = "" if events == "plays" else f", over {events}"
        where = over if group.where == "true" else f", {events} where {group.where}"
        about = (
            f"by {', '.join(group.keys)}; {storage}{where}. {group.meaning} Owner: {find_owner(group.table)}"
        )
        print(f"{group.table}: {about}\n")
        entries = list(feature_entries(group))
        rows = [[show.format_cell(row[name]) for name in FIELDS] for row in entries]
        print(show.format_table(FIELDS, rows), end="\n\n")
        for row in entries:
            if row["deprecated"]:
                print(f"{row['feature']} is deprecated: {row['deprecated']}\n")
    return 0


def feature_entries(group: FeatureGroup) -> Iterator[dict[str, Any]]:
    """One object per declaration; its columns are `<feature>_<window>`."""
    inputs = Lineage().inputs
    for feature in group.features:
        columns = (each.column for each in inputs[group.table, feature.name(feature.windows[0])])
        yield {
            "table": group.table,
            "feature": f"{feature.what}_{feature.op}",
            # the type does not depend on the window
            "type": next(feature.columns()).type,
            "windows": " ".join(feature.windows),
            "meaning": feature.meaning,
            "made of": " ".join(dict.fromkeys(columns)),
            "of no plays": feature.empty_value,
            "owner": feature.owner or find_owner(group.table),
            "deprecated": feature.deprecated,
        }
