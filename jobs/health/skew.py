"""What `segue skew --record` found last, of each ranker that it was run for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jobs.health.indicators import FINE, NOTE, WRONG, Indicator
from jobs.health.root import Root
from segue.errors import SegueError
from segue.small_files import read_file

# Features that are named of those that were not compared, or not in all rows; `segue skew` shows why.
MOST_FEATURES = 3


def check_skew(root: Root) -> Iterator[Indicator]:
    folder = root.warehouse.path("quality", "skew")
    for name in sorted(root.warehouse.list_files(folder)):
        # what begins with a dot is being written
        if name.endswith(".json") and not name.startswith("."):
            text = read_file(root.warehouse.files, root.warehouse.inner(f"{folder}/{name}"))
            try:
                yield _describe(root, name.removesuffix(".json"), json.loads(text or ""))
            except (ValueError, KeyError, TypeError):
                hint = "measure again, or remove it"
                raise SegueError(f"{folder}/{name} is no record of segue skew", hint) from None


def _describe(root: Root, name: str, record: dict[str, Any]) -> Indicator:
    features, bound = record["features"], record["bound"]
    beyond = [each["feature"] for each in features if each["beyond_bound"]]
    share = max(each["differing_share"] for each in features)
    when = f"measured {datetime.fromisoformat(record['checked_at']):%Y-%m-%d %H:%M}"
    # what no release has: every logged row was skipped
    missing = [each["feature"] for each in features if not each["rows"]]
    # what some releases have not; records of before say nothing of it
    partly = [each["feature"] for each in features if each["rows"] and each.get("not_compared")]
    for said, names in (("no row was compared", missing), ("some rows were not compared", partly)):
        when += f"; {said} of {', '.join(names[:MOST_FEATURES])}" if names else ""
    if not beyond:
        count = f"{len(features) - len(missing)} of its" if missing else "its"
        what = f"{count} {len(features)} features are as released, {when}"
        return Indicator("skew", name, NOTE if missing or partly else FINE, what, "", share, bound, "share")
    more = f" and {len(beyond) - 1} more" if len(beyond) > 1 else ""
    what = f"{beyond[0]} differs in {share:.2%} of rows{more}, {when}"
    to_do = root.command(f"skew --record {name} --logged FILE")
    return Indicator("skew", name, WRONG, what, to_do, share, bound, "share", " ".join(sorted(beyond)))
