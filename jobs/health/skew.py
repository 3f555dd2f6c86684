"""What `segue skew --record` found last, of each ranker that it was run for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jobs.health.indicators import FINE, WRONG, Indicator
from jobs.health.root import Root
from segue.errors import SegueError
from segue.small_files import read_file


def check_skew(root: Root) -> Iterator[Indicator]:
    folder = root.warehouse.path("quality", "skew")
    for name in sorted(root.warehouse.list_files(folder)):
        # what begins with a dot is being written
        if name.endswith(".json") and not name.startswith("."):
            text = read_file(root.warehouse.files, root.warehouse.inner(f"{folder}/{name}"))
            try:
                yield _describe(name.removesuffix(".json"), json.loads(text or ""))
            except (ValueError, KeyError, TypeError):
                hint = "measure again, or remove it"
                raise SegueError(f"{folder}/{name} is no record of segue skew", hint) from None


def _describe(name: str, record: dict[str, Any]) -> Indicator:
    features, bound = record["features"], record["bound"]
    beyond = [each["feature"] for each in features if each["beyond_bound"]]
    share = max(each["differing_share"] for each in features)
    when = f"measured {datetime.fromisoformat(record['checked_at']):%Y-%m-%d %H:%M}"
    if not beyond:
        what = f"its {len(features)} features are as released, {when}"
        return Indicator("skew", name, FINE, what, "", share, bound, "share")
    more = f" and {len(beyond) - 1} more" if len(beyond) > 1 else ""
    what = f"{beyond[0]} differs in {share:.2%} of rows{more}, {when}"
    to_do = f"segue skew --record {name} --logged FILE"
    return Indicator("skew", name, WRONG, what, to_do, share, bound, "share", " ".join(sorted(beyond)))
