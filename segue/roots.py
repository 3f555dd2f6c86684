"""What cannot be a root, said before anything looks for tables there."""

from __future__ import annotations

import os
import re

from segue.errors import S3_SETTINGS, UsageError
from segue.project import SETTINGS, find_project

# What deltalake and pyarrow both read.
SCHEMES = ("file", "s3", "s3a", "gs", "abfs", "abfss")
# In the name of a folder, deltalake takes these for an escape and for a slash, also where a URI escapes them: it would
# look for tables in another folder.
_MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|\\")


def check_root_name(root: str | os.PathLike[str]) -> None:
    """Raises UsageError; a root that is not there yet is none of its business."""
    if not isinstance(root, str | os.PathLike):
        raise UsageError(f"root is {root!r}; give the name of a folder")
    text = os.fspath(root)
    if (start := text.partition(":/"))[0] in SCHEMES and not start[2].startswith("/"):
        raise UsageError(
            f"root {text!r} has one slash behind {start[0]}:, expected two; give {start[0]}://{start[2]}"
        )
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
        # links are followed before it is read
        check_path(
            text, os.path.realpath(path), _MISREAD, "no backslash, and no % before two hexadecimal digits"
        )
        # of a link to nothing too: no folder can be made in its place
        if os.path.lexists(path) and not os.path.isdir(path):
            raise UsageError(f"root {text!r} is no folder; give the one that holds 'tables' and 'releases'")
    except ValueError as problem:  # what no file system can write, as half a surrogate pair
        raise UsageError(f"root {text!r}: {problem}; give the name of a folder") from None


def check_path(root: str, path: str, misread: re.Pattern[str], allowed: str) -> None:
    """Raises UsageError where readers of tables take a part of a local root's path for something else."""
    if found := misread.search(path):
        raise UsageError(
            f"root {root!r}: its path has {found[0]!r}, which readers of tables take for something else than a name; "
            f"give a folder whose path has {allowed}"
        )


def refuse_missing_root(root: str) -> None:
    """For commands that list what a root holds, as one that is misspelt would look empty.

    Raises:
        UsageError: somebody typed it, and it is not there; a project's own may wait for its first flow.
    """
    check_root_name(root)
    configured = find_project().resolve("root")
    is_typed = root != configured.value or configured.origin == f"${SETTINGS['root'].variable}"
    if is_typed and not _is_there(root):
        hint = f"check {S3_SETTINGS}" if root.startswith(("s3://", "s3a://")) else None
        raise UsageError(describe_missing_root(root), hint)


def _is_there(root: str) -> bool:
    if "://" not in root:
        return os.path.isdir(os.path.expanduser(root))
    # only where needed: they take a moment to import, and `segue --help` must not wait for them
    from pyarrow import ArrowException
    from pyarrow.fs import FileType

    from segue.storage import filesystem

    try:
        files, path = filesystem(root)
        return bool(files.get_file_info(path).type != FileType.NotFound)
    except (OSError, ArrowException):  # of the store: whoever reads there next says it in full
        return True


def describe_missing_root(root: str) -> str:
    return f"root {root!r} is not there; give the folder that holds 'tables' and 'releases'"
