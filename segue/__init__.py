"""Segue's client: open a release and read it, without Spark.

    store = segue.open("data/")
    store.lookup("user_features", ["u1", "u2"])

Importing this package costs next to nothing: pyarrow and deltalake come in with the first call.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from segue.errors import SegueError, UsageError
from segue.releases import Release, TableVersion, append_release, list_releases, open_release, rollback

if TYPE_CHECKING:
    from segue.ranking_set import RankingSet, build_ranking_set, read_ranking_set
    from segue.store import Store
    from segue.thresholds import compare_with_threshold

    __version__: str | None

__all__ = [
    "RankingSet",
    "Release",
    "SegueError",
    "Store",
    "TableVersion",
    "UsageError",
    "append_release",
    "build_ranking_set",
    "compare_with_threshold",
    "open",
    "read_ranking_set",
    "releases",
    "rollback",
]

# Bound here, after the module of the same name was imported: `segue.releases` is the function.
releases = list_releases


def open(root: str | os.PathLike[str], release: str | None = None) -> Store:  # noqa: A001
    """The newest release under `root`, or the one of that id.

    Raises:
        SegueError: there is no release at all.
        UsageError: none has that id; the text lists those there are.
    """
    from segue.store import Store

    return Store(root, open_release(root, release))


def __getattr__(name: str) -> Any:
    # Called for names that are not here yet: so `segue.Store` costs nothing until somebody uses it.
    if name == "Store":
        from segue.store import Store

        return Store
    if name in ("RankingSet", "build_ranking_set", "read_ranking_set"):
        from segue import ranking_set

        return getattr(ranking_set, name)
    if name == "compare_with_threshold":
        from segue.thresholds import compare_with_threshold

        return compare_with_threshold
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("segue-platform")
        except metadata.PackageNotFoundError:  # run from a checkout that was never installed
            return None
    raise AttributeError(f"module 'segue' has no attribute {name!r}")
