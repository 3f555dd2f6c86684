"""What cannot be a root, said before anything looks for tables there."""

from __future__ import annotations

import os

from segue.errors import UsageError

# What deltalake and pyarrow both read.
SCHEMES = ("file", "s3", "s3a", "gs", "abfs", "abfss", "hdfs")


def check_root_name(root: str | os.PathLike[str]) -> None:
    """Raises UsageError; a root that is not there yet is none of its business."""
    text = os.fspath(root)
    scheme, colon, _ = text.partition("://")
    if colon:
        if scheme not in SCHEMES:
            raise UsageError(
                f"root {text!r} is on no known storage; give a folder, s3a://, gs:// or abfss://"
            )
        return
    if not text.strip() or not text.isprintable():
        raise UsageError(f"root is {text!r}; give the name of a folder")
    path = os.path.expanduser(text)
    try:
        # of a link to nothing too: no folder can be made in its place
        if os.path.lexists(path) and not os.path.isdir(path):
            raise UsageError(f"root {text!r} is no folder; give the one that holds 'tables' and 'releases'")
    except ValueError as problem:  # what no file system can write, as half a surrogate pair
        raise UsageError(f"root {text!r}: {problem}; give the name of a folder") from None


def describe_missing_root(root: str) -> str:
    return f"root {root!r} is not there; give the folder that holds 'tables' and 'releases'"
